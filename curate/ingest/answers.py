"""Responses to samples of the dataset, and verdicts on its responses."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from curate.ingest.match import (
    MODEL,
    Sample,
    Samples,
    convert_all,
    preview,
    response_of,
    responses_by_model,
)
from curate.ingest.outcome import outcome_of_labels
from curate.ingest.plan import Plan, Row
from curate.ingest.tables import Tables
from curate.read.fields import ANSWER, check_text, first_field, number, scalar_text
from curate.read.rows import RowError
from curate.read.votes import Vote, combine, read_vote
from pairwright.commands.command import Outcome
from pairwright.dataset.ids import stable_id
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError

_INTEGERS: Final = {"seed": 1 << 62, "n_tokens": 1 << 30, "top_k": 1 << 30}
_FLOATS: Final = ("temperature", "top_p", "logprob")


def import_responses(dataset: Dataset, plan: Plan) -> Outcome:
    """Write responses of models to samples that the dataset has.

    Raises:
        Error: If there are no samples, or the source as a whole cannot be read.
    """
    samples = Samples(dataset, plan, prompts=True)
    repeats: Counter[tuple[str, str]] = Counter()

    def convert(row: Row) -> dict[str, Any]:
        return _response(row.value, samples.find(row.value), plan, repeats)

    if plan.dry_run:
        return preview(plan, convert)
    with Tables(
        dataset, plan, ["responses"], rejects="ingest-responses", inputs=samples.inputs
    ) as tables:
        done = tables.is_complete
        for row, found in () if done else convert_all(plan, convert):
            if isinstance(found, RowError):
                tables.reject(row.row_id, found)
            else:
                tables.add("responses", found, 400 + len(found["text"]))
            if tables.checkpoint():
                tables.flush()
        tables.flush()
    return outcome_of_labels(dataset, plan, tables, "ingest-responses", done=done)


def _response(
    row: dict[str, Any], sample: Sample, plan: Plan, repeats: Counter[tuple[str, str]]
) -> dict[str, Any]:
    name = first_field(row, (*ANSWER, "text"), plan.naming.answer)
    if name is None:
        raise RowError("missing_field", "no answer")
    text = scalar_text(row[name], name, plan.naming.max_text)
    if not text.strip():
        raise RowError("empty_answer", f"{name} has no text")
    field = first_field(row, MODEL, None)
    model = plan.options.model if field is None else scalar_text(row[field], field, 1000)
    if model is None:
        raise RowError("missing_field", "no field model; --model NAME sets it for all rows")
    index = repeats[sample.sample_id, model]
    repeats[sample.sample_id, model] += 1
    reason = row.get("finish_reason")
    settings: dict[str, Any] = {key: number(row.get(key)) for key in _FLOATS}
    for key, limit in _INTEGERS.items():
        value = row.get(key)
        valid = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= limit
        settings[key] = value if valid else None
    return {
        "response_id": stable_id(sample.sample_id, model, index, text),
        "sample_id": sample.sample_id,
        "prompt": sample.prompt,
        "text": text,
        "model": model,
        "index": index,
        "finish_reason": check_text(reason, "finish_reason", 100) if reason else None,
        **settings,
    }


def import_comparisons(dataset: Dataset, plan: Plan) -> Outcome:
    """Write verdicts on two responses of the dataset; both orders become one row.

    Raises:
        Error: If there are no samples or responses, or the source as a whole cannot be
            read.
    """
    samples = Samples(dataset, plan)
    runs = [m for m in dataset.runs("responses") if m.is_complete]
    if not runs:
        msg = f"{dataset.path}: has no responses to compare; import them with `curate ingest FILE --as responses`"
        raise UsageError(msg)
    responses = responses_by_model(dataset, runs)

    def convert(row: Row) -> Vote:
        sample_id = samples.find(row.value).sample_id
        vote = read_vote(row.value, row.row_id, sample_id, plan.name)
        ids = [response_of(responses, sample_id, model) for model in (vote.first, vote.second)]
        return dataclasses.replace(vote, first=ids[0], second=ids[1])

    if plan.dry_run:
        return preview(plan, convert)
    inputs = [*samples.inputs, *runs]
    with Tables(
        dataset, plan, ["comparisons"], rejects="ingest-comparisons", inputs=inputs
    ) as tables:
        done = tables.is_complete
        if not done:
            _write_comparisons(plan, tables, convert)
    return outcome_of_labels(dataset, plan, tables, "ingest-comparisons", done=done)


def _write_comparisons(plan: Plan, tables: Tables, convert: Callable[[Row], Vote]) -> None:
    votes: list[Vote] = []
    for row, found in convert_all(plan, convert):
        if isinstance(found, RowError):
            tables.reject(row.row_id, found)
        else:
            votes.append(found)
    rows, duplicates = combine(votes)
    for row_id, error in duplicates:
        tables.reject(row_id, error)
    for comparison in rows:
        tables.add("comparisons", comparison)
    tables.flush()
    verdicts = Counter(row["verdict"] for row in rows)
    tables.main.summary.update(votes=len(votes), verdicts=dict(verdicts.most_common()))
