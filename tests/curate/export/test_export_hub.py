"""Exports for the Hub: the bytes that `datasets` would write, streaming, configurations."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from export_toy import export, load, make_toy, sample, write

from pairwright.dataset.store import Dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_toy(tmp_path / "toy")


def footer(path: Path) -> dict[str, Any]:
    """What a Parquet file says of itself, sizes and statistics left out."""
    file = pq.ParquetFile(path)
    group = file.metadata.row_group(0)
    columns = []
    for number in range(group.num_columns):
        column = group.column(number)
        columns.append(
            (
                column.path_in_schema, column.physical_type, column.compression,
                sorted(column.encodings), column.has_dictionary_page, column.is_stats_set,
                column.has_offset_index, column.has_column_index,
            )
        )  # fmt: skip
    metadata = {k: json.loads(v) for k, v in file.metadata.metadata.items() if v[:1] == b"{"}
    schema = [(field.name, str(field.type)) for field in file.schema_arrow]
    return {"columns": columns, "metadata": metadata, "schema": schema}


@pytest.mark.parametrize("what", ["samples", "pairs"])
def test_files_are_those_that_datasets_would_write(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture, what: str
) -> None:
    datasets = pytest.importorskip("datasets")
    out = tmp_path / "out"
    export(capsys, dataset.path, out, "--what", what, "--content", "parts", "--max-rejects", "1")
    (file,) = (out / "data").glob("train-*")
    rows = load(out, "train", tmp_path)
    # Its own shards, as push_to_hub makes them: images inside, decoded by nobody.
    rows.to_parquet(tmp_path / "theirs.parquet")
    assert footer(file) == footer(tmp_path / "theirs.parquet")
    front = yaml.safe_load((out / "README.md").read_text().split("---\n")[1])
    info = front["dataset_info"]
    assert info["features"] == rows.features._to_yaml_list()
    assert info["splits"][0]["num_examples"] == len(rows)
    assert info["download_size"] == sum(p.stat().st_size for p in (out / "data").iterdir())
    assert datasets.Features._from_yaml_list(info["features"]) == rows.features


def test_row_groups_are_cut_by_bytes(tmp_path: Path) -> None:
    from curate.export import parquet_file as hubfile

    schema = hubfile.schema_of([hubfile.Column(name="image", type=hubfile.IMAGE, doc="")])
    size = 1 << 20
    with hubfile.SplitWriter(tmp_path, "train", schema, shard_bytes=300 << 20) as writer:
        for number in range(250):
            content = bytes([number % 256]) * size
            writer.add({"image": {"bytes": content, "path": None}}, size)
    (path,) = writer.files
    groups = pq.ParquetFile(path).metadata
    sizes = [groups.row_group(n).num_rows for n in range(groups.num_row_groups)]
    assert sizes == [95, 95, 60]  # of 1 MiB each: 100 MB at most


@pytest.mark.slow
def test_streaming_reads_the_folder(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    datasets = pytest.importorskip("datasets")
    out = tmp_path / "out"
    words = ("--what", "samples", "--max-rejects", "1", "--test-fraction", "0.4")
    export(capsys, dataset.path, out, *words, "--shard-bytes", "2KB")
    whole = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "c"))
    stream = datasets.load_dataset(str(out), streaming=True)
    assert set(stream) == set(whole) == {"train", "test"}
    for split, rows in stream.items():
        assert rows.features == whole[split].features
        assert rows.num_shards > 1
        read = [{**r, "images": [i.size for i in r["images"]]} for r in rows]
        assert read == [{**r, "images": [i.size for i in r["images"]]} for r in whole[split]]


def test_both_kinds_are_configurations_of_one_set(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    datasets = pytest.importorskip("datasets")
    out = tmp_path / "out"
    words = ("--what", "both", "--max-rejects", "1", "--test-fraction", "0.4")
    code, shown = export(capsys, dataset.path, out, *words)
    assert code == 0
    assert (shown["what"], shown["rows"]) == ("both", 12 + 10)
    assert shown["images"] == 6
    seen: dict[str, set[str]] = {"train": set(), "test": set()}
    for stream in (False, True):
        for what, key in (("samples", "sample_id"), ("pairs", "pair_id")):
            name = what if stream or what == "pairs" else None  # samples are the default
            sets = datasets.load_dataset(
                str(out), name, streaming=stream, cache_dir=str(tmp_path / "c")
            )
            rows = [(split, row) for split, part in sets.items() for row in part]
            assert sum(n for n in shown["splits"][what].values()) == len(rows)
            assert all(row[key] for _, row in rows)
            for split, row in rows:
                seen[split].update(row["image_ids"])
    assert not seen["train"] & seen["test"]
    front = yaml.safe_load((out / "README.md").read_text().split("---\n")[1])
    assert [one["config_name"] for one in front["configs"]] == ["samples", "pairs"]
    code, _ = export(capsys, dataset.path, out, "--replace", "--what", "pairs")
    assert code == 0
    assert {p.name for p in out.iterdir()} == {"README.md", "data"}


def test_an_image_in_two_splits_of_the_source_is_told(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    ids = dataset.union("images").collect()["image_id"].to_list()
    write(dataset, "samples", "ingest", [sample(40, ids[:1], split="test")], "more")
    words = ("--what", "samples", "--max-rejects", "1")
    code, shown = export(capsys, dataset.path, tmp_path / "a", *words)
    assert (code, shown["images_in_several_splits"]) == (0, 1)
    _, shown = export(capsys, dataset.path, tmp_path / "b", *words, "--test-fraction", "0.3")
    assert shown["images_in_several_splits"] == 0
