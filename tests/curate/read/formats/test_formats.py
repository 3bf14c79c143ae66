"""Every format of rows in its real shape: detected from its fields, and read by its name."""

import base64
import contextlib
import io
import json
import re
import time

import numpy as np
import polars as pl
import pytest
from PIL import Image

from curate.cli import COMMANDS
from curate.read import preferences
from curate.read.fields import Naming
from curate.read.formats import label_studio, load_formats, minigpt, swift, vlfeedback
from curate.read.rows import RowError
from pairwright.commands import command
from pairwright.dataset.store import Dataset
from schemas.tables import TABLES

NAMING = Naming()
FORMATS = load_formats()


def jpeg(seed=0, size=(24, 16)):
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


def run(capsys, *words):
    code = command.main("curate", "", COMMANDS, ["ingest", *map(str, words), "--json"])
    shown = capsys.readouterr()
    return code, json.loads(shown.out), shown.err


def turns(*texts, roles=("human", "gpt")):
    return [{"from": roles[n % 2], "value": text} for n, text in enumerate(texts)]


def said(*texts):
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]


def completion(model, response, *ratings):
    names = ("Helpfulness", "Ethical Considerations", "Visual Faithfulness")
    notes = {n: {"Rating": r, "Rationale": "why"} for n, r in zip(names, ratings, strict=True)}
    return {"annotations": notes, "model": model, "response": response}


RLHF_V_TEXT = {"question": "Q?", "chosen": "A red cat sits.", "rejected": "A blue cat sits."}
SELECTED = {"from_name": "pw", "to_name": "answer1,answer2", "type": "pairwise"}
# Format, a row, table, messages of the sample, other facts.
SHAPES = {
    "llava": (
        {"id": "1", "image": "a.jpg", "conversations": turns("<image>\nQ?", "A.")},
        "samples", ["<image>\nQ?", "A."],
    ),
    "sharegpt": (
        {"images": ["a.jpg"], "system": "Be brief.", "tools": "[]",
         "conversations": [
             {"from": "human", "value": "<image>Q?"}, {"from": "function_call", "value": "{}"},
             {"from": "observation", "value": "42"}, {"from": "gpt", "value": "A."}]},
        "samples", ["Be brief.", "<image>Q?", "{}", "42", "A."],
    ),
    "messages": (
        {"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Q?"}]},
                      {"role": "assistant", "content": [{"type": "text", "text": "A."}]}],
         "images": ["a.jpg"]},
        "samples", ["<image>\nQ?", "A."],
    ),
    "swift": (
        {"query": "<img>a.jpg</img>\nand?", "response": "A2.", "history": [["Q1?", "A1."]], "system": "S"},
        "samples", ["S", "Q1?", "A1.", "<image>\nand?", "A2."],
    ),
    "m3it": (
        {"instruction": "Answer.", "inputs": "Q?", "outputs": "A.",
         "image_base64_str": [base64.b64encode(jpeg()).decode()]},
        "samples", ["<image>\nAnswer.\nQ?", "A."],
    ),
    "minigpt": (
        {"image_id": "a", "conversations": turns("<Img><ImageHere></Img> Q?", "A.")},
        "samples", ["<image> Q?", "A."],
    ),
    "caption": (
        {"image": "a.jpg", "caption": "A picture.", "width": 24},
        "samples", ["<image>\nDescribe the image.", "A picture."],
    ),
    "qa": (
        {"image": "a.jpg", "instruction": "Q", "input": "?", "output": "A.", "history": []},
        "samples", ["<image>\nQ\n?", "A."],
    ),
    "trl-preference": (
        {"images": ["a.jpg"], "prompt": said("Q?"), "chosen": said("", "G.")[1:],
         "rejected": said("", "B.")[1:]},
        "pairs", ["<image>\nQ?", "G."],
    ),
    "rlhf-v": (
        {"ds_name": "RLHF-V", "image": {"bytes": None, "path": "a.jpg"}, "idx": 3,
         "text": json.dumps(RLHF_V_TEXT), "origin_dataset": "COCO", "image_path": "x/a.jpg",
         "origin_split": json.dumps({"model": "Muffin", "type": "question answering"})},
        "pairs", ["<image>\nQ?", "A red cat sits."],
    ),
    "rlaif-v": (
        {"ds_name": "RLAIF-V", "image": {"bytes": None, "path": "a.jpg"}, "question": "Q?",
         "chosen": "G.", "rejected": "B.", "origin_dataset": "COCO", "origin_split": '{"model": "m"}',
         "idx": "1", "image_path": "x/a.jpg"},
        "pairs", ["<image>\nQ?", "G."],
    ),
    "vlfeedback": (
        {"id": "1", "prompt": "Q?", "models": ["x", "y"], "img_path": "a.jpg",
         "completions": [completion("x", "A.", "4", "5", "N/A"), completion("y", "B.", "2", "5", "1")]},
        "responses", ["<image>\nQ?"],
    ),
    "label-studio": (
        {"id": 7, "data": {"image": "/data/local-files/?d=a.jpg", "prompt": "Q?",
                           "answer1": "A.", "answer2": "B."},
         "annotations": [
             {"id": 1, "completed_by": 2, "result": [{**SELECTED, "value": {"selected": "left"}}]},
             {"id": 2, "completed_by": {"id": 3}, "result": [{**SELECTED, "value": {"selected": "right"}}]},
             {"id": 3, "completed_by": 4, "was_cancelled": True,
              "result": [{**SELECTED, "value": {"selected": "left"}}]}]},
        "comparisons", ["<image>\nQ?"],
    ),
    "claims": (
        {"image": "a.jpg", "question": "Q?", "answer": "A cat sits.",
         "claims": [{"text": "There is a cat.", "supported": 1}],
         "spans": [{"start": 0, "end": 5, "text": "A cat", "descriptive": 1}]},
        "claims", ["<image>\nQ?"],
    ),
    "side-by-side": (
        {"image": "a.jpg", "text_a": "A.", "text_b": "B.", "a": "x", "b": "y",
         "metrics": {"truth": "x is marginally better", "style": "Neutral"}},
        "comparisons", ["<image>\nDescribe the image."],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_format_is_detected_and_can_be_named(tmp_path, capsys, name):
    row, table, messages = SHAPES[name]
    (tmp_path / "a.jpg").write_bytes(jpeg())
    source = tmp_path / "rows.jsonl"
    source.write_text(json.dumps(row))
    code, shown, err = run(capsys, source, "-o", tmp_path / "auto")
    assert (code, shown["rejects"], shown["format"]) == (0, 0, name), shown
    assert re.search(rf"read as .*{re.escape(FORMATS[name].summary)}, because its rows have", err)
    assert "--format NAME overrules" in err
    code, shown, err = run(capsys, source, "-o", tmp_path / "named", "--format", name)
    assert (code, shown["table"]) == (0, f"{table}/rows")
    assert "read as" not in err
    for folder in ("auto", "named"):
        dataset = Dataset(tmp_path / folder)
        samples = dataset.read("samples", "rows")
        assert [m["content"] for m in samples["messages"][0]] == messages
        assert samples["image_ids"].list.len().to_list() == [1]
        for kind in shown["tables"]:
            assert TABLES[kind].validate(dataset.read(kind, "rows")) is not None


def test_every_format_has_a_row_here():
    assert {*SHAPES} == {*FORMATS} - {"folder", "easy-vqa"}


def test_an_undecided_guess_names_what_else_it_could_be(tmp_path, capsys):
    rows = [{"messages": said("Q?", "A."), "objects": {"ref": [], "bbox": []}}, {"question": "Q"}]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    err = run(capsys, tmp_path / "r.jsonl", "-o", tmp_path / "d", "--max-rejects", "1")[2]
    assert "(1 of the first 2 do); could also be messages. --format NAME overrules" in err


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": turns("Q?"), "chosen": turns("", "G.")[1], "rejected": turns("", "B.")[1]},
        {"messages": said("Q?", "G."), "rejected_response": "B."},
        {"messages": said("Q?", "G."), "rejected_messages": said("Q?", "B.")},
        {"query": "Q?", "response": "G.", "rejected_response": "B."},
        {"instruction": "Q", "input": "?", "chosen": "G.", "rejected": "B."},
        {"prompt": "Q?", "chosen": "G.", "rejected": "B."},
        {"chosen": said("Q?", "G."), "rejected": said("Q?", "B.")},
    ],
)  # fmt: skip
def test_preferences_of_every_trainer_become_pairs(tmp_path, capsys, row):
    (tmp_path / "p.json").write_text(json.dumps([row]))
    code, shown, _ = run(capsys, tmp_path / "p.json", "-o", tmp_path / "d")
    assert (code, shown["table"]) == (0, "pairs/p")
    pair = Dataset(tmp_path / "d").read("pairs", "p").row(0, named=True)
    assert (pair["chosen"], pair["rejected"]) == ("G.", "B.")
    assert pair["prompt"][-1]["content"].replace("\n", "") == "Q?"


def test_turns_as_objects_of_lists(tmp_path, capsys):
    """As `datasets` keeps a sequence of objects in Parquet."""
    rows = [{"conversations": {"from": ["human", "gpt"], "value": ["Q?", "A."]}, "id": "1"}]
    pl.DataFrame(rows).write_parquet(tmp_path / "c.parquet")
    assert run(capsys, tmp_path / "c.parquet", "-o", tmp_path / "d")[1]["rows"] == 1
    sides = {side: {"role": ["user", "assistant"], "content": ["Q?", text]}
             for side, text in (("chosen", "G."), ("rejected", "B."))}  # fmt: skip
    pl.DataFrame([sides]).write_parquet(tmp_path / "p.parquet")
    assert run(capsys, tmp_path / "p.parquet", "-o", tmp_path / "d")[1]["table"] == "pairs/p"


def test_fields_that_only_the_user_knows(tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    (tmp_path / "r.csv").write_text("image,klass\na.jpg,cat\n")
    code, shown, _ = run(capsys, tmp_path / "r.csv", "-o", tmp_path / "d")
    assert (code, "--answer" in shown["error"]) == (1, True)
    words = ["--answer", "klass", "--prompt", "What is it?", "-o", tmp_path / "d"]
    assert run(capsys, tmp_path / "r.csv", *words)[0] == 0
    row = Dataset(tmp_path / "d").read("samples", "r").row(0, named=True)
    assert [m["content"] for m in row["messages"]] == ["<image>\nWhat is it?", "cat"]


def test_tool_turns_keep_their_names(tmp_path, capsys):
    (tmp_path / "r.jsonl").write_text(
        json.dumps(SHAPES["sharegpt"][0] | {"images": []}).replace("<image>", "")
    )
    run(capsys, tmp_path / "r.jsonl", "-o", tmp_path / "d")
    row = Dataset(tmp_path / "d").read("samples", "r").row(0, named=True)
    assert [m["role"] for m in row["messages"]] == ["system", *["user", "assistant"] * 2]
    assert json.loads(row["meta"])["roles"] == ["human", "function_call", "observation", "gpt"]


def test_a_word_diff_finds_what_was_corrected(tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    (tmp_path / "r.jsonl").write_text(json.dumps(SHAPES["rlhf-v"][0]))
    run(capsys, tmp_path / "r.jsonl", "-o", tmp_path / "d")
    pair = Dataset(tmp_path / "d").read("pairs", "r").row(0, named=True)
    assert [span["text"].strip() for span in pair["chosen_spans"]] == ["red"]
    assert [span["text"].strip() for span in pair["rejected_spans"]] == ["blue"]
    assert pair["policy"] == "Muffin"


def test_vlfeedback_ratings_are_scores_and_na_is_none(tmp_path, capsys):
    rows = [SHAPES["vlfeedback"][0]]
    (tmp_path / "a.jpg").write_bytes(jpeg())
    # As `datasets` keeps a sequence of objects: an object of lists.
    table = [{**row, "completions": {k: [c[k] for c in row["completions"]] for k in row["completions"][0]}}
             for row in rows]  # fmt: skip
    pl.DataFrame(table).write_parquet(tmp_path / "v.parquet")
    code, shown, _ = run(capsys, tmp_path / "v.parquet", "-o", tmp_path / "d")
    assert (code, shown["tables"]) == (0, {"images": 1, "samples": 1, "responses": 2, "scores": 6})
    dataset = Dataset(tmp_path / "d")
    responses = dataset.read("responses", "v")
    scores = dataset.read("scores", "v").join(
        responses, left_on="target_id", right_on="response_id"
    )
    found = {(r["model"], r["criterion"]): r["score"] for r in scores.iter_rows(named=True)}
    assert found["x", "visual faithfulness"] is None
    assert (found["x", "helpfulness"], found["y", "visual faithfulness"]) == (4.0, 1.0)
    assert scores.filter(pl.col("score").is_null())["error"].to_list() == ["no rating: N/A"]
    before = scores.height
    run(capsys, tmp_path / "v.parquet", "-o", tmp_path / "d")
    assert dataset.read("scores", "v").height == before


def test_label_studio_verdicts_of_every_annotator(tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    (tmp_path / "t.json").write_text(json.dumps([SHAPES["label-studio"][0]]))
    run(capsys, tmp_path / "t.json", "-o", tmp_path / "d")
    rows = Dataset(tmp_path / "d").read("comparisons", "t").sort("by")
    assert rows.select("by", "verdict").rows() == [("annotator 2", "a"), ("annotator 3", "b")]


def span_task(text, *labels, **data):
    result = [
        {"id": f"r{n}", "from_name": "l", "to_name": "answer", "type": "labels", "value": value}
        for n, value in enumerate(labels)
    ]
    return {"id": 1, "data": {"question": "Q?", "answer": text, **data},
            "annotations": [{"completed_by": 1, "result": result}]}  # fmt: skip


def test_label_studio_spans_are_where_the_text_is(tmp_path, capsys):
    text = "\U0001f600 a blue cat and a red cat"
    cat = text.rindex("cat")
    task = span_task(
        text,
        {"start": 5, "end": 9, "text": "blue", "labels": ["colour"]},  # UTF-16 units: one more
        {"start": cat + 1, "end": cat + 4, "text": "cat", "labels": ["Correct"]},
        {"start": 17, "end": 25, "text": "and a", "labels": ["odd"]},  # wrong offsets
    )
    task["annotations"][0]["result"].append(
        {
            "id": "r0",
            "from_name": "fix",
            "to_name": "answer",
            "type": "textarea",
            "value": {"text": ["green"]},
        }
    )
    (tmp_path / "t.json").write_text(json.dumps([task]))
    code, shown, _ = run(capsys, tmp_path / "t.json", "-o", tmp_path / "d")
    assert (code, shown["table"]) == (0, "feedback/t")
    spans = Dataset(tmp_path / "d").read("feedback", "t")["spans"][0]
    assert [(s["text"], s["correct"], s["replacement"]) for s in spans] == [
        ("blue", False, "green"), ("and a", False, None), ("cat", True, None)]  # fmt: skip
    assert all(text[s["start"] : s["end"]] == s["text"] for s in spans)
    assert spans[2]["start"] == cat


def test_label_studio_ratings_and_written_answers(tmp_path, capsys):
    def result(kind, value, name="x"):
        return {"from_name": name, "to_name": "answer", "type": kind, "value": value}

    rated = {"id": 1, "data": {"question": "Q?", "answer": "A."},
             "annotations": [
                 {"completed_by": 1, "result": [result("rating", {"rating": 4}, "quality"),
                                                result("choices", {"choices": ["fine"]})]},
                 {"completed_by": 2, "result": [result("rating", {"rating": 2}, "quality")]}]}  # fmt: skip
    (tmp_path / "t.json").write_text(json.dumps([rated]))
    code, shown, _ = run(capsys, tmp_path / "t.json", "-o", tmp_path / "d")
    assert (code, shown["tables"]) == (0, {"images": 0, "samples": 1, "scores": 2})
    dataset = Dataset(tmp_path / "d")
    scores = dataset.read("scores", "t").sort("judge")
    assert scores.select("judge", "criterion", "score", "target_kind").rows() == [
        ("annotator 1", "quality", 4.0, "sample"), ("annotator 2", "quality", 2.0, "sample")]  # fmt: skip
    assert "fine" in dataset.read("samples", "t")["meta"][0]

    fixed = {"id": 1, "data": {"question": "Q?", "answer": "A blue cat."},
             "annotations": [{"completed_by": 1, "result": [result("textarea", {"text": ["A red cat."]})]}]}  # fmt: skip
    (tmp_path / "f.json").write_text(json.dumps([fixed]))
    assert run(capsys, tmp_path / "f.json", "-o", tmp_path / "e")[1]["table"] == "feedback/f"
    feedback = Dataset(tmp_path / "e").read("feedback", "f")
    assert [s["text"].strip() for s in feedback["spans"][0]] == ["blue"]
    written = {"id": 1, "data": {"question": "Q?"}, "annotations": fixed["annotations"]}
    draft = label_studio.convert(written, NAMING)
    assert draft.messages[-1]["content"] == "A red cat."


def test_image_ids_find_their_files(tmp_path, capsys):
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "2.png").write_bytes(jpeg(2))
    (tmp_path / "COCO_000000000009.jpg").write_bytes(jpeg(9))
    dialogue = "Human: What is it? Assistant: A field.\nHuman: Where?\nAssistant: There."
    rows = {"annotations": [
        {"image_id": "2", "caption": "A field."},
        {"image_id": "2", "dialogue": "Human: What is it?\nAssistant: A field."},
        {"image_id": "2", "dialogue": [["Q1?", "A1."], ["Q2?", "A2."]]},
        {"image_id": "2", "question": "Q?", "answer": "A."},
        {"image_id": "3", "caption": "gone"},
        {"image_id": "../2", "caption": "out"},
    ]}  # fmt: skip
    (tmp_path / "filter_cap.json").write_text(json.dumps(rows))
    code, shown, err = run(capsys, tmp_path / "filter_cap.json", "-o", tmp_path / "d")
    assert (code, shown["rows"], "MiniGPT-4" in err) == (3, 4, True)
    assert shown["reject_reasons"] == {"missing_image": 1, "path_outside_folder": 1}
    samples = Dataset(tmp_path / "d").read("samples", "filter_cap")
    assert samples["messages"].list.len().to_list() == [2, 2, 4, 2]
    (tmp_path / "coco.jsonl").write_text(json.dumps({"image_id": 9, "caption": "A sheep."}))
    words = ["--image-pattern", "COCO_{:012d}.jpg", "-o", tmp_path / "e"]
    assert run(capsys, tmp_path / "coco.jsonl", *words)[1]["rows"] == 1
    spoken = minigpt.convert({"image_id": "2", "dialogue": dialogue}, NAMING).messages
    assert [m["role"] for m in spoken] == ["user", "assistant"] * 1 + ["user", "assistant"]


def test_exported_pairs_come_back_whole(tmp_path, capsys):
    ours = {
        "images": [{"bytes": jpeg(), "path": "x.jpg"}], "prompt": said("Q?"),
        "chosen": said("", "A red cat.")[1:], "rejected": said("", "A blue cat.")[1:],
        "pair_id": "p1", "sample_id": "s1", "chosen_score": 4.5, "rejected_score": 2.0, "margin": 0.7,
        "chosen_spans": [{"start": 2, "end": 5, "text": "red", "kind": "replace"}],
        "rejected_spans": [{"start": 2, "end": 6, "text": "blue", "kind": "replace"}],
        "method": "best-of-n", "control": "random", "policy": "m", "license": "mit", "source": "x",
    }  # fmt: skip
    broken = {**ours, "chosen_spans": [{"start": 0, "end": 3, "text": "red", "kind": "replace"}]}
    pl.DataFrame([ours, broken]).write_parquet(tmp_path / "ours.parquet")
    code, shown, _ = run(capsys, tmp_path / "ours.parquet", "-o", tmp_path / "d")
    assert (code, shown["rows"], shown["reject_reasons"]) == (3, 1, {"bad_span": 1})
    pair = Dataset(tmp_path / "d").read("pairs", "ours").row(0, named=True)
    names = ("chosen_score", "rejected_score", "margin", "chosen_spans", "rejected_spans", "method",
             "control", "policy")  # fmt: skip
    assert {name: pair[name] for name in names} == {name: ours[name] for name in names}


@pytest.mark.parametrize("form", ["hub", "sharegpt", "trl", "rlhf-v"])
def test_every_export_of_pairs_comes_back(tmp_path, capsys, form):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    rows = [{"image": "a.jpg", "prompt": f"Q{n}?", "chosen": f"A red cat {n}.", "rejected": f"A cat {n}.",
             "license": "mit", "pair_id": f"p{n}", "method": "best-of-n", "chosen_score": 4.5,
             "rejected_score": 2.0, "model": "m"} for n in range(3)]  # fmt: skip
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run(capsys, tmp_path / "r.jsonl", "-o", tmp_path / "d")
    words = ["export", str(tmp_path / "d"), str(tmp_path / "out"), "--format", form]
    assert command.main("curate", "", COMMANDS, words) == 0
    capsys.readouterr()
    code, shown, _ = run(capsys, tmp_path / "out", "-o", tmp_path / "back")
    assert (code, shown["table"], shown["rejects"]) == (0, "pairs/out", 0)
    before, after = (
        Dataset(tmp_path / "d").read("pairs", "r"),
        Dataset(tmp_path / "back").read("pairs", "out"),
    )
    names = ["image_ids", "prompt", "chosen", "rejected", "chosen_score", "rejected_score", "margin",
             "method", "control", "policy", "chosen_spans", "rejected_spans"]  # fmt: skip
    assert after.select(names).equals(before.select(names))
    assert Dataset(tmp_path / "back").read("samples", "out")["license"].to_list() == ["mit"] * 3


@pytest.mark.parametrize("form", ["hub", "llava", "sharegpt", "messages", "trl"])
def test_every_export_of_samples_comes_back(tmp_path, capsys, form):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    rows = [{"image": "a.jpg", "question": f"Q{n}?", "answer": f"A{n}.", "license": "mit", "extra": n}
            for n in range(3)]  # fmt: skip
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run(capsys, tmp_path / "r.jsonl", "-o", tmp_path / "d")
    words = ["export", str(tmp_path / "d"), str(tmp_path / "out"), "--format", form]
    assert command.main("curate", "", COMMANDS, words) == 0
    capsys.readouterr()
    code, shown, _ = run(capsys, tmp_path / "out", "-o", tmp_path / "back")
    assert (code, shown["rejects"]) == (0, 0)
    before, after = (
        Dataset(tmp_path / "d").read("samples", "r"),
        Dataset(tmp_path / "back").read("samples", "out"),
    )
    names = ["image_ids", "messages", "license"]
    assert after.select(names).equals(before.select(names))
    if form == "hub":
        assert json.loads(after["meta"][2])["extra"] == 2


def test_texts_that_would_take_for_ever():
    started = time.monotonic()
    for text in (
        " " * 900_000,
        "\n" * 900_000,
        "<img>" * 180_000,
        "Human:" * 150_000,
        "### " * 200_000,
    ):
        for convert in (minigpt.convert, swift.convert):
            with contextlib.suppress(RowError):
                convert({"image_id": "1", "dialogue": text, "query": text, "response": "A"}, NAMING)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("convert", "row", "reason"),
    [
        (vlfeedback.convert, {"prompt": "Q", "completions": "x"}, "wrong_type"),
        (vlfeedback.convert, {"prompt": "Q", "completions": [1]}, "wrong_type"),
        (vlfeedback.convert, {"prompt": "Q", "completions": [{"response": " ", "model": "m"}]}, "empty_answer"),
        (swift.convert_pair, {"messages": said("Q?", "A.")}, "missing_field"),
        (swift.convert_pair, {"messages": 3, "rejected_response": "B"}, "wrong_type"),
        (swift.convert, {"query": "Q", "response": "A", "history": [["one"]]}, "wrong_type"),
        (minigpt.convert, {"image_id": {"a": 1}, "caption": "x"}, "missing_image"),
        (minigpt.convert, {"image_id": "1", "dialogue": "no speakers here"}, "wrong_type"),
        (label_studio.convert, {"data": [], "annotations": []}, "wrong_type"),
        (label_studio.convert_comparison, {"data": {"a": "x"}, "annotations": []}, "no_annotation"),
        (label_studio.convert_feedback, span_task("A cat.", {"start": 0, "end": 3, "text": "dog", "labels": ["x"]}), "bad_span"),
        (label_studio.convert_feedback, span_task("A cat."), "no_annotation"),
        (preferences.convert, {"prompt": "Q", "chosen": {"from": "gpt"}, "rejected": "B"}, "missing_field"),
        (preferences.convert, {"prompt": "Q", "chosen": "A", "rejected": "B", "videos": ["x.mp4"]}, "unsupported_media"),
    ],
)  # fmt: skip
def test_a_row_of_the_wrong_shape_says_why(convert, row, reason):
    with pytest.raises(RowError) as caught:
        convert(row, NAMING)
    assert caught.value.reason == reason
