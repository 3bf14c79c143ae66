"""What tests of `curate export` share: a small dataset with pairs, and how to export it."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from curate.cli import COMMANDS
from pairwright.commands import command
from pairwright.dataset.store import Dataset
from pairwright.images import inspect_image


def png(number: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (16, 16), (number * 20 % 256, number, 0)).save(out, "PNG")
    return out.getvalue()


def image_row(content: bytes) -> dict[str, Any]:
    facts = inspect_image(content)
    row = {name: getattr(facts, name) for name in ("image_id", "format", "width", "height")}
    return {**row, "n_bytes": facts.n_bytes, "phash": facts.phash, "bytes": content}


def sample(number: int, image_ids: list[str], content: str | None = None, **more: Any) -> dict:
    marks = "<image>\n" * len(image_ids)
    return {
        "sample_id": f"s{number:02}",
        "image_ids": image_ids,
        "messages": [
            {"role": "user", "content": content or f"{marks}what is in picture {number}?"},
            {"role": "assistant", "content": "a square"},
        ],
        "source": "toy",
        "source_id": str(number),
        "license": "mit",
        **more,
    }


def pair(number: int, image_ids: list[str]) -> dict:
    span = {"start": 2, "end": 8, "text": "square", "kind": "replace"}
    return {
        "pair_id": f"p{number}",
        "sample_id": f"s{number:02}",
        "image_ids": image_ids,
        "prompt": sample(number, image_ids)["messages"][:1],
        "chosen": "a square",
        "rejected": "a circle",
        "chosen_spans": [span],
        "rejected_spans": [{**span, "text": "circle"}],
        "chosen_score": 5.0,
        "rejected_score": 1.0,
        "margin": 4.0,
        "method": "best-of-n",
    }


def write(
    dataset: Dataset, kind: str, step: str, rows: list[dict], name: str | None = None
) -> None:
    with dataset.write(kind, name or step, step=step, config={}) as out:
        out.add(rows)


def make_toy(path: Path) -> Dataset:
    """Two questions on every image, one sample on two images, one on none, one on a lost one."""
    data = Dataset.create(path)
    rows = [image_row(png(n)) for n in range(6)]
    write(data, "images", "ingest", rows)
    ids = [row["image_id"] for row in rows]
    samples = [sample(n, [ids[n // 2]]) for n in range(10)]
    samples += [sample(10, ids[4:6]), sample(11, [], split="val/2"), sample(12, ["f" * 64])]
    write(data, "samples", "ingest", samples)
    write(data, "pairs", "build", [pair(n, [ids[n // 2]]) for n in range(10)])
    return data


def export(capsys: pytest.CaptureFixture, *words: object) -> tuple[int, dict[str, Any]]:
    code = command.main("curate", "", COMMANDS, ["export", *map(str, words), "--json"])
    out = capsys.readouterr()
    return code, json.loads(out.out.splitlines()[-1]) if out.out else {"error": out.err}


def load(folder: Path, split: str, tmp_path: Path) -> Any:
    datasets = pytest.importorskip("datasets")
    return datasets.load_dataset(str(folder), split=split, cache_dir=str(tmp_path / "cache"))
