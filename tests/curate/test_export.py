"""`curate export`: a folder that `datasets` reads back equal."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from curate import splits
from curate.card import escape, public_command
from curate.cli import COMMANDS
from curate.export_options import parse_bytes
from curate.hubtable import hub_messages, images_in_front, split_name
from curate.licences import hub_id, objection
from pairwright import command
from pairwright.errors import UsageError
from pairwright.images import inspect_image
from pairwright.store import Dataset

HOSTILE = "<script>alert(1)</script> | `x` [a](javascript:b) \u202e # ---\n| row |"


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
        "licence": "mit",
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
    dataset: Dataset, kind: str, verb: str, rows: list[dict], name: str | None = None
) -> None:
    with dataset.write(kind, name or verb, verb=verb, config={}) as out:
        out.add(rows)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    data = Dataset.create(tmp_path / "toy")
    rows = [image_row(png(n)) for n in range(6)]
    write(data, "images", "ingest", rows)
    ids = [row["image_id"] for row in rows]
    # Two questions on every image, one sample on two images, one on none.
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


def test_samples_read_back_equal(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    datasets = pytest.importorskip("datasets")
    out = tmp_path / "out"
    code, shown = export(capsys, dataset.path, out, "--what", "samples", "--max-rejects", "0.2")
    assert code == 0
    assert shown["splits"] == {"train": 11, "val_2": 1}
    assert shown["rejects"] == 1
    rejects = dataset.read("rejects/export", "export")
    assert rejects["row_id"].to_list() == ["s12"]
    assert rejects["reason"].to_list() == ["missing_image"]
    rows = load(out, "train", tmp_path)
    assert rows.features["images"] == datasets.List(datasets.Image())
    originals = dataset.union("samples").collect().to_dicts()
    for row, original in zip(rows, originals, strict=False):
        assert row["sample_id"] == original["sample_id"]
        assert row["image_ids"] == original["image_ids"]
        assert [image.size for image in row["images"]] == [(16, 16)] * len(row["image_ids"])
        assert row["messages"] == hub_messages(original["messages"], parts=False)
    raw = rows.cast_column("images", datasets.List(datasets.Image(decode=False)))
    contents = dict(dataset.union("images").select("image_id", "bytes").collect().iter_rows())
    for row in raw:
        assert [image["bytes"] for image in row["images"]] == [
            contents[i] for i in row["image_ids"]
        ]
    assert load(out, "val_2", tmp_path)[0]["images"] == []


def test_pairs_read_back_equal_and_are_the_default(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    code, shown = export(capsys, dataset.path, out)
    assert code == 0
    assert shown["what"] == "pairs"
    rows = load(out, "train", tmp_path)
    stored = dataset.read("pairs", "build").to_dicts()
    assert len(rows) == len(stored)
    for row, original in zip(rows, stored, strict=True):
        assert row["chosen"] == [{"role": "assistant", "content": original["chosen"]}]
        assert row["rejected"] == [{"role": "assistant", "content": original["rejected"]}]
        assert "<image>" not in row["prompt"][0]["content"]
        for name in ("pair_id", "chosen_spans", "rejected_spans", "margin", "method", "image_ids"):
            assert row[name] == original[name]
        assert (row["source"], row["licence"]) == ("toy", "mit")


def test_files_are_as_the_hub_likes_them(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    export(capsys, dataset.path, out, "--shard-bytes", "3KB")
    files = sorted((out / "data").iterdir())
    assert len(files) > 1
    assert [f.name for f in files] == [
        f"train-{n:05d}-of-{len(files):05d}.parquet" for n in range(len(files))
    ]
    group = pq.ParquetFile(files[0]).metadata.row_group(0)
    columns = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    assert columns["images.list.element.bytes"].compression == "UNCOMPRESSED"
    assert columns["prompt.list.element.content"].compression == "SNAPPY"
    assert all(column.has_offset_index for column in columns.values())
    front = yaml.safe_load((out / "README.md").read_text().split("---\n")[1])
    assert front["license"] == "mit"
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*"}]
    assert len(load(out, "train", tmp_path)) == 10


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
    from curate import hubfile

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


def test_streaming_reads_the_folder(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    datasets = pytest.importorskip("datasets")
    out = tmp_path / "out"
    words = ("--what", "samples", "--max-rejects", "1", "--test-share", "0.4")
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
    words = ("--what", "both", "--max-rejects", "1", "--test-share", "0.4")
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
    _, shown = export(capsys, dataset.path, tmp_path / "b", *words, "--test-share", "0.3")
    assert shown["images_in_several_splits"] == 0


def test_the_same_export_is_the_same_bytes(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for name in ("a", "b"):
        export(capsys, dataset.path, tmp_path / name)
    first, second = (
        {
            p.relative_to(tmp_path / n): p.read_bytes()
            for p in (tmp_path / n).rglob("*")
            if p.is_file()
        }
        for n in ("a", "b")
    )
    assert first == second


def test_test_split_shares_no_image(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    code, shown = export(
        capsys, dataset.path, out, "--what", "samples", "--test-share", "0.3", "--max-rejects", "1"
    )
    assert code == 0
    assert set(shown["splits"]) == {"train", "test"}
    sides = [
        {i for row in load(out, split, tmp_path) for i in row["image_ids"]}
        for split in ("train", "test")
    ]
    assert not sides[0] & sides[1]


def test_groups_of_a_split_keep_their_place() -> None:
    images = [["a"], ["a", "b"], ["b", "c"], ["d"], [], ["e"], ["f"]]
    rows = [str(n) for n in range(len(images))]

    def draw_test_rows(rows, images, share, seed):
        draw = splits.TestDraw(share, seed)
        draw.link(images)
        draw.look(rows, images)
        return [draw.is_test(*row) for row in zip(rows, images, strict=True)]

    for seed in range(20):
        test = draw_test_rows(rows, images, 0.5, seed)
        assert test[0] == test[1] == test[2]
        assert any(test)
        assert not all(test)
        more = draw_test_rows([*rows, "x"], [*images, ["z"]], 0.5, seed)
        assert sum(a != b for a, b in zip(test, more, strict=False)) <= 3


def test_a_folder_in_use_is_refused(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    assert export(capsys, dataset.path, out)[0] == 0
    code, shown = export(capsys, dataset.path, out)
    assert code == 2
    assert "--replace" in shown["error"]
    assert (
        export(capsys, dataset.path, out, "--replace", "--what", "samples", "--max-rejects", "1")[0]
        == 0
    )
    (out / "mine.txt").write_text("precious")
    code, shown = export(capsys, dataset.path, out, "--replace")
    assert code == 2
    assert (out / "mine.txt").exists()
    assert export(capsys, dataset.path, dataset.path, "--replace")[0] == 2
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".out")] == []


def test_an_image_inside_the_text_keeps_its_place(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    ids = dataset.union("images").collect()["image_id"].to_list()
    text = "compare <image> with <image>, and say \\<image>"
    write(dataset, "samples", "ingest", [sample(20, ids[:2], text)], "more")
    out = tmp_path / "out"
    _, shown = export(capsys, dataset.path, out, "--what", "samples")
    assert shown["content"] == "parts"
    rows = load(out, "train", tmp_path)
    row = next(row for row in rows if row["sample_id"] == "s20")
    assert row["messages"][0]["content"] == [
        {"type": "text", "text": "compare"},
        {"type": "image", "text": None},
        {"type": "text", "text": "with"},
        {"type": "image", "text": None},
        {"type": "text", "text": ", and say <image>"},
    ]


@pytest.mark.parametrize(
    ("content", "front"),
    [
        ("<image>\nwhat?", True),
        ("<image><image>\nwhat?", True),
        ("what? <image>", False),
        ("<image> a <image> b", False),
        ("say \\<image>", True),
    ],
)
def test_images_in_front(content: str, front: bool) -> None:
    user = {"role": "user", "content": content}
    assert images_in_front([user]) is front
    assert images_in_front([{"role": "system", "content": "x"}, user]) is front
    assert not images_in_front([user, {"role": "user", "content": "<image>"}])


def test_markup_of_strangers_is_harmless(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    write(
        dataset,
        "samples",
        "ingest",
        [sample(30, [], source=HOSTILE, licence=HOSTILE, task=HOSTILE)],
        "more",
    )
    out = tmp_path / "out"
    export(capsys, dataset.path, out, "--what", "samples", "--title", HOSTILE)
    text = (out / "README.md").read_text()
    front, body = text.split("---\n", 2)[1:]
    assert yaml.safe_load(front)["configs"][0]["config_name"] == "default"
    assert "<script" not in body
    assert "](" not in body.replace("\\]", "")
    assert "\u202e" not in body
    assert str(tmp_path) not in text
    assert escape("a|b") == "a\\|b"
    assert len(load(out, "train", tmp_path)) == 12


def test_commands_are_published_without_private_parts() -> None:
    shown = public_command(
        "curate ingest /home/me/x/train.json --image-folder=/home/me/img -o data/"
    )
    assert shown == "curate ingest train.json --image-folder=img -o data/"
    assert public_command("a http://me:pass@host/v1") == "a http://host/v1"


def test_names_and_sizes() -> None:
    assert parse_bytes("500MB") == 500_000_000
    assert parse_bytes("2 GiB") == 2 << 30
    for wrong in ("", "x", "-1", "0", "5XB"):
        with pytest.raises(UsageError):
            parse_bytes(wrong)
    assert split_name("../../etc") == "etc"
    assert split_name(None) == "train"
    assert [hub_id(x) for x in ("CC BY-NC 4.0", "MIT", None, "my own")] == [
        "cc-by-nc-4.0", "mit", "unknown", "other",
    ]  # fmt: skip
    assert objection("CC BY-NC 4.0") == "no commercial use"
    assert objection("cc-by-4.0") is None
    assert objection(" ") == "no licence stated"


@pytest.mark.parametrize("content", ["text", "parts"])
def test_an_export_can_be_ingested_again(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture, content: str
) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    words = ("--what", "samples", "--content", content, "--max-rejects", "1")
    assert export(capsys, dataset.path, out, *words)[0] == 0
    argv = ["ingest", str(out), "-o", str(again), "--id", "sample_id", "--split", "train"]
    assert command.main("curate", "", COMMANDS, argv) == 0
    back = Dataset(again).union("samples").collect()
    first = dataset.union("samples").collect().head(11)
    for name in ("image_ids", "messages"):
        assert back[name].to_list() == first[name].to_list()


def test_a_local_models_place_is_not_published(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    ids = dataset.union("images").collect()["image_id"].to_list()
    rows = [
        {**pair(n, [ids[0]]), "policy": name} for n, name in enumerate(("/home/me/m/vl", "a/vl"))
    ]
    write(dataset, "pairs", "local", rows)
    export(capsys, dataset.path, tmp_path / "out", "--pairs", "local")
    table = pq.read_table(tmp_path / "out" / "data")
    assert sorted(table["policy"].to_pylist()) == ["a/vl", "vl"]
