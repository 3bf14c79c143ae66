"""A small dataset, and caches of libraries in a folder of the test's own."""

import importlib
import json

import pytest

import pairwright as pw

tiny = importlib.import_module("tiny_dataset")


@pytest.fixture
def data(tmp_path):
    """Twelve samples on six images, two of which repeat another sample."""
    contents = [tiny.picture(n) for n in range(6)]
    long = " ".join(
        ["a small dark circle stands alone on a plain ground of the lightest kind,"] * 2
    )
    long = f"{long} near the upper corner, and nothing else can be seen on the whole of it"
    samples = [
        tiny.sample(f"{n}-{q}", [content], f"<image>\n{tiny.QUESTIONS[q]}", tiny.ANSWERS[q])
        for n, content in enumerate(contents[:5])
        for q in range(2)
    ]
    samples += [
        tiny.sample("long", [contents[5]], "<image>\nDescribe it.", long),
        tiny.sample("longer", [contents[5]], "<image>\nDescribe it.", f"{long} of it"),
        tiny.sample("again", [contents[0]], f"<image>\n{tiny.QUESTIONS[0]}", tiny.ANSWERS[0]),
    ]
    tiny.write_dataset(tmp_path / "data", contents, samples)
    return pw.open(tmp_path / "data")


@pytest.fixture
def preferences(tmp_path):
    """A file of preference pairs, with an image file each."""
    (tmp_path / "images").mkdir()
    rows = []
    for n in range(4):
        (tmp_path / "images" / f"{n}.png").write_bytes(tiny.picture(n))
        rows.append(
            {"id": str(n), "image": f"{n}.png", "prompt": f"what is number {n}?", "chosen": "a circle",
             "rejected": "<b>a</b> square", "split": "test" if n == 3 else "train"}
        )  # fmt: skip
    path = tmp_path / "preferences.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets-cache")
