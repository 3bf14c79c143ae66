"""WebDataset archives, Hub and `save_to_disk` folders, and images with texts next to them."""

import contextlib
import gzip
import io
import itertools
import json
import tarfile

import numpy as np
import polars as pl
import pytest
from PIL import Image

from curate.cli import COMMANDS
from curate.read.sources import webdataset
from curate.read.sources.find import find_source
from pairwright.commands import command
from pairwright.dataset.store import Dataset
from pairwright.errors import DataError, UsageError
from pairwright.images import ImageReader


def image(seed=0, kind="JPEG"):
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 20, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


def run(capsys, *words):
    code = command.main("curate", "", COMMANDS, ["ingest", *map(str, words), "--json"])
    shown = capsys.readouterr()
    return code, json.loads(shown.out), shown.err


def tar(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content or b"") or info.size
            archive.addfile(info, io.BytesIO(content) if content is not None else None)
    return path


def captions(first, count):
    """As img2dataset writes them."""
    for n in range(first, first + count):
        facts = {
            "caption": f"picture {n}",
            "url": f"https://x.org/{n}",
            "key": f"{n:09d}",
            "sha256": "?",
        }
        yield f"{n:09d}.jpg", image(n)
        yield f"{n:09d}.txt", f"picture {n}".encode()
        yield f"{n:09d}.json", json.dumps(facts).encode()


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.zst"])
def test_webdataset_shards(tmp_path, capsys, kind):
    import pyarrow as pa

    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(2):
        plain = tar(tmp_path / "plain.tar", captions(10 * number, 10)).read_bytes()
        pack = {"tar": bytes, "tar.gz": gzip.compress}.get(
            kind, lambda b: pa.compress(b, codec="zstd", asbytes=True)
        )
        (folder / f"{number:05d}.{kind}").write_bytes(pack(plain))
    code, shown, err = run(capsys, folder, "-o", tmp_path / "d", "--format", "webdataset")
    assert (code, shown["tables"], shown["rejects"]) == (0, {"images": 20, "samples": 20}, 0)
    assert "read as images with captions" in err
    dataset = Dataset(tmp_path / "d")
    row = dataset.read("samples", "shards").row(13, named=True)
    assert row["source_id"] == "000000013"
    assert [m["content"] for m in row["messages"]] == ["<image>\nDescribe the image.", "picture 13"]
    assert ImageReader(dataset).read(row["image_ids"][0]) == image(13)
    assert json.loads(row["meta"])["url"] == "https://x.org/13"


def test_conversations_and_classes_in_an_archive(tmp_path, capsys):
    turns = [
        {"from": "human", "value": "<image> or <image>?"},
        {"from": "gpt", "value": "The first."},
    ]
    members = [
        ("a/7.json", json.dumps({"images": ["7.b.png", "7.a.png"], "conversations": turns}).encode()),
        ("a/7.a.png", image(1, "PNG")), ("a/7.b.png", image(2, "PNG")),
        ("a/8.0.jpg", image(3)), ("a/8.10.jpg", image(4)), ("a/8.2.jpg", image(5)),
        ("a/8.json", json.dumps([turns[0], {"from": "gpt", "value": "None."}]).replace("or", "<image>").encode()),
        ("a/9.jpg", image(6)), ("a/9.question.txt", b"Which?"), ("a/9.cls", b"3"),
    ]  # fmt: skip
    code, shown, _ = run(capsys, tar(tmp_path / "t.tar", members), "-o", tmp_path / "d")
    assert (code, shown["rows"], shown["rejects"]) == (3, 2, 1)  # a question is no conversation
    samples, images = (Dataset(tmp_path / "d").read(kind, "t") for kind in ("samples", "images"))
    reader = ImageReader(Dataset(tmp_path / "d"))
    assert [reader.read(i) for i in samples["image_ids"][0]] == [
        image(2, "PNG"),
        image(1, "PNG"),
    ]
    assert [reader.read(i) for i in samples["image_ids"][1]] == [image(3), image(5), image(4)]
    assert images.height == 5
    words = ["-o", tmp_path / "e", "--format", "qa", "--max-rejects", "1"]
    assert run(capsys, tmp_path / "t.tar", *words)[1]["rows"] == 1
    row = Dataset(tmp_path / "e").read("samples", "t").row(0, named=True)
    assert [m["content"] for m in row["messages"]] == ["<image>\nWhich?", "3"]


def hostile_members(folder):
    link = tarfile.TarInfo("l.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device = tarfile.TarInfo("d.jpg")
    device.type = tarfile.CHRTYPE
    huge = tarfile.TarInfo("huge.json")
    huge.size = 0
    return [
        ("../out.jpg", image()), ("../out.txt", b"x"), ("/abs.jpg", image()), (link, None),
        (device, None), ("noextension", b"x"), ("ok.jpg", image(1)), ("ok.txt", b"fine"),
        ("bad.jpg", b"no image"), ("bad.txt", b"x"), ("json.jpg", image(2)), ("json.json", b"{broken"),
        ("list.jpg", image(3)), ("list.json", b"[1, 2]"), ("utf.jpg", image(4)), ("utf.txt", b"\xff\xfe"),
        ("twice.jpg", image(5)), ("twice.jpg", image(6)), ("twice.txt", b"x"),
        ("deep.jpg", image(7)), ("deep.json", b"[" * 100_000), (".hidden.jpg", b"x"),
        ("dotted/.DS_Store", b"x"), ("script.py", b"import os"), ("only.txt", b"no picture"),
        ("nul.jpg", image(8)), ("nul.txt", b"a\0b"), ("last.jpg", image(9)), ("last.txt", b"fine too"),
    ]  # fmt: skip


def test_a_hostile_archive_costs_its_bad_rows_only(tmp_path, capsys):
    folder = tmp_path / "src"
    folder.mkdir()
    tar(folder / "t.tar", hostile_members(folder))
    code, shown, _ = run(capsys, folder / "t.tar", "-o", tmp_path / "d", "--format", "caption")
    assert code == 3
    samples = Dataset(tmp_path / "d").read("samples", "t")
    assert [m[1]["content"] for m in samples["messages"]] == ["fine", "fine too"]
    assert shown["reject_reasons"] == {
        "unsafe_member": 5, "unnamed_member": 1, "not_an_image": 1, "malformed_json": 1, "not_an_object": 1,
        "invalid_unicode": 1, "duplicate_member": 1, "too_deep": 1, "missing_field": 2, "nul_in_text": 1,
    }  # fmt: skip
    assert sorted(path.name for path in folder.iterdir()) == ["t.tar"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "src"]

    whole = (folder / "t.tar").read_bytes()
    (folder / "cut.tar").write_bytes(whole[: len(whole) // 2 - 700])
    code, shown, _ = run(capsys, folder / "cut.tar", "-o", tmp_path / "e", "--format", "caption")
    assert shown["reject_reasons"]["malformed_archive"] == 1
    assert shown["rows"] >= 1


def test_large_members_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(webdataset, "MAX_BYTES", 2000)
    path = tar(tmp_path / "t.tar", [("a.jpg", b"x" * 5000), ("b.jpg", image()), ("b.txt", b"b")])
    rows = list(webdataset.read_tar(path))
    assert [row.error and row.error.reason for row in rows] == ["row_too_large", None]


def table(n, first=0):
    images = [{"bytes": image(first + k), "path": None} for k in range(n)]
    return {
        "question": [f"Q{first + k}?" for k in range(n)],
        "image": images,
        "label": [k % 2 for k in range(n)],
    }


def test_save_to_disk_folders(tmp_path, capsys):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({
        "question": datasets.Value("string"), "image": datasets.Image(),
        "label": datasets.ClassLabel(names=["no", "yes"])})  # fmt: skip
    parts = {"train": table(5), "test": table(2, 5)}
    made = {
        name: datasets.Dataset.from_dict(rows, features=features) for name, rows in parts.items()
    }
    datasets.DatasetDict(made).save_to_disk(tmp_path / "saved", num_shards={"train": 2, "test": 1})
    code, shown, _ = run(capsys, tmp_path / "saved", "-o", tmp_path / "d")
    assert (code, shown["rows"]) == (0, 7)
    samples = Dataset(tmp_path / "d").read("samples", "saved")
    assert samples["split"].to_list() == ["train"] * 5 + ["test"] * 2
    assert [m[1]["content"] for m in samples["messages"]] == ["no", "yes"] * 2 + ["no"] + [
        "no",
        "yes",
    ]
    code, shown, _ = run(capsys, tmp_path / "saved", "-o", tmp_path / "e", "--split", "test")
    assert (code, shown["rows"], shown["table"]) == (0, 2, "samples/saved-test")
    with pytest.raises(UsageError, match="has the splits train, test, not 'val'"):
        find_source(str(tmp_path / "saved"), "val")
    made["train"].save_to_disk(tmp_path / "one")
    assert len(list(find_source(str(tmp_path / "one")).rows())) == 5

    state = tmp_path / "one" / "state.json"
    (tmp_path / "x.arrow").write_bytes(b"")
    state.write_text(json.dumps({"_data_files": [{"filename": "../x.arrow"}]}))
    with pytest.raises(DataError, match="does not exist"):
        find_source(str(tmp_path / "one"))


def test_a_malformed_arrow_file_ends_no_process(tmp_path):
    import pyarrow as pa

    rows = pa.table({"question": [f"question {n}" for n in range(500)]})
    with pa.ipc.new_stream(tmp_path / "x.arrow", rows.schema) as writer:
        writer.write_table(rows, max_chunksize=100)
    whole = (tmp_path / "x.arrow").read_bytes()
    random = np.random.default_rng(0)
    for _ in range(40):
        content = bytearray(whole)
        at = int(random.integers(8, len(content) - 8))
        content[at : at + 8] = random.bytes(8)
        (tmp_path / "x.arrow").write_bytes(bytes(content))
        with contextlib.suppress(DataError):
            assert len(list(find_source(str(tmp_path / "x.arrow")).rows())) >= 1


def test_names_that_would_take_for_ever(tmp_path):
    long = tarfile.TarInfo("a/" * 200_000 + "x")
    path = tar(tmp_path / "t.tar", [(long, b"x"), ("b.jpg", image()), ("b.txt", b"b")])
    rows = [row for _, row in find_source(str(path)).rows()]
    assert [row.error and row.error.reason for row in rows] == ["unnamed_member", None]
    bomb = "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*{p}, *{p}, *{p}, *{p}, *{p}, *{p}, *{p}, *{p}]\n"
                                      for p, c in itertools.pairwise("abcdefghijklmnopqrst"))  # fmt: skip
    (tmp_path / "README.md").write_text(
        f"---\n{bomb}configs: [{{config_name: *t, data_files: *t}}]\n---\n"
    )
    with pytest.raises(DataError):
        find_source(str(tmp_path))


def test_a_hub_repository_says_what_its_files_are(tmp_path, capsys):
    repo = tmp_path / "repo"
    for name in ("data", "extra"):
        (repo / name).mkdir(parents=True)
    pl.DataFrame(table(4)).write_parquet(repo / "data" / "train-00000-of-00001.parquet")
    pl.DataFrame(table(2, 4)).write_parquet(repo / "data" / "held_out.parquet")
    (repo / "extra" / "rows.jsonl").write_text('{"question": "Q?", "answer": "A"}')
    readme = """---
license: cc-by-nc-4.0
configs:
- config_name: default
  data_files:
  - {split: train, path: "data/train-*"}
  - {split: validation, path: [data/held_out.parquet]}
- config_name: text
  data_files: extra/*.jsonl
---
# A set
"""
    (repo / "README.md").write_text(readme)
    code, shown, err = run(capsys, repo, "-o", tmp_path / "d")
    assert (code, shown["rows"], "license cc-by-nc-4.0" in err) == (0, 6, True)
    samples = Dataset(tmp_path / "d").read("samples", "repo")
    assert samples["split"].to_list() == ["train"] * 4 + ["validation"] * 2
    assert samples["license"].unique().to_list() == ["cc-by-nc-4.0"]
    code, shown, _ = run(capsys, repo, "-o", tmp_path / "e", "--subset", "text", "--license", "mit")
    assert (shown["rows"], shown["table"]) == (1, "samples/repo-text")
    for subset, match in [("gone", "no configuration 'gone'"), (None, "several")]:
        text = readme.replace("name: default", "name: one")
        (repo / "README.md").write_text(text if subset is None else readme)
        with pytest.raises(UsageError, match=match):
            find_source(str(repo), None, subset)
    (repo / "README.md").write_text(readme.replace("data/train-*", "../../*.parquet"))
    with pytest.raises(DataError, match="not in the folder"):
        find_source(str(repo))
    (repo / "README.md").write_text("---\n{not: yaml: at: all\n---\n")
    assert {f.split for f in find_source(str(repo)).files} == {"train", None}


def test_splits_in_file_names(tmp_path):
    for name in ("train.jsonl", "val.jsonl.gz", "test_images.jsonl"):
        text = b'{"question": "Q?"}'
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    (tmp_path / "dataset_infos.json").write_text("{}")
    found = find_source(str(tmp_path))
    assert [(f.name, f.split) for f in found.files] == [
        ("test_images.jsonl", "test"), ("train.jsonl", "train"), ("val.jsonl.gz", "validation")]  # fmt: skip
    (tmp_path / "other.jsonl").write_text("{}")
    with pytest.raises(UsageError, match="several files"):
        find_source(str(tmp_path))


def test_images_with_a_text_of_the_same_name(tmp_path, capsys):
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    for name in ("a", "sub/b", "c"):
        (folder / f"{name}.jpg").write_bytes(image(ord(name[-1])))
    (folder / "a.txt").write_text("first")
    (folder / "sub" / "b.json").write_text(json.dumps({"question": "Q?", "answer": "A"}))
    code, shown, _ = run(capsys, folder, "-o", tmp_path / "d", "--format", "webdataset")
    assert (code, shown["rows"], shown["reject_reasons"]) == (3, 2, {"missing_field": 1})
    samples = Dataset(tmp_path / "d").read("samples", "pictures")
    assert samples["source_id"].to_list() == ["a", "sub/b"]
    (folder / "c.txt").write_text("third")
    assert run(capsys, folder, "-o", tmp_path / "d")[0] == 2  # the source has changed
    assert run(capsys, folder, "-o", tmp_path / "d", "--replace")[1]["rows"] == 3


def test_a_zip_must_be_unpacked(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(DataError, match="unpack it first"):
        find_source(str(tmp_path / "x.zip"))
