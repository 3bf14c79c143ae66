"""Rows of the tables, made from drafts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import xxhash

from curate.ingest.intake import Ticket
from curate.ingest.plan import Plan
from curate.read.rows import Claim, Draft, Labelled, Preference, Score
from curate.read.votes import Vote, combine
from pairwright.dataset.ids import stable_id
from pairwright.text.conversation import Message, prompt_of
from pairwright.text.worddiff import diff_spans

Rows = list[tuple[str, dict[str, Any]]]


@dataclass(slots=True)
class Pending:
    """A row whose images are being decoded.

    Attributes:
        prompt: Prompt of the existing sample that the row is about, if it is about one.
        rows: Rows that it becomes, by table, in the order of their dependence.
        n_bytes: About how large they are.
    """

    row_id: str
    sample_id: str
    draft: Draft
    prompt: list[Message] | None = None
    rows: Rows = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    n_bytes: int = 400


class Occurrences:
    """Sample ids of a source whose own ids may repeat.

    Remembers 64 bits per id: the newest in a set, the others sorted in one array.
    """

    _NEWEST: Final = 500_000

    def __init__(self, source: str) -> None:
        """Start without ids."""
        self._source = source
        self._newest: set[int] = set()
        self._older = np.empty(0, dtype=np.uint64)
        self._again: dict[int, int] = {}

    def sample_id(self, source_id: str) -> str:
        """Sample id of the next row with this id."""
        key = xxhash.xxh3_64_intdigest(source_id.encode("utf-8", "surrogatepass"))
        occurrence = 0
        if key in self._newest or self._is_older(key):
            occurrence = self._again[key] = self._again.get(key, 0) + 1
        else:
            self._newest.add(key)
            if len(self._newest) >= self._NEWEST:
                self._settle()
        return stable_id(self._source, source_id, occurrence)

    def _is_older(self, key: int) -> bool:
        if not self._older.size:
            return False
        wanted = np.uint64(key)
        at = int(self._older.searchsorted(wanted))
        return at < self._older.size and self._older[at] == wanted

    def _settle(self) -> None:
        fresh = np.fromiter(self._newest, dtype=np.uint64, count=len(self._newest))
        self._older = np.sort(np.concatenate([self._older, fresh]))
        self._newest.clear()


def rows_of_draft(plan: Plan, pending: Pending) -> Rows:
    """All rows that a draft becomes; `image_ids` are filled in when the images are known."""
    rows: Rows = []
    if pending.prompt is None:
        rows.append(("samples", _sample_row(plan, pending)))
    rows += [(kind, row) for kind, row in _others(plan, pending) if kind in plan.kinds]
    return rows


def _others(plan: Plan, pending: Pending) -> Iterator[tuple[str, dict[str, Any]]]:
    draft = pending.draft
    if plan.table == "pairs":
        yield "pairs", _pair_row(pending)
        return
    for correction in draft.corrections:
        yield "responses", _corrected_row(plan, pending, correction)
    for correction in draft.corrections:
        yield "feedback", _feedback_row(plan, pending, correction)
    for answer in draft.labelled:
        yield from _labelled_rows(plan, pending, answer)
    ids = []
    for one in draft.candidates:
        row = _response_row(pending, one.text, one.model)
        ids.append(row["response_id"])
        yield "responses", row
        for score in one.scores:
            yield "scores", score_row(score, row["response_id"], "response")
    for score in draft.scores:
        yield "scores", score_row(score, pending.sample_id, "sample")
    votes = [
        Vote(
            row_id=pending.row_id,
            sample_id=pending.sample_id,
            first=ids[verdict.first],
            second=ids[verdict.second],
            winner=verdict.winner,
            by=verdict.by,
            ordered=False,
            text=verdict.text,
            criterion=verdict.criterion,
            grade=verdict.grade,
        )
        for verdict in draft.verdicts
    ]
    for row in combine(votes)[0]:
        yield "comparisons", row


def _sample_row(plan: Plan, pending: Pending) -> dict[str, Any]:
    draft = pending.draft
    return {
        "sample_id": pending.sample_id,
        "image_ids": None,
        "messages": draft.messages,
        "criteria": draft.criteria,
        "reference": draft.reference,
        "source": plan.name,
        "source_id": draft.source_id,
        "license": draft.license,
        "split": draft.split,
        "task": draft.task,
        "meta": draft.meta,
    }


def _pair_row(pending: Pending) -> dict[str, Any]:
    """Row of the pairs table; the sample's own answer is the chosen one."""
    other = pending.draft.preference
    assert other is not None
    assert other.chosen is not None
    scores = (other.chosen_score, other.rejected_score)
    margin = other.margin
    if margin is None and scores[0] is not None and scores[1] is not None:
        margin = scores[0] - scores[1]
    spans: tuple[Any, Any] = (other.chosen_spans, other.rejected_spans)
    if other.corrects and spans == (None, None):
        rejected_spans, chosen_spans = diff_spans(other.rejected, other.chosen)
        spans = (chosen_spans, rejected_spans)
    return {
        "pair_id": stable_id(pending.sample_id, other.chosen, other.rejected, other.method),
        "sample_id": pending.sample_id,
        "image_ids": None,
        "prompt": prompt_of(pending.draft.messages),
        "chosen": other.chosen,
        "rejected": other.rejected,
        "chosen_spans": spans[0],
        "rejected_spans": spans[1],
        "chosen_score": scores[0],
        "rejected_score": scores[1],
        "margin": margin,
        "method": other.method,
        "control": other.control,
        "chosen_id": pending.sample_id,
        "policy": other.model,
    }


def _response_row(pending: Pending, text: str, model: str) -> dict[str, Any]:
    return {
        "response_id": stable_id(pending.sample_id, model, 0, text),
        "sample_id": pending.sample_id,
        "prompt": pending.prompt or prompt_of(pending.draft.messages),
        "text": text,
        "model": model,
        "index": 0,
    }


def _corrected_row(plan: Plan, pending: Pending, other: Preference) -> dict[str, Any]:
    """Row of the responses table: the answer that was corrected."""
    model = other.model or plan.options.model or plan.name
    return _response_row(pending, other.rejected, model)


def _feedback_row(plan: Plan, pending: Pending, other: Preference) -> dict[str, Any]:
    """Row of the feedback table; without labelled spans, its spans are what the correction changed."""
    spans = other.spans
    if spans is None and other.chosen is not None:
        changed, _ = diff_spans(other.rejected, other.chosen)
        spans = [{**span, "correct": False} for span in changed]
    by = other.by or plan.options.by or plan.name
    response_id = _corrected_row(plan, pending, other)["response_id"]
    return feedback_row(response_id, spans or [], other.chosen, by)


def _labelled_rows(
    plan: Plan, pending: Pending, answer: Labelled
) -> Iterator[tuple[str, dict[str, Any]]]:
    """An answer, its labelled parts and its judged claims."""
    row = _response_row(pending, answer.text, answer.model or plan.options.model or plan.name)
    response_id = row["response_id"]
    yield "responses", row
    if answer.spans is not None:
        yield "feedback", feedback_row(response_id, answer.spans, None, answer.by)
    for index, claim in enumerate(answer.claims or ()):
        yield "claims", claim_row(claim, response_id, "response", index, answer.by)


def feedback_row(
    response_id: str, spans: list[dict[str, Any]], corrected: str | None, by: str
) -> dict[str, Any]:
    """Row of the feedback table."""
    return {
        "feedback_id": stable_id(response_id, by),
        "response_id": response_id,
        "spans": spans,
        "corrected": corrected,
        "by": by,
    }


def claim_row(claim: Claim, target_id: str, kind: str, index: int, by: str) -> dict[str, Any]:
    """Row of the claims table; the label of a human annotator has probability 1."""
    yes = None if claim.supported is None else float(claim.supported)
    return {
        "claim_id": stable_id(target_id, by, index),
        "response_id": target_id,
        "target_kind": kind,
        "index": index,
        "text": claim.text,
        "p_yes": yes,
        "p_no": None if yes is None else 1.0 - yes,
        "judge": by,
        "error": "no verdict" if yes is None else None,
    }


def score_row(score: Score, target_id: str, kind: str) -> dict[str, Any]:
    """Row of the scores table."""
    return {
        "target_id": target_id,
        "rubric": score.rubric,
        "criterion": score.criterion,
        "judge": score.by,
        "repeat": 0,
        "target_kind": kind,
        "score": score.value,
        "text": score.label,
        "rationale": score.rationale,
        "rubric_hash": stable_id("imported", score.rubric)[:16],
        "prompt_hash": stable_id("imported", score.rubric, score.criterion)[:16],
        "error": score.error,
    }
