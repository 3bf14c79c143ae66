"""Pairs of an answer and its correction (RLHF-V): original = rejected, corrected = chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pairwright.text.texts import folded
from pairwright.text.worddiff import diff_spans
from prefs.methods.base import Picked, Reject, picks_frame

if TYPE_CHECKING:
    import polars as pl


def corrections(feedback: pl.DataFrame, answers: dict[str, str]) -> Picked:
    """Pair answers with their corrections.

    Args:
        feedback: Rows of the feedback table.
        answers: Text of every answer, by response id.

    Returns:
        One pick a corrected answer; `prompt_id` is the answer's id. An answer without an error
        makes none.
    """
    counts: Counter[str] = Counter()
    rejects: list[Reject] = []
    rows: list[dict[str, Any]] = []
    for row in feedback.iter_rows(named=True):
        answer = answers.get(row["response_id"])
        fault = _fault(row, answer)
        if fault is not None:
            rejects.append(Reject(row["feedback_id"], "spans", *fault))
            continue
        assert answer is not None
        corrected = row["corrected"]
        if corrected is None:
            corrected = apply_replacements(answer, row["spans"])
        if corrected is None:
            wrong = any(span["correct"] is False for span in row["spans"])
            counts["no_correction" if wrong else "without_error"] += 1
        elif not corrected.strip():
            counts["empty"] += 1
        elif folded(answer) == folded(corrected):
            counts["duplicates"] += 1
        else:
            rows.append(_pick(row, answer, corrected))
    return Picked(picks=picks_frame(rows), counts=counts, rejects=rejects)


def apply_replacements(answer: str, spans: Sequence[dict[str, Any]]) -> str | None:
    """The answer with its wrong spans mended; `None` where no span says how.

    Args:
        answer: The answer.
        spans: Spans of the feedback table, checked.
    """
    mending = [s for s in spans if s["replacement"] is not None and s["correct"] is not True]
    if not mending:
        return None
    out, done = "", 0
    for span in sorted(mending, key=lambda s: (s["start"], s["end"])):
        out, done = out + answer[done : span["start"]] + span["replacement"], span["end"]
    return out + answer[done:]


def _fault(row: dict[str, Any], answer: str | None) -> tuple[str, str] | None:
    """What is broken about a row of feedback, if anything."""
    if answer is None:
        return "missing_response", f"no response {row['response_id']}"
    end = 0
    for span in sorted(row["spans"], key=lambda s: (s["start"], s["end"])):
        start, stop = span["start"], span["end"]
        if not 0 <= start <= stop <= len(answer) or answer[start:stop] != span["text"]:
            found = answer[max(0, start) : max(0, stop)]
            return "span_mismatch", f"[{start}:{stop}] is {found!r}, the row says {span['text']!r}"
        if start < end and span["replacement"] is not None and row["corrected"] is None:
            return "overlapping_spans", f"[{start}:{stop}] overlaps the span before it"
        end = max(end, stop)
    return None


def _pick(row: dict[str, Any], answer: str, corrected: str) -> dict[str, Any]:
    removed, added = diff_spans(answer, corrected)
    return {
        "prompt_id": row["response_id"],
        "chosen_id": row["feedback_id"],
        "rejected_id": row["response_id"],
        "chosen": corrected,
        "rejected": answer,
        "chosen_spans": added,
        "rejected_spans": removed,
    }
