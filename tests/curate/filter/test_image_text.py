"""Image-text fit with a trained CLIP: the demo's, on images that it knows."""

from importlib.util import find_spec
from pathlib import Path

import pytest

import pairwright
from curate.embed.command import embed
from curate.embed.options import EmbedOptions
from curate.filter.command import filter_samples
from curate.filter.options import FilterOptions
from curate.ingest.command import ingest
from curate.ingest.options import IngestOptions
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset

pytest.importorskip("easy_vqa")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("open_clip") is None, reason="needs the extra clip"),
]

MODEL = Path(str(pairwright.__file__)).parent / "demo" / "models" / "clip"
KNOWN = {"circle", "rectangle", "triangle"}
OTHER = {"circle": "triangle", "triangle": "rectangle", "rectangle": "circle"}


def test_wrong_captions_are_those_that_fit_least(tmp_path):
    """10 % of the captions name another shape; the lowest 10 % of the cosines are these."""
    source = Dataset.create(tmp_path / "source")
    ingest(IngestOptions(source="easy-vqa", output=source.path), RunOptions(limit=3000))
    shapes = {}
    for row in source.union("samples").collect().iter_rows(named=True):
        question, answer = (m["content"] for m in row["messages"])
        if "what shape" in question and answer in KNOWN:
            shapes.setdefault(row["image_ids"][0], (answer, row))
    data = Dataset.create(tmp_path / "data")
    images = source.union("images").collect()
    rows, wrong = [], set()
    for number, (shape, row) in enumerate(list(shapes.values())[:200]):
        if number % 10 == 0:
            wrong.add(row["sample_id"])
        said = OTHER[shape] if number % 10 == 0 else shape
        question = {"role": "user", "content": "<image>\nWhat is it?"}
        answer = {"role": "assistant", "content": f"the shape is a {said}"}
        rows.append({**row, "messages": [question, answer]})
    for kind, table in (("images", images), ("samples", rows)):
        with data.write(kind, "made", step="ingest", config={}, rejects=False) as writer:
            writer.add(table)
    embed(data, EmbedOptions(model=str(MODEL), text=True), RunOptions())
    filter_samples(data, FilterOptions(drop_clip_fraction=0.1), RunOptions())
    decisions = data.read("decisions", "filter-rules")
    removed = set(decisions.filter(~decisions["kept"])["sample_id"])
    assert len(rows) == 200
    assert len(removed & wrong) >= 19
