"""`curate export`: a folder that `datasets` reads back equal."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from export_toy import export, load, make_toy, pair, sample, write

import pairwright as pw
from curate.cli import COMMANDS
from curate.export import splits
from curate.export.card import escape
from curate.export.hub_rows import hub_messages, images_in_front
from curate.export.options import parse_bytes
from curate.export.parquet_table import split_name
from curate.licenses import hub_id, objection
from pairwright.commands import command
from pairwright.dataset.lineage import public_command
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError

HOSTILE = "<script>alert(1)</script> | `x` [a](javascript:b) \u202e # ---\n| row |"


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_toy(tmp_path / "toy")


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
        assert (row["source"], row["license"]) == ("toy", "mit")


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
        capsys,
        dataset.path,
        out,
        "--what",
        "samples",
        "--test-fraction",
        "0.3",
        "--max-rejects",
        "1",
    )
    assert code == 0
    assert set(shown["splits"]) == {"train", "test"}
    sides = [
        {i for row in load(out, split, tmp_path) for i in row["image_ids"]}
        for split in ("train", "test")
    ]
    assert not sides[0] & sides[1]


def test_groups_stay_in_their_split() -> None:
    images = [["a"], ["a", "b"], ["b", "c"], ["d"], [], ["e"], ["f"]]
    rows = [str(n) for n in range(len(images))]

    def rows_of_test_split(rows, images, fraction, seed):
        split = splits.TestSplit(fraction, seed)
        split.link(images)
        split.look(rows, images)
        return [split.is_test(*row) for row in zip(rows, images, strict=True)]

    for seed in range(20):
        test = rows_of_test_split(rows, images, 0.5, seed)
        assert test[0] == test[1] == test[2]
        assert any(test)
        assert not all(test)
        more = rows_of_test_split([*rows, "x"], [*images, ["z"]], 0.5, seed)
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
        [sample(30, [], source=HOSTILE, license=HOSTILE, task=HOSTILE)],
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


@pytest.mark.parametrize(
    ("command", "published"),
    [
        (
            "curate ingest /home/me/x/train.json --image-folder=/home/me/img -o data/",
            "curate ingest train.json --image-folder=img -o data/",
        ),
        ("a http://me:pass@host/v1", "a http://host/v1"),
        ("curate x '/home/me/my photos/x.json' -o/home/me/d", "curate x x.json -od"),
        ("curate x --out='/home/me/a b' 'rows:/home/me/f'", "curate x '--out=a b' rows:f"),
        ("curate x '/home/me/it'\"'\"'s/x y' ~/z file:///home/me/f", "curate x 'x y' z f"),
        ("curate x 'C:\\Users\\me\\a.json' hf://a/b 'shards/*.tar'", "curate x a.json hf://a/b 'shards/*.tar'"),
        ("judge x --criteria 'a: b / c, and/or'", "judge x --criteria 'a: b / c, and/or'"),
        ("curate x 'open /home/me/q", "curate x 'open q"),
        ("pw.curate.dedup('/tmp/x/dh', threshold=0.8)", "pw.curate.dedup('dh', threshold=0.8)"),
        (
            "pw.curate.dedup('d', against=('/home/me/a b', '~/c'), keep=None, max_rejects=inf)",
            "pw.curate.dedup('d', against=('a b', 'c'), keep=None, max_rejects=inf)",
        ),
        (
            "pw.judge.score('/d', criteria=(\"it's as in /home/me/r.txt\",), base_url='http://u:p@h/v1')",
            "pw.judge.score('d', criteria=(\"it's as in r.txt\",), base_url='http://h/v1')",
        ),
        ("pw.curate.dedup(/broken/x", "pw.curate.dedup(x"),
    ],
)  # fmt: skip
def test_commands_are_published_without_private_parts(command: str, published: str) -> None:
    assert public_command(command) == published


def test_runs_made_from_python_are_published_as_python(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pw.curate.dedup(dataset.path, show=0)
    out = tmp_path / "out"
    export(capsys, dataset.path, out, "--what", "samples")
    text = (out / "README.md").read_text()
    assert str(tmp_path) not in text
    call = f"pw.curate.dedup({dataset.path.name!r}, show=0)"
    assert f"```\n\n```python\nimport pairwright as pw\n\n{call}\n```\n\n```bash\n" in text
    assert "\n\n\n" not in text.partition("To make it again")[2]
    code = "".join(part.partition("\n```")[0] for part in text.split("```bash\n")[1:])
    assert "pw." not in code


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
    assert objection(" ") == "no license stated"


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
