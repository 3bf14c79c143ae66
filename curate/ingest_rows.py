"""Rows of the tables, made of drafts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import xxhash

from curate.ingest_tables import Plan
from curate.sources.intake import Ticket
from curate.sources.rows import Draft, Preference
from pairwright.conversation import Message, prompt_of
from pairwright.ids import stable_id
from pairwright.worddiff import diff_spans


@dataclass(slots=True)
class Pending:
    """A row whose images are being looked at.

    Attributes:
        prompt: Prompt of the existing sample that the row is about, if it is about one.
    """

    row_id: str
    sample_id: str
    draft: Draft
    prompt: list[Message] | None = None
    tickets: list[Ticket] = field(default_factory=list)


class Occurrences:
    """Sample ids of a source whose own ids may repeat."""

    def __init__(self, source: str) -> None:
        """Start with no id seen."""
        self._source = source
        self._count: Counter[int] = Counter()

    def sample_id(self, source_id: str) -> str:
        """Id of the next row of this id."""
        key = xxhash.xxh3_64_intdigest(source_id.encode("utf-8", "surrogatepass"))
        occurrence = self._count[key]
        self._count[key] += 1
        return stable_id(self._source, source_id, occurrence)


def last_key(plan: Plan, pending: Pending) -> tuple[str, str]:
    """The table that a row reaches last, and its key there: if it is there, the row is done."""
    if plan.table == "pairs":
        return "pairs", _pair_id(pending)
    if plan.table == "feedback":
        return "feedback", _feedback_id(plan, pending)
    return "samples", pending.sample_id


def sample_row(plan: Plan, pending: Pending, image_ids: list[str]) -> dict[str, Any]:
    """Row of the samples table."""
    draft = pending.draft
    return {
        "sample_id": pending.sample_id,
        "image_ids": image_ids,
        "messages": draft.messages,
        "criteria": draft.criteria,
        "reference": draft.reference,
        "source": plan.name,
        "source_id": draft.source_id,
        "licence": draft.licence,
        "split": draft.split,
        "task": draft.task,
        "meta": draft.meta,
    }


def pair_row(pending: Pending, image_ids: list[str]) -> dict[str, Any]:
    """Row of the pairs table; the sample's own answer is the chosen one."""
    other = _preference(pending)
    scores = (other.chosen_score, other.rejected_score)
    margin = None if scores[0] is None or scores[1] is None else scores[0] - scores[1]
    return {
        "pair_id": _pair_id(pending),
        "sample_id": pending.sample_id,
        "image_ids": image_ids,
        "prompt": prompt_of(pending.draft.messages),
        "chosen": other.chosen,
        "rejected": other.rejected,
        "chosen_score": scores[0],
        "rejected_score": scores[1],
        "margin": margin,
        "method": "imported",
        "chosen_id": pending.sample_id,
        "policy": other.model,
    }


def response_row(plan: Plan, pending: Pending) -> dict[str, Any]:
    """Row of the responses table: the answer that was corrected."""
    other = _preference(pending)
    return {
        "response_id": _response_id(plan, pending),
        "sample_id": pending.sample_id,
        "prompt": pending.prompt or prompt_of(pending.draft.messages),
        "text": other.rejected,
        "model": _model(plan, other),
        "index": 0,
    }


def feedback_row(plan: Plan, pending: Pending) -> dict[str, Any]:
    """Row of the feedback table; spans that were not marked are what the correction changed."""
    other = _preference(pending)
    spans = other.spans
    if spans is None and other.chosen is not None:
        changed, _ = diff_spans(other.rejected, other.chosen)
        spans = [{**span, "correct": False} for span in changed]
    return {
        "feedback_id": _feedback_id(plan, pending),
        "response_id": _response_id(plan, pending),
        "spans": spans or [],
        "corrected": other.chosen,
        "by": other.by or plan.name,
    }


def _preference(pending: Pending) -> Preference:
    assert pending.draft.preference is not None
    return pending.draft.preference


def _model(plan: Plan, other: Preference) -> str:
    return other.model or plan.options.model or plan.name


def _pair_id(pending: Pending) -> str:
    other = _preference(pending)
    return stable_id(pending.sample_id, other.chosen, other.rejected, "imported")


def _response_id(plan: Plan, pending: Pending) -> str:
    other = _preference(pending)
    return stable_id(pending.sample_id, _model(plan, other), 0, other.rejected)


def _feedback_id(plan: Plan, pending: Pending) -> str:
    by = _preference(pending).by or plan.name
    return stable_id(_response_id(plan, pending), by)
