"""Corrections to pairs, and `prefs build --method spans`."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pairwright.commands import command
from pairwright.dataset.store import Dataset
from prefs.cli import COMMANDS
from prefs.methods.spans import apply_replacements, corrections
from schemas.tables import Feedback

ANSWER = "A man \U0001f469\u200d\U0001f680 in a red hat and a dog."


def span(part: str, replacement: str | None = None, **more: Any) -> dict:
    start = ANSWER.index(part)
    values = {"start": start, "end": start + len(part), "text": part, "correct": False}
    return {"kind": None, "reward": None, "replacement": replacement, **values, **more}


def feedback(*rows: dict) -> pl.DataFrame:
    full = [
        {
            "feedback_id": f"f{n}",
            "response_id": "r0",
            "spans": [],
            "corrected": None,
            "by": "x",
            **row,
        }
        for n, row in enumerate(rows)
    ]
    return pl.DataFrame(full, schema={n: c.dtype for n, c in Feedback.columns().items()})


def test_the_correction_is_chosen_and_its_changes_are_marked() -> None:
    made = corrections(feedback({"corrected": ANSWER.replace(" and a dog", "")}), {"r0": ANSWER})
    row = made.picks.to_dicts()[0]
    assert row["rejected"] == ANSWER
    assert row["chosen"] == ANSWER.replace(" and a dog", "")
    assert row["chosen_spans"] == []
    start = ANSWER.index(" and a dog")
    assert row["rejected_spans"] == [
        {"start": start, "end": start + 10, "text": " and a dog", "kind": "delete"}
    ]


def test_replacements_stand_in_for_a_missing_correction() -> None:
    rows = feedback({"spans": [span("dog", "cat"), span("red", "blue"), span("hat", correct=True)]})
    made = corrections(rows, {"r0": ANSWER})
    assert made.picks["chosen"].to_list() == [ANSWER.replace("red", "blue").replace("dog", "cat")]
    assert apply_replacements("abc", []) is None


def test_what_makes_no_pair() -> None:
    rows = feedback(
        {"spans": [span("hat", correct=True)]},
        {"spans": [span("hat")]},
        {"corrected": ANSWER.upper()},
        {"corrected": "  "},
    )
    made = corrections(rows, {"r0": ANSWER})
    assert made.picks.is_empty()
    assert made.rejects == []
    assert made.counts == {"without_error": 1, "no_correction": 1, "duplicates": 1, "empty": 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"response_id": "gone"}, "missing_response"),
        ({"spans": [span("dog", text="cat")]}, "span_mismatch"),
        ({"spans": [span("dog", end=9999)]}, "span_mismatch"),
        ({"spans": [span("dog", start=-3)]}, "span_mismatch"),
        ({"spans": [span("red hat", "x"), span("hat", "y")]}, "overlapping_spans"),
    ],
)
def test_broken_rows_are_rejected(row: dict, reason: str) -> None:
    made = corrections(feedback(row), {"r0": ANSWER})
    assert [reject.reason for reject in made.rejects] == [reason]
    assert made.picks.is_empty()


def test_offsets_are_code_points() -> None:
    # Counted in UTF-16 or bytes, the emoji would shift what follows.
    made = corrections(feedback({"spans": [span("red", "blue")]}), {"r0": ANSWER})
    spans = made.picks["rejected_spans"][0].to_list()
    assert [s["text"] for s in spans] == ["red"]


def test_build_spans(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data = Dataset.create(tmp_path / "toy")
    messages = [
        {"role": "user", "content": "describe"},
        {"role": "assistant", "content": "x"},
    ]
    rows = [
        {"sample_id": "s0", "image_ids": [], "messages": messages, "source": "t", "source_id": "0"}
    ]
    with data.write("samples", "t", step="ingest", config={}) as out:
        out.add(rows)
    answer = {"response_id": "r0", "sample_id": "s0", "prompt": messages[:1], "text": ANSWER}
    with data.write("responses", "t", step="ingest", config={}) as out:
        out.add([{**answer, "model": "m", "index": 0}])
    with data.write("feedback", "t", step="ingest", config={}) as out:
        out.add(feedback({"spans": [span("red", "blue")]}, {"spans": [span("red", text="x")]}))
    code = command.main("prefs", "", COMMANDS, ["build", str(data.path), "--method", "spans"])
    assert code == 3
    assert "1 pairs for 1 prompts" in capsys.readouterr().out
    pair = data.read("pairs", "spans").to_dicts()[0]
    assert pair["sample_id"] == "s0"
    assert pair["policy"] == "m"
    assert pair["prompt"] == messages[:1]
    assert (pair["chosen_id"], pair["rejected_id"]) == ("f0", "r0")
    assert [s["text"] for s in pair["chosen_spans"]] == ["blue"]
