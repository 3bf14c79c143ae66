"""`curate ingest` through the command: what lands in the tables."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
from PIL import Image

from curate.cli import COMMANDS
from pairwright.commands import command
from pairwright.dataset.store import Dataset
from pairwright.images import ImageReader
from schemas.tables import TABLES


def png(seed, size=(32, 24)):
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def llava(folder, rows=6, images=3):
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number in range(images):
        (folder / "images" / f"{number}.png").write_bytes(png(number))
    data = [
        {
            "id": f"r{number}",
            "image": f"images/{number % images}.png",
            "conversations": [
                {"from": "human", "value": f"<image>\nQuestion {number}?"},
                {"from": "gpt", "value": f"Answer {number}."},
            ],
        }
        for number in range(rows)
    ]
    (folder / "train.json").write_text(json.dumps(data))
    return folder / "train.json"


def run(capsys, *words):
    """Exit code, the JSON object, stderr."""
    code = command.main("curate", "", COMMANDS, ["ingest", *map(str, words), "--json"])
    shown = capsys.readouterr()
    return code, json.loads(shown.out), shown.err


def table(dataset, kind, name):
    return dataset.read(kind, name)


def test_llava_samples_and_images(tmp_path, capsys):
    source = llava(tmp_path / "src")
    out = tmp_path / "data"
    code, shown, err = run(capsys, source, "-o", out, "--license", "cc-by-4.0")
    assert (code, shown["rows"], shown["tables"]) == (0, 6, {"images": 3, "samples": 6})
    assert "read as LLaVA conversations" in err
    dataset = Dataset(out)
    samples = table(dataset, "samples", "train")
    assert TABLES["samples"].validate(samples) is not None
    assert TABLES["images"].validate(table(dataset, "images", "train")) is not None
    assert samples["source_id"].to_list() == [f"r{n}" for n in range(6)]
    assert samples["license"].unique().to_list() == ["cc-by-4.0"]
    reader = ImageReader(dataset)
    assert reader.read(samples["image_ids"][4][0]) == png(1)

    before = sorted(path.stat().st_mtime_ns for path in out.rglob("*.parquet"))
    code, shown, _ = run(capsys, source, "-o", out, "--license", "cc-by-4.0")
    assert (code, shown["rows"]) == (0, 6)
    assert sorted(path.stat().st_mtime_ns for path in out.rglob("*.parquet")) == before


def test_another_configuration_or_source_is_refused(tmp_path, capsys):
    source = llava(tmp_path / "src")
    assert run(capsys, source, "-o", tmp_path / "d")[0] == 0
    code, shown, _ = run(capsys, source, "-o", tmp_path / "d", "--license", "mit")
    assert (code, "--replace" in shown["error"]) == (2, True)
    llava(tmp_path / "src", rows=7)
    code, shown, _ = run(capsys, source, "-o", tmp_path / "d")
    assert (code, "source train.json changed" in shown["error"]) == (2, True)
    assert run(capsys, source, "-o", tmp_path / "d", "--replace")[1]["rows"] == 7
    assert run(capsys, source, "-o", tmp_path / "d", "--run", "two")[1]["tables"]["images"] == 0


def test_ids_that_repeat_and_ids_that_are_missing(tmp_path, capsys):
    rows = [{"id": "a", "question": "Q1"}, {"id": "a", "question": "Q1"}, {"question": "Q2"}]
    source = tmp_path / "q.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    code, shown, _ = run(capsys, source, "-o", tmp_path / "d")
    assert (code, shown["rows"], shown["unanswered"]) == (0, 3, 3)
    samples = table(Dataset(tmp_path / "d"), "samples", "q")
    assert samples["source_id"].to_list() == ["a", "a", "3"]
    assert samples["sample_id"].n_unique() == 3


def test_hub_parquet_with_messages_and_embedded_images(tmp_path, capsys):
    turns = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "That."}]
    images = [[{"bytes": png(n % 2), "path": None}] for n in range(5)]
    folder = tmp_path / "hub" / "data"
    folder.mkdir(parents=True)
    frame = pl.DataFrame({"messages": [turns] * 5, "images": images})
    frame.write_parquet(folder / "train-00000-of-00001.parquet")
    code, shown, _ = run(capsys, tmp_path / "hub", "-o", tmp_path / "d")
    assert (code, shown["tables"], shown["images_decoded"]) == (0, {"images": 2, "samples": 5}, 2)
    samples = table(Dataset(tmp_path / "d"), "samples", "hub")
    assert samples["split"].unique().to_list() == ["train"]
    assert samples["messages"][0][0]["content"] == "<image>\nWhat?"


def test_image_folder_with_a_csv(tmp_path, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(png(1))
    (folder / "metadata.csv").write_text("file_name,text\na.png,A picture\n")
    code, shown, _ = run(capsys, folder, "-o", tmp_path / "d")
    assert (code, shown["rows"]) == (0, 1)
    row = table(Dataset(tmp_path / "d"), "samples", "pictures").row(0, named=True)
    assert row["task"] == "caption"
    assert [m["content"] for m in row["messages"]] == ["<image>\nDescribe the image.", "A picture"]


def test_linked_images_keep_their_path_only(tmp_path, capsys):
    source = llava(tmp_path / "src")
    assert run(capsys, source, "-o", tmp_path / "d", "--link")[0] == 0
    dataset = Dataset(tmp_path / "d")
    images = table(dataset, "images", "train")
    assert images["bytes"].null_count() == 3
    assert ImageReader(dataset).read(images["image_id"][0]) == png(0)


def test_an_image_is_stored_once_and_survives_the_replacement_of_its_source(tmp_path, capsys):
    first, second = llava(tmp_path / "one"), llava(tmp_path / "two", rows=4)
    out = tmp_path / "d"
    assert run(capsys, first, "-o", out, "--source-name", "one")[1]["tables"]["images"] == 3
    assert run(capsys, second, "-o", out, "--source-name", "two")[1]["tables"]["images"] == 0
    llava(tmp_path / "one", rows=2, images=1)
    shown = run(capsys, first, "-o", out, "--source-name", "one", "--replace")[1]
    assert shown["tables"]["samples"] == 2
    dataset = Dataset(out)
    reader = ImageReader(dataset)
    used = dataset.union("samples").collect()["image_ids"].explode().unique()
    assert len(used) == 3
    assert all(image_id in reader for image_id in used)


def test_preferences_become_pairs_of_samples(tmp_path, capsys):
    rows = [
        {"prompt": f"Q{n}", "chosen": f"good {n}", "rejected": f"bad {n}", "images": [png(n)]}
        for n in range(4)
    ]
    rows.append({"prompt": "Q", "chosen": "same", "rejected": "same", "images": [png(0)]})
    pl.DataFrame(rows).write_parquet(tmp_path / "prefs.parquet")
    code, shown, _ = run(capsys, tmp_path / "prefs.parquet", "-o", tmp_path / "d")
    assert (code, shown["table"], shown["rows"]) == (3, "pairs/prefs", 4)
    assert shown["reject_reasons"] == {"same_answers": 1}
    dataset = Dataset(tmp_path / "d")
    pairs, samples = table(dataset, "pairs", "prefs"), table(dataset, "samples", "prefs")
    assert TABLES["pairs"].validate(pairs) is not None
    assert pairs["sample_id"].to_list() == samples["sample_id"].to_list()
    assert pairs["prompt"][0].to_list() == [{"role": "user", "content": "<image>\nQ0"}]
    assert samples["messages"][0][1]["content"] == "good 0"


def test_corrections_become_responses_and_feedback(tmp_path, capsys):
    text = {"question": "What is it?", "chosen": "A red cat.", "rejected": "A blue cat sat."}
    rows = [
        {"idx": 1, "image": {"bytes": png(1), "path": "x.png"}, "text": json.dumps(text)},
        {"idx": 2, "image": {"bytes": png(2), "path": "x.png"}, "text": "no correction"},
    ]
    pl.DataFrame(rows).write_parquet(tmp_path / "rlhfv.parquet")
    code, shown, _ = run(
        capsys, tmp_path / "rlhfv.parquet", "-o", tmp_path / "d", "--as", "feedback"
    )
    assert (code, shown["tables"]["feedback"]) == (3, 1)
    dataset = Dataset(tmp_path / "d")
    feedback = table(dataset, "feedback", "rlhfv").row(0, named=True)
    response = table(dataset, "responses", "rlhfv").row(0, named=True)
    assert response["text"] == "A blue cat sat."
    assert feedback["response_id"] == response["response_id"]
    assert feedback["corrected"] == "A red cat."
    assert [span["text"].strip() for span in feedback["spans"]] == ["blue", "sat"]

    sample_id = table(dataset, "samples", "rlhfv")["sample_id"][0]
    more = [
        {"sample_id": sample_id, "original": "One dog.", "corrected": "One cat.", "by": "ann"},
        {"sample_id": sample_id, "original": "One dog.", "corrected": "Two.", "by": "ann"},
        {"sample_id": "gone", "original": "One dog.", "corrected": "One cat."},
        {"question": "Q?", "original": "A dog ran.", "spans": [{"span": "dog", "correct": False}]},
    ]
    (tmp_path / "more.jsonl").write_text("\n".join(map(json.dumps, more)))
    shown = run(capsys, tmp_path / "more.jsonl", "-o", tmp_path / "d", "--as", "feedback")[1]
    assert shown["tables"] == {"images": 0, "samples": 1, "responses": 2, "feedback": 2}
    assert shown["reject_reasons"] == {"duplicate_feedback": 1, "unknown_sample": 1}
    responses = table(dataset, "responses", "more")
    assert responses["prompt"][0].to_list() == response["prompt"]


def test_the_reference_may_be_the_answer(tmp_path, capsys):
    command_line = ["easy-vqa", "--split", "test", "--limit", "3", "--reference", "answer"]
    code, shown, _ = run(capsys, *command_line, "-o", tmp_path / "d")
    assert (code, shown["rows"]) == (0, 3)
    samples = table(Dataset(tmp_path / "d"), "samples", "easy-vqa-test")
    assert samples["source_id"].to_list() == ["test/0", "test/1", "test/2"]
    assert samples["split"].unique().to_list() == ["test"]
    answers = [messages[-1]["content"] for messages in samples["messages"]]
    assert samples["reference"].to_list() == answers


def test_dry_run_reports_and_writes_nothing(tmp_path, capsys):
    source = llava(tmp_path / "src")
    code = command.main(
        "curate", "", COMMANDS, ["ingest", str(source), "-o", str(tmp_path / "d"), "--dry-run"]
    )
    assert code == 0
    assert "would write 6 rows" in capsys.readouterr().out
    assert not (tmp_path / "d").exists()


def test_the_dataset_is_made_where_the_user_is(tmp_path, capsys, monkeypatch):
    source = llava(tmp_path / "src")
    monkeypatch.chdir(tmp_path)
    assert run(capsys, source)[0] == 0
    assert Dataset(tmp_path / "data").runs("samples")
    monkeypatch.setenv("PAIRWRIGHT_DATA", str(tmp_path / "other"))
    assert run(capsys, source)[0] == 0
    assert Dataset(tmp_path / "other").runs("samples")


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["gone.json"], "no such file"),
        (["{src}", "--image-folder", "gone"], "no such folder"),
        (["{src}", "--as", "feedback", "--format", "llava"], "needs rows with a better"),
        (["{src}", "--as", "responses"], "no samples|no dataset"),
        (["easy-vqa", "--split", "val"], "has the splits"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path, capsys, words, match):
    source = llava(tmp_path / "src")
    words = [str(source) if word == "{src}" else word for word in words]
    code, shown, err = run(capsys, *words, "-o", tmp_path / "d")
    assert code in (1, 2)
    assert re.search(match, shown["error"])
    assert err.strip().count("\n") <= 1


def test_many_images_go_through_a_pool_with_the_same_result(tmp_path, capsys, monkeypatch):
    source = llava(tmp_path / "src", rows=60, images=60)
    run(capsys, source, "-o", tmp_path / "one")
    monkeypatch.setattr("curate.ingest.decode._SECONDS_IN_PROCESS", 0.0)
    run(capsys, source, "-o", tmp_path / "two")
    for kind in ("images", "samples"):
        first, second = (table(Dataset(tmp_path / d), kind, "train") for d in ("one", "two"))
        assert first.equals(second)


def test_a_decoder_that_dies_costs_the_image(tmp_path):
    from curate.ingest import intake
    from curate.read.rows import ImageRef

    refs = [ImageRef(content=png(n)) for n in range(3)]
    with intake.Intake(tmp_path, set()) as images:
        images.decoder._busy_seconds = 99.0
        tickets = images.submit(refs[:1])
        assert images.image_id(tickets[0])
        for process in images.decoder._pool._processes.values():
            os.kill(process.pid, signal.SIGKILL)
        tickets = images.submit(refs[1:])
        assert [len(images.image_id(ticket)) for ticket in tickets] == [64, 64]


@pytest.mark.slow
def test_kill_9_and_the_same_command_again(tmp_path):
    source = llava(tmp_path / "src", rows=0, images=0)
    folder = tmp_path / "src" / "images"
    n_images, n_rows = 450, 45_000
    for number in range(n_images):
        (folder / f"{number}.png").write_bytes(png(number))
    with source.open("w") as file:
        for number in range(n_rows):
            row = {"id": number // 2, "image": f"images/{number * n_images // n_rows}.png",
                   "question": f"Question {number}?", "answer": "word " * 20}  # fmt: skip
            file.write(json.dumps(row if number % 1000 else {**row, "image": "gone.png"}) + "\n")

    def start(out):
        words = [sys.executable, "-c", "from pairwright.programs import curate; curate()", "ingest", str(source),
                 "-o", str(out), "--json", "--max-rejects", "1"]  # fmt: skip
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    whole = json.loads(start(tmp_path / "whole").communicate(timeout=300)[0])
    process = start(tmp_path / "killed")
    manifest = tmp_path / "killed" / "samples" / "train" / "_table.json"
    while process.poll() is None:
        if manifest.exists() and json.loads(manifest.read_text())["parts"]:
            process.kill()
            break
        time.sleep(0.005)
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    state = json.loads(manifest.read_text())
    assert (state["status"], sum(part["rows"] for part in state["parts"]) < n_rows) == (
        "running",
        True,
    )

    output, err = start(tmp_path / "killed").communicate(timeout=300)
    assert "resuming after" in err
    resumed = json.loads(output)
    assert resumed["tables"] == whole["tables"] == {"images": n_images, "samples": n_rows - 45}
    assert resumed["reject_reasons"] == {"missing_image": 45}
    assert resumed["images_decoded"] < whole["images_decoded"] == n_images + 1
    datasets = Dataset(tmp_path / "whole"), Dataset(tmp_path / "killed")
    for kind, key in [("samples", "sample_id"), ("images", "image_id")]:
        keys = [table(dataset, kind, "train")[key].to_list() for dataset in datasets]
        assert sorted(keys[0]) == sorted(keys[1])
        assert len(keys[1]) == len(set(keys[1]))
