"""Rows about samples and responses of the dataset: finding them, and converting the rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from curate.ingest.outcome import preview_of
from curate.ingest.plan import Plan, Row, attempt, rows_of
from curate.read.fields import first_field, scalar_text
from curate.read.rows import RowError, printable
from pairwright.commands.command import Outcome
from pairwright.commands.progress import Progress
from pairwright.dataset.store import Dataset
from pairwright.errors import DataError, UsageError
from pairwright.text.conversation import Message, prompt_of

if TYPE_CHECKING:
    from pairwright.dataset.manifest import Manifest

_T = TypeVar("_T")
_MATCH: Final = ("sample_id", "question_id", "id")
MODEL: Final = ("model", "model_id", "model_name")
_RESPONSE: Final = ("response_id", "target_id")


def are_about_responses(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether most rows name responses of the dataset and contain none."""
    about = [
        row
        for row in rows
        if any(isinstance(row.get(name), str) for name in _RESPONSE)
        and not any(row.get(name) for name in ("rejected", "original", "response", "answer"))
    ]
    return len(about) * 2 > len(rows)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a response needs to know about its sample.

    Attributes:
        prompt: Empty unless prompts are needed.
        answered: Whether it has an answer of its own.
    """

    sample_id: str
    prompt: list[Message]
    answered: bool


class Samples:
    """Samples by their id, or by their id in the source."""

    def __init__(self, dataset: Dataset, plan: Plan, *, prompts: bool = False) -> None:
        """Read the ids, and the conversations only if prompts are needed."""
        import polars as pl

        self._match = plan.options.match
        self.inputs = [m for m in dataset.runs("samples") if m.is_complete]
        role = pl.col("messages").list.last().struct.field("role")
        frame = dataset.union("samples").select(
            "sample_id", "source", "source_id", role == "assistant",
            pl.col("messages") if prompts else pl.lit(None).alias("messages"),
        )  # fmt: skip
        source = plan.options.match_source
        if source is not None:
            frame = frame.filter(pl.col("source") == source)
            self.inputs = [m for m in self.inputs if _has_source(dataset, m, source)]
        self._by_id: dict[str, Sample] = {}
        self._by_source_id: dict[str, Sample | None] = {}
        rows = frame.collect(engine="streaming").iter_rows()
        for sample_id, _, source_id, answered, messages in rows:
            prompt = prompt_of(messages) if messages else []
            sample = Sample(sample_id, prompt, bool(answered))
            self._by_id[sample_id] = sample
            self._by_source_id[source_id] = None if source_id in self._by_source_id else sample
        if not self._by_id:
            of = f" of the source {source}" if source else ""
            msg = f"{dataset.path}: has no samples{of} to match; ingest them first"
            raise UsageError(msg)

    def has(self, sample_id: str) -> bool:
        """Whether the dataset has this sample."""
        return sample_id in self._by_id

    def find(self, row: dict[str, Any]) -> Sample:
        """The sample that a row is about.

        Raises:
            RowError: If the row names none, an unknown one, or several.
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


@dataclass(frozen=True, slots=True)
class Target:
    """The answer that a label is about.

    Attributes:
        kind: `sample` (its own answer) or `response`.
        text: The response, if texts are needed.
    """

    target_id: str
    kind: str
    text: str | None = None


class Targets:
    """Answers by response id, by sample and model, or a sample's own."""

    def __init__(self, dataset: Dataset, plan: Plan, *, texts: bool = False) -> None:
        """Read the ids, and the texts of responses if they are needed."""
        self._samples = Samples(dataset, plan)
        runs = [m for m in dataset.runs("responses") if m.is_complete]
        self.inputs = [*self._samples.inputs, *runs]
        self._by_model = responses_by_model(dataset, runs)
        self._texts: dict[str, str | None] = {}
        for manifest in runs:
            frame = dataset.scan(manifest).select(
                "response_id", *(["text"] if texts else [])
            ).collect()  # fmt: skip
            self._texts.update((row[0], row[1] if texts else None) for row in frame.iter_rows())

    def find(self, row: dict[str, Any]) -> Target:
        """The answer that a row is about.

        Raises:
            RowError: If the row names none, an unknown one, or several.
        """
        row = {key: value for key, value in row.items() if value != ""}  # empty cells of a CSV
        name = first_field(row, _RESPONSE, None)
        if name is not None:
            found = scalar_text(row[name], name, 1000)
            if found in self._texts:
                return Target(found, "response", self._texts[found])
            if name != "target_id" or not self._samples.has(found):
                raise RowError("unknown_response", f"{name} {printable(found)}", stage="match")
            return self._own(self._samples.find({"sample_id": found}))
        sample = self._samples.find(row)
        field = first_field(row, MODEL, None)
        if field is None:
            return self._own(sample)
        model = scalar_text(row[field], field, 1000)
        response_id = response_of(self._by_model, sample.sample_id, model)
        return Target(response_id, "response", self._texts[response_id])

    @staticmethod
    def _own(sample: Sample) -> Target:
        if not sample.answered:
            detail = f"the sample {sample.sample_id} has no answer of its own; name a model"
            raise RowError("no_answer", detail, stage="match")
        return Target(sample.sample_id, "sample")


def _has_source(dataset: Dataset, manifest: Manifest, source: str) -> bool:
    import polars as pl

    return dataset.scan(manifest).filter(pl.col("source") == source).head(1).collect().height > 0


def responses_by_model(dataset: Dataset, runs: list[Manifest]) -> dict[tuple[str, str], set[str]]:
    """Ids of responses by sample and model."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for manifest in runs:
        frame = dataset.scan(manifest).select("sample_id", "model", "response_id").collect()
        for sample_id, model, response_id in frame.iter_rows():
            found[sample_id, model].add(response_id)
    return found


def response_of(found: dict[tuple[str, str], set[str]], sample_id: str, model: str) -> str:
    """The one response of a model to a sample.

    Raises:
        RowError: If there is none, or several.
    """
    ids = found.get((sample_id, model), set())
    if len(ids) != 1:
        reason = "ambiguous_response" if ids else "unknown_response"
        detail = f"{len(ids)} responses of {printable(model, 100)} to the sample {sample_id}"
        raise RowError(reason, detail, stage="match")
    return next(iter(ids))


def convert_all(plan: Plan, convert: Callable[[Row], _T]) -> Iterator[tuple[Row, _T | RowError]]:
    """Every row of the source, and the converted row or its error.

    Raises:
        DataError: If the source has no rows.
    """
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
        msg = f"{plan.source.name}: the source has no rows"
        raise DataError(msg)


def preview(plan: Plan, convert: Callable[[Row], Any]) -> Outcome:
    """The outcome of `--dry-run`: nothing is written."""
    reasons: Counter[str] = Counter()
    n_rows = 0
    for _, found in convert_all(plan, convert):
        if isinstance(found, RowError):
            reasons[found.reason] += 1
        else:
            n_rows += 1
    return preview_of(plan, reasons, n_rows)
