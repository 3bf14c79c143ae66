"""A dataset that pairwright 0.1 wrote opens, and its finished runs stay finished.

`tests/golden/v1`: six images, eight rows (one copy, one conflicting answer), twelve responses with
scores, dedup, a filter and pairs; `HERE` stands for the folder in its configurations.
"""

import json
import shutil
from pathlib import Path

import pytest

from pairwright.dataset.store import Dataset
from pairwright.programs import run
from schemas.tables import TABLES

GOLDEN = Path(__file__).parents[2] / "golden" / "v1"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(GOLDEN, tmp_path / "v1")
    for path in (tmp_path / "v1").rglob("_table.json"):
        path.write_text(path.read_text().replace("HERE", str(tmp_path / "v1")))
    return tmp_path / "v1"


def manifests(data):
    return [m for kind in TABLES for m in data.runs(kind)]


def test_every_table_reads_as_the_current_version_declares_it(folder):
    data = Dataset(folder / "data")
    read = [m for m in manifests(data) if m.rows]
    assert {m.kind for m in read} >= {
        "images", "samples", "decisions", "conflicts", "responses", "scores", "pairs",
    }  # fmt: skip
    for manifest in read:
        TABLES[manifest.kind.partition("/")[0]].validate(data.scan(manifest).collect())
    samples = data.current_samples().collect()
    assert samples.height == 7
    assert samples["license"].unique().to_list() == ["cc-by-4.0"]
    assert data.pick("scores", steps={"ingest"}).run == "rscores"


@pytest.mark.parametrize(
    "words",
    [
        "curate ingest {here}/rows.json --image-folder {here}/images -o {data} --license cc-by-4.0",
        "curate ingest {here}/rows.json --image-folder {here}/images -o {data} --licence cc-by-4.0",
        "curate dedup {data}",
        "curate filter {data} --min-answer-words 2",
        "prefs build {data} --scores rscores --margin 1",
    ],
)
def test_the_same_command_finds_nothing_to_do(folder, capsys, monkeypatch, words):
    monkeypatch.chdir(folder)
    before = {p: p.read_bytes() for p in folder.rglob("*.parquet")}
    program, *rest = words.format(here=folder, data=folder / "data").split()
    assert run(program, rest) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert {p: p.read_bytes() for p in folder.rglob("*.parquet")} == before


def test_new_steps_work_on_it_and_use_writes_the_new_names(folder, capsys):
    data = str(folder / "data")
    assert run("curate", ["dedup", data, "--run", "texts", "--on", "text"]) == 0
    assert run("pairwright", ["use", data, "decisions/texts"]) == 0
    info = json.loads((folder / "data" / "dataset.json").read_text())
    assert info["active"]["decisions/dedup"] == "texts"
    assert "in_force" not in info
    assert run("curate", ["export", data, str(folder / "out"), "--what", "samples"]) == 0
    assert "cc-by-4.0" in (folder / "out" / "README.md").read_text()
