"""`curate export --format ...`: each loader's own form, and `curate ingest` reads it back."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tiny_dataset import picture, write_dataset

from curate.cli import COMMANDS
from pairwright.commands import command
from pairwright.dataset.store import Dataset
from pairwright.errors import DataError, UsageError

SAMPLE = ("image_ids", "messages", "license", "task", "reference", "criteria")
PAIR = ("image_ids", "prompt", "chosen", "rejected", "chosen_score", "rejected_score", "margin")


def row(number: int, ids: list[str], question: str, answer: str | None, **more: Any) -> dict:
    turns = [{"role": "user", "content": question}]
    turns += [] if answer is None else [{"role": "assistant", "content": answer}]
    base = {"sample_id": f"s{number}", "image_ids": ids, "messages": turns, "source": "toy"}
    return {**base, "source_id": str(number), "license": "mit", **more}


def make(path: Path) -> Dataset:
    """One image, two, none, one inside the text; several turns; a system turn; odd texts."""
    contents = [picture(n, format=f) for n, f in enumerate(("PNG", "JPEG", "WEBP", "PNG"))]
    write_dataset(path, contents, [])
    ids = Dataset(path).union("images").select("image_id").collect()["image_id"].to_list()
    several = [
        {"role": "user", "content": "<image>\nwhat?"},
        {"role": "assistant", "content": "a dot"},
        {"role": "user", "content": "where?"},
        {"role": "assistant", "content": "left"},
    ]
    system = [{"role": "system", "content": "be short"}, *several[:2]]
    samples = [
        row(0, ids[:1], "<image>\nwhat is \u201cit\u201d?", "a\ndot \U0001f534", task="vqa"),
        row(1, ids[1:3], "<image>\n<image>\nsame?", "no", reference="no", criteria="be right"),
        row(2, [], "one and one?", "two", split="val", meta='{"hard": true, "n": [1, 2]}'),
        row(3, ids[3:], "look: <image> what?", "dot"),
        row(4, ids[:1], "", "", messages=several),
        row(5, ids[:1], "", "", messages=system),
        row(6, ids[:1], "<image>\nwhat does \\<image> mean?", "an image"),
        row(7, ids[:1], "<image>\nno answer?", None),
    ]
    data = Dataset(path)
    with data.write("samples", "toy", step="ingest", config={}, rejects=False) as writer:
        writer.add(samples)
    pairs = []
    for number, sample in enumerate(samples[:7]):
        pairs.append(
            {
                "pair_id": f"p{number}", "sample_id": sample["sample_id"],
                "image_ids": sample["image_ids"], "prompt": sample["messages"][:-1],
                "chosen": "a red dot", "rejected": "a blue dot", "method": "best-of-n",
                "policy": "a/vl", "chosen_score": 5.0, "rejected_score": 2.0, "margin": 3.0,
                "chosen_spans": [{"start": 2, "end": 5, "text": "red", "kind": "replace"}],
                "rejected_spans": [{"start": 2, "end": 6, "text": "blue", "kind": "replace"}],
            }
        )  # fmt: skip
    with data.write("pairs", "best-of-n", step="build", config={}, rejects=False) as writer:
        writer.add(pairs)
    return data


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make(tmp_path_factory.mktemp("formats") / "toy")


def curate(capsys: pytest.CaptureFixture, *words: object) -> tuple[int, dict[str, Any], str]:
    code = command.main("curate", "", COMMANDS, [*map(str, words), "--json"])
    out = capsys.readouterr()
    return code, json.loads(out.out.splitlines()[-1]) if out.out else {}, out.err


def export(
    capsys: pytest.CaptureFixture, dataset: Dataset, out: Path, form: str, what: str, **_: Any
) -> dict[str, Any]:
    words = ("--format", form, "--what", what, "--max-rejects", "1")
    code, shown, err = curate(capsys, "export", dataset.path, out, *words)
    assert code == 0, err
    return shown


def back(capsys: pytest.CaptureFixture, source: Path, place: Path, *words: str) -> Dataset:
    command_words = ("ingest", source, "-o", place, "--source-name", "toy", *words)
    code, _, err = curate(capsys, *command_words)
    assert code == 0, err
    return Dataset(place)


# What each form refuses, by the numbers of the rows above.
SAMPLE_REJECTS = {
    "llava": {5: "system_turn", 6: "literal_placeholder", 7: "no_answer"},
    "sharegpt": {6: "literal_placeholder", 7: "no_answer"},
    "messages": {6: "literal_placeholder"},
    "trl": {2: "no_image"},
}
SAMPLE_FILES = {
    "llava": ("train.json", "val.json"),
    "sharegpt": ("train.json", "val.json"),
    "messages": ("train.jsonl", "val.jsonl"),
    "trl": ("train",),
}


@pytest.mark.parametrize("form", SAMPLE_FILES)
def test_samples_come_back_the_same(dataset, tmp_path, capsys, form):
    out = tmp_path / "out"
    shown = export(capsys, dataset, out, form, "samples")
    rejected = SAMPLE_REJECTS[form]
    files = SAMPLE_FILES[form]
    counts = {"train": 7 - len(rejected.keys() - {2}), "val": 1 - (2 in rejected)}
    assert shown["splits"] == {name: n for name, n in counts.items() if n}
    if rejected:
        found = dataset.read("rejects/export", "export")
        assert dict(found.select("row_id", "reason").iter_rows()) == {
            f"s{number}": reason for number, reason in rejected.items()
        }
    frames = []
    for number, file in enumerate(files):
        data = back(capsys, out / file, tmp_path / f"back{number}")
        frames.append(data.union("samples").collect())
    frame = pl.concat(frames)
    originals = {r["sample_id"]: r for r in dataset.union("samples").collect().to_dicts()}
    assert len(frame) == len(originals) - len(rejected)
    for found in frame.to_dicts():
        original = originals[found["source_id"]]
        if form == "trl":  # white space around marks is not kept, as in all typed contents
            found["messages"] = squeezed(found["messages"])
            original = {**original, "messages": squeezed(original["messages"])}
        assert {n: found[n] for n in SAMPLE} == {n: original[n] for n in SAMPLE}
        meta = json.loads(found["meta"] or "{}")
        assert json.loads(original["meta"] or "{}").items() <= meta.items()


def squeezed(messages: list[dict]) -> list[dict]:
    return [{**m, "content": "".join(m["content"].split())} for m in messages]


def test_images_are_named_by_content_and_real_format(dataset, tmp_path, capsys):
    export(capsys, dataset, tmp_path / "out", "llava", "samples")
    facts = dataset.union("images").select("image_id", "format", "bytes").collect()
    files = {path.name: path.read_bytes() for path in (tmp_path / "out" / "images").iterdir()}
    endings = {"jpeg": "jpg", "png": "png", "webp": "webp"}
    assert files == {f"{i}.{endings[f]}": b for i, f, b in facts.iter_rows()}
    rows = json.loads((tmp_path / "out" / "train.json").read_text())
    assert isinstance(rows[0]["image"], str)
    assert len(rows[1]["image"]) == 2


@pytest.mark.parametrize("form", ["sharegpt", "trl", "rlhf-v"])
def test_pairs_come_back_the_same(dataset, tmp_path, capsys, form):
    out = tmp_path / "out"
    shown = export(capsys, dataset, out, form, "pairs")
    assert any("chosen_spans" in note for note in shown["left_out"]) is (form != "trl")
    keep = {"sharegpt": {0, 1, 2, 3, 4, 5}, "trl": {0, 1, 3, 4, 5, 6}, "rlhf-v": {0}}[form]
    assert shown["rows"] == len(keep)
    sources = {
        "sharegpt": (out / "train.json", out / "val.json"),
        "trl": (out / "train",),
        "rlhf-v": (out,),
    }[form]
    originals = dataset.read("pairs", "best-of-n").to_dicts()
    found = []
    for number, source in enumerate(sources):
        data = back(capsys, source, tmp_path / f"back{number}", "--as", "pairs")
        found += data.read("pairs", "toy").to_dicts()

    def plain(one: dict) -> str:
        prompt = squeezed(one["prompt"]) if form == "trl" else one["prompt"]
        return json.dumps([prompt if n == "prompt" else one[n] for n in PAIR])

    wanted = [plain(one) for number, one in enumerate(originals) if number in keep]
    assert sorted(map(plain, found)) == sorted(wanted)


@pytest.mark.slow
def test_datasets_reads_the_trl_folder_with_its_images(dataset, tmp_path, capsys):
    datasets = pytest.importorskip("datasets")
    out = tmp_path / "out"
    export(capsys, dataset, out, "trl", "samples")
    for stream in (False, True):
        rows = datasets.load_dataset(str(out), streaming=stream, cache_dir=str(tmp_path / "c"))
        assert set(rows) == {"train"}
        assert rows["train"].features["images"] == datasets.List(datasets.Image())
        read = {r["sample_id"]: [image.size for image in r["images"]] for r in rows["train"]}
        assert read == {f"s{n}": [(64, 64)] * (2 if n == 1 else 1) for n in (0, 1, 3, 4, 5, 6, 7)}


def test_datasets_reads_the_json_and_rlhf_v_forms(dataset, tmp_path, capsys):
    datasets = pytest.importorskip("datasets")
    for form in ("sharegpt", "messages"):
        export(capsys, dataset, tmp_path / form, form, "samples")
        rows = datasets.load_dataset(str(tmp_path / form), cache_dir=str(tmp_path / "c"))
        assert all((tmp_path / form / i).is_file() for r in rows["train"] for i in r["images"])
        # What LLaMA-Factory looks for in a row must be there.
        info = json.loads((tmp_path / form / "dataset_info.json").read_text())["toy_train"]
        assert set(info["columns"].values()) <= set(rows["train"].column_names)
        assert (tmp_path / form / info["file_name"]).is_file()
    export(capsys, dataset, tmp_path / "rlhf-v", "rlhf-v", "pairs")
    rows = datasets.load_dataset(str(tmp_path / "rlhf-v"), split="train")
    assert rows[0]["image"].size == (64, 64)
    assert json.loads(rows[0]["text"])["chosen"] == "a red dot"
    assert rows[0]["idx"] == 0


def test_a_kind_that_a_format_cannot_hold_is_refused(dataset, tmp_path, capsys):
    for form, what in (("llava", "pairs"), ("messages", "pairs"), ("rlhf-v", "samples")):
        words = ("--format", form, "--what", what)
        code, _, err = curate(capsys, "export", dataset.path, tmp_path / "x", *words)
        assert code == 2
        assert f"--format {form} has" in err
    assert not (tmp_path / "x").exists()


def test_other_formats_can_be_replaced_but_strangers_files_stay(dataset, tmp_path, capsys):
    out = tmp_path / "out"
    for form in ("trl", "sharegpt", "hub", "llava"):
        words = ("--format", form, "--what", "samples", "--max-rejects", "1", "--replace")
        assert curate(capsys, "export", dataset.path, out, *words)[0] == 0, form
    assert {p.name for p in out.iterdir()} == {"README.md", "images", "train.json", "val.json"}
    (out / "notes.txt").write_text("mine")
    assert curate(capsys, "export", dataset.path, out, "--replace")[0] == 2
    assert (out / "train.json").exists()


def test_a_place_that_cannot_be_written_is_told_in_one_line(dataset, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    code, _, err = curate(capsys, "export", dataset.path, tmp_path / "file" / "out")
    assert code == 2
    assert "cannot write there" in err
    from curate.export import staging as _staging

    def overtaken() -> None:
        with _staging.staged(tmp_path / "x"):
            (tmp_path / "x").mkdir()
            (tmp_path / "x" / "theirs").touch()

    with pytest.raises(UsageError, match="meanwhile"):
        overtaken()
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["theirs"]
    with pytest.raises(DataError, match="cannot be written"), _staging.staged(tmp_path / "y"):
        raise OSError(28, "No space left on device")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "x"]


def test_kill_9_leaves_nothing_visible_and_the_next_run_cleans_up(dataset, tmp_path, capsys):
    code = (
        "import sys, time, curate.export.loaders.files as f; real = f._write;"
        "f._write = lambda *a: (real(*a), print('row', flush=True), time.sleep(30));"
        "from pairwright.programs import curate; curate()"
    )
    out = tmp_path / "out"
    words = ["export", str(dataset.path), str(out), "--format", "llava"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"row\n"
    # A run that is alive is let be by another one to the same place.
    export(capsys, dataset, tmp_path / "out", "llava", "samples")
    assert len(list(tmp_path.glob(".out.tmp-*"))) == 1
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (left,) = tmp_path.glob(".out.tmp-*")
    assert list(left.rglob("*.png"))
    time.sleep(0.05)
    words = ["--format", "llava", "--max-rejects", "1", "--replace"]
    assert curate(capsys, "export", dataset.path, out, *words)[0] == 0
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
