"""A response and its correction (RLHF-V): the original is rejected, the corrected text is chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from prefs.methods.base import Inputs, InvalidRow, Method, MethodOptions, Need, Pairing

if TYPE_CHECKING:
    import polars as pl


def pair(inputs: Inputs, _: MethodOptions) -> Pairing:
    """Pair responses with their corrections."""
    from prefs.methods.pairing.candidates import response_candidates, without_dropped
    from prefs.methods.pairing.picks import picks_frame

    # Responses to all samples: feedback on a dropped one is not an invalid row.
    candidates, _counts = response_candidates(inputs.tables["responses"], inputs.samples)
    feedback, dropped = without_dropped(
        inputs.rows("feedback"), candidates, inputs.current, "response_id"
    )
    texts = dict(candidates.select("candidate_id", "text").iter_rows())
    rows, counts, invalid = corrections(feedback, texts)
    counts["sample_dropped"] += dropped
    return Pairing(
        picks=picks_frame(rows),
        candidates=candidates,
        prompt_from="prompt_id",
        counts=counts,
        invalid=invalid,
        summary={"candidates": feedback["response_id"].n_unique()},
    )


def corrections(
    feedback: pl.DataFrame, responses: dict[str, str]
) -> tuple[list[dict[str, Any]], Counter[str], list[InvalidRow]]:
    """Pair responses with their corrections.

    Args:
        feedback: Rows of the feedback table.
        responses: Text of every response, by its id.

    Returns:
        One pick per corrected response, whose `prompt_id` is the response's id; a response without
        an error makes none. Also counts of what made no pick, and invalid rows.
    """
    # Imported here, as the other libraries are: `--help` reads this file.
    from pairwright.text.texts import folded

    counts: Counter[str] = Counter()
    invalid: list[InvalidRow] = []
    rows: list[dict[str, Any]] = []
    for row in feedback.iter_rows(named=True):
        response = responses.get(row["response_id"])
        fault = _fault(row, response)
        if fault is not None:
            invalid.append(InvalidRow(row["feedback_id"], "spans", *fault))
            continue
        assert response is not None
        corrected = row["corrected"]
        if corrected is None:
            corrected = apply_replacements(response, row["spans"])
        if corrected is None:
            wrong = any(span["correct"] is False for span in row["spans"])
            counts["no_correction" if wrong else "without_error"] += 1
        elif not corrected.strip():
            counts["empty"] += 1
        elif folded(response) == folded(corrected):
            counts["duplicates"] += 1
        else:
            rows.append(_pick(row, response, corrected))
    return rows, counts, invalid


def apply_replacements(response: str, spans: Sequence[dict[str, Any]]) -> str | None:
    """The response with its wrong spans replaced; `None` where no span has a replacement.

    Args:
        response: The response.
        spans: Spans of the feedback table, checked.
    """
    fixes = [s for s in spans if s["replacement"] is not None and s["correct"] is not True]
    if not fixes:
        return None
    out, done = "", 0
    for span in sorted(fixes, key=lambda s: (s["start"], s["end"])):
        out, done = out + response[done : span["start"]] + span["replacement"], span["end"]
    return out + response[done:]


def _fault(row: dict[str, Any], response: str | None) -> tuple[str, str] | None:
    """Why a row of feedback is invalid, if it is."""
    if response is None:
        return "missing_response", f"no response {row['response_id']}"
    end = 0
    for span in sorted(row["spans"], key=lambda s: (s["start"], s["end"])):
        start, stop = span["start"], span["end"]
        if not 0 <= start <= stop <= len(response) or response[start:stop] != span["text"]:
            found = response[max(0, start) : max(0, stop)]
            return "span_mismatch", f"[{start}:{stop}] is {found!r}, the row has {span['text']!r}"
        if start < end and span["replacement"] is not None and row["corrected"] is None:
            return "overlapping_spans", f"[{start}:{stop}] overlaps the span before it"
        end = max(end, stop)
    return None


def _pick(row: dict[str, Any], response: str, corrected: str) -> dict[str, Any]:
    from pairwright.text.worddiff import diff_spans

    removed, added = diff_spans(response, corrected)
    return {
        "prompt_id": row["response_id"],
        "chosen_id": row["feedback_id"],
        "rejected_id": row["response_id"],
        "chosen": corrected,
        "rejected": response,
        "chosen_spans": added,
        "rejected_spans": removed,
    }


METHOD: Final = Method(
    name="spans",
    summary="responses and their corrections",
    needs=(
        (
            Need(
                "responses",
                "import the corrected ones with `curate ingest FILE --as responses`, or sample some "
                "with `prefs sample --model MODEL`",
            ),
            Need("feedback", "import some with `curate ingest FILE --as feedback`"),
        ),
    ),
    pair=pair,
)
