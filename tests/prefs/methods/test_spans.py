"""`prefs build --method spans`: responses and their corrections."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pairwright.commands import command
from pairwright.dataset.store import Dataset
from prefs.cli import COMMANDS
from prefs.methods.spans import apply_replacements, corrections
from schemas.tables import Feedback

RESPONSE = "A man \U0001f469\u200d\U0001f680 in a red hat and a dog."


def span(part: str, replacement: str | None = None, **more: Any) -> dict:
    start = RESPONSE.index(part)
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


def test_the_correction_is_chosen_and_its_changes_are_spans() -> None:
    rows = feedback({"corrected": RESPONSE.replace(" and a dog", "")})
    (row,), _, _ = corrections(rows, {"r0": RESPONSE})
    assert row["rejected"] == RESPONSE
    assert row["chosen"] == RESPONSE.replace(" and a dog", "")
    assert row["chosen_spans"] == []
    start = RESPONSE.index(" and a dog")
    assert row["rejected_spans"] == [
        {"start": start, "end": start + 10, "text": " and a dog", "kind": "delete"}
    ]


def test_replacements_are_applied_where_there_is_no_correction() -> None:
    rows = feedback({"spans": [span("dog", "cat"), span("red", "blue"), span("hat", correct=True)]})
    (row,), _, _ = corrections(rows, {"r0": RESPONSE})
    assert row["chosen"] == RESPONSE.replace("red", "blue").replace("dog", "cat")
    assert apply_replacements("abc", []) is None


def test_what_makes_no_pair() -> None:
    rows = feedback(
        {"spans": [span("hat", correct=True)]},
        {"spans": [span("hat")]},
        {"corrected": RESPONSE.upper()},
        {"corrected": "  "},
    )
    made, counts, invalid = corrections(rows, {"r0": RESPONSE})
    assert made == []
    assert invalid == []
    assert counts == {"without_error": 1, "no_correction": 1, "duplicates": 1, "empty": 1}


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
def test_invalid_rows(row: dict, reason: str) -> None:
    made, _, invalid = corrections(feedback(row), {"r0": RESPONSE})
    assert [one.reason for one in invalid] == [reason]
    assert made == []


def test_offsets_are_code_points() -> None:
    # Counted in UTF-16 or bytes, the emoji would shift what follows.
    (row,), _, _ = corrections(feedback({"spans": [span("red", "blue")]}), {"r0": RESPONSE})
    assert [s["text"] for s in row["rejected_spans"]] == ["red"]


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
    response = {"response_id": "r0", "sample_id": "s0", "prompt": messages[:1], "text": RESPONSE}
    with data.write("responses", "t", step="ingest", config={}) as out:
        out.add([{**response, "model": "m", "index": 0}])
    with data.write("feedback", "t", step="ingest", config={}) as out:
        out.add(feedback({"spans": [span("red", "blue")]}, {"spans": [span("red", text="x")]}))
    code = command.main("prefs", "", COMMANDS, ["build", str(data.path), "--method", "spans"])
    assert code == 3
    assert "1 pair for 1 prompt" in capsys.readouterr().out
    pair = data.read("pairs", "spans").to_dicts()[0]
    assert pair["sample_id"] == "s0"
    assert pair["policy"] == "m"
    assert pair["prompt"] == messages[:1]
    assert (pair["chosen_id"], pair["rejected_id"]) == ("f0", "r0")
    assert [s["text"] for s in pair["chosen_spans"]] == ["blue"]
