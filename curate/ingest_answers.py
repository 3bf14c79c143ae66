"""Answers and verdicts about samples that the dataset has already."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from curate.ingest_tables import Plan, Row, Tables, attempt, in_words, reject_reasons, rows_of
from curate.sources.fields import ANSWER, check_text, first_field, number, scalar_text
from curate.sources.rows import RowError, printable
from curate.sources.votes import Vote, combine, read_vote
from pairwright.command import Outcome
from pairwright.conversation import Message, prompt_of
from pairwright.errors import DataError, UsageError
from pairwright.ids import stable_id
from pairwright.progress import Progress
from pairwright.store import Dataset

if TYPE_CHECKING:
    from pairwright.manifest import Manifest

_T = TypeVar("_T")
_MATCH: Final = ("sample_id", "question_id", "id")
_MODEL: Final = ("model", "model_id", "model_name")
_INTEGERS: Final = {"seed": 1 << 62, "n_tokens": 1 << 30, "top_k": 1 << 30}
_FLOATS: Final = ("temperature", "top_p", "logprob")


@dataclass(frozen=True, slots=True)
class _Sample:
    """What an answer needs to know of its sample."""

    sample_id: str
    prompt: list[Message]


class _Samples:
    """Samples by their id, or by their id in the source."""

    def __init__(self, dataset: Dataset, plan: Plan) -> None:
        import polars as pl

        self._match = plan.options.match
        self.inputs = [m for m in dataset.runs("samples") if m.is_complete]
        frame = dataset.union("samples").select("sample_id", "source", "source_id", "messages")
        source = plan.options.match_source
        if source is not None:
            frame = frame.filter(pl.col("source") == source)
            self.inputs = [m for m in self.inputs if _has_source(dataset, m, source)]
        self._by_id: dict[str, _Sample] = {}
        self._by_source_id: dict[str, _Sample | None] = {}
        for sample_id, _, source_id, messages in frame.collect().iter_rows():
            sample = _Sample(sample_id, prompt_of(messages))
            self._by_id[sample_id] = sample
            self._by_source_id[source_id] = None if source_id in self._by_source_id else sample
        if not self._by_id:
            of = f" of the source {source}" if source else ""
            msg = f"{dataset.path}: holds no samples{of} to match; ingest them first"
            raise UsageError(msg)

    def find(self, row: dict[str, Any]) -> _Sample:
        """The sample that a row is about.

        Raises:
            RowError: If the row names none, an unknown one, or one of several.
        """
        name = first_field(row, _MATCH, self._match)
        if name is None:
            wanted = self._match or " or ".join(_MATCH)
            raise RowError("missing_field", f"no field {wanted} names the sample", stage="match")
        value = scalar_text(row[name], name, 1000)
        if value in self._by_id:
            return self._by_id[value]
        if value not in self._by_source_id:
            raise RowError("unknown_sample", f"{name} {printable(value)}", stage="match")
        found = self._by_source_id[value]
        if found is None:
            detail = (
                f"several samples have the id {printable(value, 100)}: name one by its sample_id, "
                "or give --match-source"
            )
            raise RowError("ambiguous_sample", detail, stage="match")
        return found


def _has_source(dataset: Dataset, manifest: Manifest, source: str) -> bool:
    import polars as pl

    return dataset.scan(manifest).filter(pl.col("source") == source).head(1).collect().height > 0


def import_responses(dataset: Dataset, plan: Plan) -> Outcome:
    """Write answers of models to samples that the dataset has.

    Raises:
        PairwrightError: If there are no samples, or the source as a whole cannot be read.
    """
    samples = _Samples(dataset, plan)
    drawn: Counter[tuple[str, str]] = Counter()

    def convert(row: Row) -> dict[str, Any]:
        return _response(row.value, samples.find(row.value), plan, drawn)

    if plan.dry_run:
        return _preview(plan, convert)
    with Tables(
        dataset, plan, ["responses"], rejects="ingest-responses", inputs=samples.inputs
    ) as tables:
        done = tables.is_complete
        for row, found in () if done else _convert_all(plan, convert):
            if isinstance(found, RowError):
                tables.reject(row.row_id, found)
            else:
                tables.add("responses", found, 400 + len(found["text"]))
            if tables.checkpoint():
                tables.flush()
        tables.flush()
    return _outcome(dataset, plan, tables, "ingest-responses", done=done)


def _response(
    row: dict[str, Any], sample: _Sample, plan: Plan, drawn: Counter[tuple[str, str]]
) -> dict[str, Any]:
    limit = plan.naming.max_text
    name = first_field(row, (*ANSWER, "text"), plan.naming.answer)
    if name is None:
        raise RowError("missing_field", "no answer")
    text = scalar_text(row[name], name, limit)
    if not text.strip():
        raise RowError("empty_answer", f"{name} has no text")
    field = first_field(row, _MODEL, None)
    model = plan.options.model if field is None else scalar_text(row[field], field, 1000)
    if model is None:
        raise RowError("missing_field", "no field model; --model NAME says it for all rows")
    index = drawn[sample.sample_id, model]
    drawn[sample.sample_id, model] += 1
    reason = row.get("finish_reason")
    settings: dict[str, Any] = {key: number(row.get(key)) for key in _FLOATS}
    for key, most in _INTEGERS.items():
        value = row.get(key)
        good = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= most
        settings[key] = value if good else None
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
    """Write verdicts on two responses that the dataset has; both orders become one row.

    Raises:
        PairwrightError: If there are no samples or responses, or the source as a whole cannot be
            read.
    """
    samples = _Samples(dataset, plan)
    runs = [m for m in dataset.runs("responses") if m.is_complete]
    if not runs:
        msg = f"{dataset.path}: holds no responses to compare; import them with --as responses"
        raise UsageError(msg)
    responses = _responses(dataset, runs)

    def convert(row: Row) -> Vote:
        sample_id = samples.find(row.value).sample_id
        vote = read_vote(row.value, row.row_id, sample_id, plan.name)
        ids = [_response_of(responses, sample_id, model) for model in (vote.first, vote.second)]
        return dataclasses.replace(vote, first=ids[0], second=ids[1])

    if plan.dry_run:
        return _preview(plan, convert)
    inputs = [*samples.inputs, *runs]
    with Tables(
        dataset, plan, ["comparisons"], rejects="ingest-comparisons", inputs=inputs
    ) as tables:
        done = tables.is_complete
        if not done:
            _write_comparisons(plan, tables, convert)
    return _outcome(dataset, plan, tables, "ingest-comparisons", done=done)


def _write_comparisons(plan: Plan, tables: Tables, convert: Callable[[Row], Vote]) -> None:
    votes: list[Vote] = []
    for row, found in _convert_all(plan, convert):
        if isinstance(found, RowError):
            tables.reject(row.row_id, found)
        else:
            votes.append(found)
    rows, doubles = combine(votes)
    for row_id, error in doubles:
        tables.reject(row_id, error)
    for comparison in rows:
        tables.add("comparisons", comparison)
    tables.flush()
    verdicts = Counter(row["verdict"] for row in rows)
    tables.main.summary.update(votes=len(votes), verdicts=dict(verdicts.most_common()))


def _responses(dataset: Dataset, runs: list[Manifest]) -> dict[tuple[str, str], set[str]]:
    """Ids of responses by sample and model."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for manifest in runs:
        frame = dataset.scan(manifest).select("sample_id", "model", "response_id").collect()
        for sample_id, model, response_id in frame.iter_rows():
            found[sample_id, model].add(response_id)
    return found


def _response_of(found: dict[tuple[str, str], set[str]], sample_id: str, model: str) -> str:
    ids = found.get((sample_id, model), set())
    if len(ids) != 1:
        reason = "ambiguous_response" if ids else "unknown_response"
        detail = f"{len(ids)} responses of {printable(model, 100)} to the sample {sample_id}"
        raise RowError(reason, detail, stage="match")
    return next(iter(ids))


def _convert_all(plan: Plan, convert: Callable[[Row], _T]) -> Iterator[tuple[Row, _T | RowError]]:
    n_rows = 0
    with Progress(f"ingest {plan.name}") as progress:
        for row in rows_of(plan):
            n_rows += 1
            progress.advance()
            found: _T | RowError
            try:
                if row.error is not None:
                    raise row.error
                found = attempt(convert, row)
            except RowError as error:
                found = error
            yield row, found
    if not n_rows:
        msg = f"{plan.source.name}: the source holds no rows"
        raise DataError(msg)


def _preview(plan: Plan, convert: Callable[[Row], Any]) -> Outcome:
    reasons: Counter[str] = Counter()
    n_rows = 0
    for _, found in _convert_all(plan, convert):
        if isinstance(found, RowError):
            reasons[found.reason] += 1
        else:
            n_rows += 1
    rejects = sum(reasons.values())
    listed = "".join(f"\n  {count:,} {reason}" for reason, count in reasons.most_common())
    message = (
        f"would take {n_rows:,} rows as {plan.table}/{plan.run}, and reject {rejects:,}{listed}"
    )
    summary = {"dry_run": True, "reject_reasons": dict(reasons)}
    return Outcome(message=message, rows=n_rows, rejects=rejects, summary=summary)


def _outcome(dataset: Dataset, plan: Plan, tables: Tables, step: str, *, done: bool) -> Outcome:
    reasons = reject_reasons(dataset, step, plan.run)
    rows = tables.main.manifest.rows
    lines = ["nothing to do"] if done else []
    lines.append(f"{plan.table}/{plan.run}: {rows:,} rows")
    verdicts = tables.main.summary.get("verdicts")
    if verdicts:
        shown = ", ".join(f"{count:,} {verdict}" for verdict, count in verdicts.items())
        lines.append(f"verdicts of {tables.main.summary['votes']:,} votes: {shown}")
    lines.append(in_words(dataset, reasons, step, plan.run))
    return Outcome(
        message="\n".join(lines),
        table=f"{plan.table}/{plan.run}",
        rows=rows,
        rejects=sum(reasons.values()),
        summary={"reject_reasons": reasons, **tables.main.summary},
    )
