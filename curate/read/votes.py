"""Verdicts on two answers: judged in one order per row, stored as one row per pair."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from curate.read.fields import check_text, first_field, scalar_text
from curate.read.levels import read_level
from curate.read.rows import RowError, printable
from pairwright.dataset.ids import stable_id

FIRST: Final = ("model_1", "model_a", "first", "a")
SECOND: Final = ("model_2", "model_b", "second", "b")
_VERDICT: Final = ("parsed", "verdict", "winner", "preference")
_BY: Final = ("judge", "by", "annotator")
_TEXT: Final = ("judge_text", "rationale", "reason", "explanation")
_ORDER: Final = ("order",)
_CRITERION: Final = ("criterion", "aspect", "metric", "dimension")
MEANING: Final = {
    **dict.fromkeys(("a1", "1", "a", "model_1", "model_a", "first", "left", "answer1"), "first"),
    **dict.fromkeys(("a2", "2", "b", "model_2", "model_b", "second", "right", "answer2"), "second"),
    **dict.fromkeys(("tie", "same", "equal", "both"), "tie"),
    **dict.fromkeys(("both_bad", "bothbad", "neither", "tie (bothbad)"), "both_bad"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One verdict on two answers, in the order in which they were shown.

    Attributes:
        first: Answer shown first: a model as read, a response as stored.
        second: The other one.
        winner: `first`, `second`, `tie` or `both_bad`.
        ordered: Whether the file names the orders in which pairs were judged.
        grade: How much better the first one is, 2 to -2, if the verdict contains it.
    """

    row_id: str
    sample_id: str
    first: str
    second: str
    winner: str
    by: str
    ordered: bool
    shown_second: bool = False
    text: str | None = None
    criterion: str | None = None
    grade: float | None = None


def read_vote(row: dict[str, Any], row_id: str, sample_id: str, by: str) -> Vote:
    """The verdict of a row; its answers are still named by their models.

    Args:
        row: The row.
        row_id: Its id.
        sample_id: The sample it is about.
        by: Judge of rows that name none.

    Raises:
        RowError: If a field is missing or the verdict is unknown.
    """

    def text(names: Sequence[str]) -> str | None:
        name = first_field(row, names, None)
        return None if name is None else scalar_text(row[name], name, 1_000_000)

    first, second, verdict = text(FIRST), text(SECOND), text(_VERDICT)
    if first is None or second is None or verdict is None:
        wanted = [FIRST[0], SECOND[0], _VERDICT[0]]
        raise RowError("missing_field", f"a verdict needs {', '.join(wanted)}")
    if first == second:
        raise RowError("same_answers", f"{printable(first, 100)} is compared with itself")
    winner, grade = MEANING.get(verdict.strip().casefold()), None
    if winner is None and verdict in (first, second):
        winner = "first" if verdict == first else "second"
    if winner is None:
        level = read_level(verdict, first, second)
        winner, grade = level.winner, level.grade
    order = text(_ORDER)
    return Vote(
        row_id=row_id,
        sample_id=sample_id,
        first=first,
        second=second,
        winner=winner,
        by=check_text(text(_BY) or by, "judge", 1000),
        ordered=order is not None,
        shown_second=order == "2",
        text=text(_TEXT),
        criterion=text(_CRITERION),
        grade=grade,
    )


def combine(votes: Sequence[Vote]) -> tuple[list[dict[str, Any]], list[tuple[str, RowError]]]:
    """One comparison of both orders.

    `a` is the answer that was shown first in the first order. The verdict is `a`, `b`, `tie` or
    `both_bad` if both orders agree, else `undecided`; in a file without orders it is the one vote.
    Two judges who saw one order each are combined.

    Args:
        votes: Verdicts with response ids as their answers.

    Returns:
        Rows of the comparisons table, and votes that are duplicates.
    """
    groups: dict[tuple[str, frozenset[str], str | None], list[Vote]] = defaultdict(list)
    for vote in votes:
        groups[vote.sample_id, frozenset((vote.first, vote.second)), vote.criterion].append(vote)
    rows: list[dict[str, Any]] = []
    duplicates: list[tuple[str, RowError]] = []
    for group in groups.values():
        found, again = _combine_pair(group)
        rows += found
        duplicates += again
    return rows, duplicates


def _combine_pair(group: list[Vote]) -> tuple[list[dict[str, Any]], list[tuple[str, RowError]]]:
    lead = next((v for v in group if not v.shown_second), None)
    a = lead.first if lead else group[0].second
    duplicates = []
    by_judge: dict[str, dict[int, Vote]] = defaultdict(dict)
    for vote in group:
        order = 1 if vote.first == a else 2
        if order in by_judge[vote.by]:
            detail = f"{printable(vote.by, 60)} judged these two answers in this order already"
            duplicates.append((vote.row_id, RowError("duplicate_vote", detail)))
        else:
            by_judge[vote.by][order] = vote
    single = [votes for votes in by_judge.values() if len(votes) == 1]
    both = [votes for votes in by_judge.values() if len(votes) == 2]
    if len(single) == 2 and single[0].keys() != single[1].keys() and group[0].ordered:
        single = [single[0] | single[1]]
    return [_row(a, votes) for votes in both + single], duplicates


def _row(a: str, votes: dict[int, Vote]) -> dict[str, Any]:
    one = votes.get(1) or votes[2]
    b = one.second if one.first == a else one.first
    verdicts = {order: _verdict(vote, a) for order, vote in votes.items()}
    by = "+".join(dict.fromkeys(votes[order].by for order in sorted(votes)))
    if len(votes) == 2:
        verdict = verdicts[1] if verdicts[1] == verdicts[2] else "undecided"
    else:
        verdict = "undecided" if one.ordered else next(iter(verdicts.values()))
    words = {1: "a shown first", 2: "b shown first"}
    reasons = [
        f"{words[order]}: {votes[order].text}" for order in sorted(votes) if votes[order].text
    ]
    return {
        "comparison_id": stable_id(one.sample_id, a, b, by, one.criterion or ""),
        "sample_id": one.sample_id,
        "a": a,
        "b": b,
        "verdict": verdict,
        "verdict_first_order": verdicts.get(1),
        "verdict_second_order": verdicts.get(2),
        "grade": _grade(votes.values(), a),
        "by": by,
        "criterion": one.criterion,
        "rationale": "\n".join(reasons) or None,
    }


def _grade(votes: Iterable[Vote], a: str) -> float | None:
    """How much better `a` is, over both orders; `None` unless all votes have a grade."""
    found = [None if v.grade is None else v.grade if v.first == a else -v.grade for v in votes]
    known = [grade for grade in found if grade is not None]
    # A sum of zeros may be -0.0, which would be shown as such.
    return sum(known) / len(known) + 0.0 if known and len(known) == len(found) else None


def _verdict(vote: Vote, a: str) -> str:
    if vote.winner not in ("first", "second"):
        return vote.winner
    winner = vote.first if vote.winner == "first" else vote.second
    return "a" if winner == a else "b"
