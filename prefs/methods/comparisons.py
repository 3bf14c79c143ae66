"""Pairs of verdicts on two answers: the winner against the loser, where there is no doubt."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pairwright.text.texts import folded
from prefs.methods.base import Picked, Reject, picks_frame

if TYPE_CHECKING:
    import polars as pl

_VERDICTS = ("a", "b", "tie", "both_bad", "undecided")
_ORDERS = (
    ("verdict_first_order", "p_a_first_order"),
    ("verdict_second_order", "p_a_second_order"),
)


def decided(comparisons: pl.DataFrame, answers: dict[str, tuple[str, str]]) -> Picked:
    """Pair answers whose comparison was decided.

    A judge that was asked in both orders must have named the same winner twice; a judge whose
    probabilities are of one order only decides nothing. People, who are asked once, count as they
    are. Where several judges or criteria disagree there is no pair.

    Args:
        comparisons: Rows of the comparisons table.
        answers: Sample and text of every answer, by response id.

    Returns:
        One pick for every two answers, in the order of the table.
    """
    counts: Counter[str] = Counter()
    rejects: list[Reject] = []
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in comparisons.iter_rows(named=True):
        fault = _fault(row, answers)
        if fault is not None:
            rejects.append(Reject(row["comparison_id"], "comparisons", *fault))
            continue
        winner, why = _winner(row)
        if winner is None:
            counts[why] += 1
            continue
        loser = row["b"] if winner == row["a"] else row["a"]
        better, worse = folded(answers[winner][1]), folded(answers[loser][1])
        if better == worse:
            counts["duplicates"] += 1
            continue
        # By their texts: two models may have given the same answer.
        key = (row["sample_id"], min(better, worse), max(better, worse))
        verdict = {"winner": winner, "loser": loser, "better": better}
        found.setdefault(key, []).append({**verdict, "p": _probability(row, winner)})
    rows = []
    for (sample_id, _, _), verdicts in found.items():
        if len({v["better"] for v in verdicts}) > 1:
            counts["contradiction"] += len(verdicts)
            continue
        counts["repeated"] += len(verdicts) - 1
        rows.append(_pick(sample_id, verdicts, answers))
    return Picked(picks=picks_frame(rows), counts=counts, rejects=rejects)


def _fault(
    row: dict[str, Any], answers: dict[str, tuple[str, str]]
) -> tuple[str, str | None] | None:
    """What is broken about a comparison, if anything."""
    for side in ("a", "b"):
        if row[side] not in answers:
            return "missing_response", f"no response {row[side]}"
        if answers[row[side]][0] != row["sample_id"]:
            return "sample_mismatch", f"response {row[side]} answers another sample"
    if row["a"] == row["b"]:
        return "same_response", row["a"]
    if row["verdict"] not in _VERDICTS:
        return "unknown_verdict", repr(row["verdict"])
    return None


def _winner(row: dict[str, Any]) -> tuple[str | None, str]:
    """Id of the winner, or `None` and why there is none."""
    if row["verdict"] not in ("a", "b"):
        return None, row["verdict"]
    asked = [row[p_a] is not None for _, p_a in _ORDERS]
    if any(asked) and not all(asked):
        return None, "one_order"
    orders = [_order_verdict(row, *names) for names in _ORDERS]
    if any(verdict not in (None, row["verdict"]) for verdict in orders):
        return None, "order_flip"
    return row[row["verdict"]], ""


def _order_verdict(row: dict[str, Any], verdict: str, p_a: str) -> str | None:
    if row[verdict] is not None:
        return str(row[verdict])
    if row[p_a] is None:
        return None
    return "a" if row[p_a] > 0.5 else "b" if row[p_a] < 0.5 else "tie"


def _probability(row: dict[str, Any], winner: str) -> float | None:
    """Mean probability of the winner over the orders."""
    known = [row[p_a] for _, p_a in _ORDERS if row[p_a] is not None]
    if not known:
        return None
    mean = sum(known) / len(known)
    return float(mean if winner == row["a"] else 1 - mean)


def _pick(
    sample_id: str, verdicts: list[dict[str, Any]], answers: dict[str, tuple[str, str]]
) -> dict[str, Any]:
    winner, loser = verdicts[0]["winner"], verdicts[0]["loser"]
    known = [v["p"] for v in verdicts if v["p"] is not None]
    p = sum(known) / len(known) if known else None
    return {
        "prompt_id": sample_id,
        "chosen_id": winner,
        "rejected_id": loser,
        "chosen": answers[winner][1],
        "rejected": answers[loser][1],
        "chosen_score": p,
        "rejected_score": None if p is None else 1 - p,
        "margin": None if p is None else 2 * p - 1,
    }
