"""Rows for TRL: the columns, the images, and a cache that follows the rows."""

import importlib

import pytest
from PIL import Image

import pairwright as pw

tiny = importlib.import_module("tiny_dataset")


@pytest.fixture
def pairs(preferences, tmp_path):
    return pw.curate.ingest(
        tmp_path / "pairs", preferences, as_="pairs", image_folder=tmp_path / "images"
    )


@pytest.mark.slow
def test_pairs_as_trl_reads_them(pairs):
    rows = pairs.to_datasets()
    assert rows.column_names == ["images", "prompt", "chosen", "rejected"]
    assert len(rows) == 4
    first = rows[0]
    assert isinstance(first["images"][0], Image.Image)
    assert first["prompt"] == [{"role": "user", "content": "what is number 0?"}]
    assert first["chosen"] == [{"role": "assistant", "content": "a circle"}]
    assert first["rejected"][0]["content"] == "<b>a</b> square"
    from trl.data_utils import is_conversational

    assert is_conversational(first)


def test_pairs_of_the_dataset_and_all_columns(pairs):
    data = pairs.dataset
    assert data.to_datasets().column_names == pairs.to_datasets().column_names
    wide = data.to_datasets(all_columns=True)
    assert {"pair_id", "sample_id", "margin", "source", "method"} <= set(wide.column_names)
    assert data.to_datasets("samples").column_names == ["images", "messages"]


def test_splits(pairs):
    assert len(pairs.to_datasets(split="test")) == 1
    assert len(pairs.to_datasets(split="train")) == 3
    with pytest.raises(
        pw.UsageError, match="split='dev': there is none; the pairs have train, test"
    ):
        pairs.to_datasets(split="dev")


def test_samples_after_a_step_are_those_that_are_current(data):
    found = pw.curate.dedup(data)
    rows = found.to_datasets()
    assert rows.column_names == ["images", "messages"]
    assert len(rows) == 11
    assert rows[0]["images"][0].size == (64, 64)
    assert rows[0]["messages"][1] == {"role": "assistant", "content": "circle"}


def test_rows_are_written_once_and_again_when_they_change(data):
    before = data.to_datasets()
    file = before.cache_files[0]["filename"]
    assert data.to_datasets().cache_files[0]["filename"] == file
    pw.curate.dedup(data)
    after = data.to_datasets()
    assert after.cache_files[0]["filename"] != file
    assert (len(before), len(after)) == (13, 11)


def test_an_interrupted_write_leaves_nothing(data, monkeypatch, tmp_path):
    arrow = importlib.import_module("curate.export.arrow")
    monkeypatch.setattr(arrow, "row_images", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        data.to_datasets()
    assert list((tmp_path / "datasets-cache" / "pairwright").iterdir()) == []


def test_rows_without_images_have_no_column_of_them(tmp_path):
    sample = tiny.sample("1", [], "what is a circle?", "a shape")
    tiny.write_dataset(tmp_path / "text", [], [sample])
    assert pw.open(tmp_path / "text").to_datasets().column_names == ["messages"]
    with pytest.raises(pw.UsageError, match="no pairs"):
        pw.open(tmp_path / "text").to_datasets("pairs")
