"""What all imports share: the plan, and the tables that one ingest writes together."""

from __future__ import annotations

import itertools
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from curate.ingest.options import IngestOptions
from curate.read.fields import Naming, source_id
from curate.read.rows import RowError, printable
from curate.read.sources.files import Source
from pairwright.dataset.manifest import Manifest
from pairwright.dataset.store import Dataset
from pairwright.dataset.writer import RunWriter

_T = TypeVar("_T")
STEP: Final = "ingest"
_CHECKPOINT_ROWS: Final = 20_000
_CHECKPOINT_BYTES: Final = 64 << 20
_CHECKPOINT_SECONDS: Final = 20.0
_NEVER: Final = 1 << 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An ingest, resolved.

    Attributes:
        name: Name of the source, part of its ids.
        run: Name of the runs that are written.
        table: What the rows shall become.
        kinds: Tables that are written, in the order of their dependence.
        folder: The only folder that image paths may lead to.
        config: Configuration to record.
        fingerprints: Of the source's files.
    """

    source: Source
    name: str
    run: str
    table: str
    kinds: tuple[str, ...]
    folder: Path
    naming: Naming
    options: IngestOptions
    limit: int | None
    replace: bool
    dry_run: bool
    config: dict[str, Any]
    fingerprints: dict[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the source and what it is called.

    Attributes:
        row_id: File, number and id, as the rejects table names it.
        source_id: Id in the source, or its place there.
        split: Split that its file tells.
        value: The row.
        error: Why there is no value.
        images_in: Folder that its image paths start from, inside of the image folder.
    """

    row_id: str
    source_id: str
    split: str | None
    value: Any
    error: RowError | None
    images_in: str = ""


def rows_of(plan: Plan) -> Iterator[Row]:
    """Rows of the source, each with an id."""
    single = len(plan.source.files) == 1
    inner = {file.name: file.images_in for file in plan.source.files}
    if plan.options.image_folder is not None:
        inner = {}
    for file, raw in itertools.islice(plan.source.rows(), plan.limit):
        place = f"{file.name}#{raw.number}"
        row_id, found, error = place, None, raw.error
        if error is None and not isinstance(raw.value, dict):
            kind = type(raw.value).__name__
            error = RowError("not_an_object", f"the row is {kind}, not an object", stage="parse")
        if error is None:
            try:
                found = source_id(raw.value, plan.naming)
            except RowError as problem:
                error = problem
        if found is not None:
            row_id = f"{place} ({printable(found, 100)})"
        sid = found or (str(raw.number) if single else place)
        value = raw.value if error is None else None
        yield Row(row_id, sid, file.split, value, error, inner.get(file.name, ""))


def attempt(convert: Callable[..., _T], *arguments: Any) -> _T:
    """Call what turns a row into something else.

    Raises:
        RowError: Whatever goes wrong, so that it costs the row and not the ingest.
    """
    try:
        return convert(*arguments)
    except RowError:
        raise
    except Exception as error:
        # The one boundary between rows of strangers and us.
        detail = f"{type(error).__name__}: {error}"
        raise RowError("unexpected_error", detail) from error


class Tables:
    """The tables of one ingest, made durable together; used as a context manager.

    Images are flushed before the samples that refer to them, and samples before what refers to
    them, so that a reader never finds a row that leads nowhere. In the same order the runs are
    completed.
    """

    def __init__(
        self,
        dataset: Dataset,
        plan: Plan,
        kinds: Sequence[str],
        *,
        rejects: str = STEP,
        inputs: Sequence[Manifest] = (),
    ) -> None:
        """Prepare one writer a table.

        Args:
            dataset: Where to write.
            plan: The ingest.
            kinds: Tables in the order of their dependence.
            rejects: Name of the step in the rejects table.
            inputs: Runs that are read.
        """
        self._main = "samples" if "samples" in kinds else kinds[-1]
        self.writers: dict[str, RunWriter] = {
            kind: dataset.write(
                kind,
                plan.run,
                step=STEP,
                config=plan.config,
                inputs=inputs,
                fingerprints=plan.fingerprints,
                replace=plan.replace,
                rejects=rejects if kind == self._main else False,
                part_rows=_NEVER,
                part_bytes=_NEVER,
                part_seconds=float(_NEVER),
            )
            for kind in kinds
        }
        self._stack = ExitStack()
        self._rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._done: dict[str, set[str]] = {}
        self._pending = (0, 0)
        self._flushed_at = time.monotonic()

    def __enter__(self) -> Self:
        """Take all locks, or none."""
        entered: list[RunWriter] = []
        try:
            for writer in self.writers.values():
                writer.__enter__()
                entered.append(writer)
        except BaseException:
            for writer in entered:
                writer.__exit__(*sys.exc_info())
            raise
        for writer in reversed(entered):
            self._stack.push(writer.__exit__)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete all runs, or keep what is durable."""
        self._stack.__exit__(kind, error, trace)

    @property
    def main(self) -> RunWriter:
        """The writer that rejects."""
        return self.writers[self._main]

    @property
    def is_complete(self) -> bool:
        """Whether there is nothing to do."""
        return all(writer.is_complete for writer in self.writers.values())

    def done(self, kind: str, key: str) -> bool:
        """Whether a row is durable already, or about to be."""
        if kind not in self._done:
            frame = self.writers[kind].written(list(KEYS[kind]))
            rows = () if frame is None else frame.iter_rows(named=True)
            self._done[kind] = {key_of(kind, row) for row in rows}
        return key in self._done[kind]

    def add(self, kind: str, row: dict[str, Any], n_bytes: int = 200) -> None:
        """Append a row, unless it is there."""
        # A key that comes once and was not there before needs no looking up.
        if kind not in _ONCE or self.writers[kind].resumed:
            key = key_of(kind, row)
            if self.done(kind, key):
                return
            if kind not in _ONCE:
                self._done[kind].add(key)
        self._rows[kind].append(row)
        self._count(n_bytes)

    def reject(self, row_id: str, error: RowError) -> None:
        """Record a row that cannot be used."""
        self.main.reject(row_id, error.stage, error.reason, printable(error.detail, 450))
        self._count(200)

    def _count(self, n_bytes: int) -> None:
        self._pending = (self._pending[0] + 1, self._pending[1] + n_bytes)

    def checkpoint(self, *, extra_bytes: int = 0) -> bool:
        """Whether it is time to make what was added durable."""
        rows, n_bytes = self._pending
        late = time.monotonic() - self._flushed_at > _CHECKPOINT_SECONDS
        return rows >= _CHECKPOINT_ROWS or n_bytes + extra_bytes >= _CHECKPOINT_BYTES or late

    def flush(self) -> None:
        """Make everything durable, in the order of dependence."""
        for kind, writer in self.writers.items():
            if not writer.is_complete:
                writer.add(self._rows.pop(kind, []))
                writer.flush()
        self._pending, self._flushed_at = (0, 0), time.monotonic()


KEYS: Final[dict[str, tuple[str, ...]]] = {
    "images": ("image_id",),
    "samples": ("sample_id",),
    "pairs": ("pair_id",),
    "responses": ("response_id",),
    "scores": ("target_id", "rubric", "criterion", "judge", "repeat"),
    "feedback": ("feedback_id",),
    "comparisons": ("comparison_id",),
    "claims": ("claim_id",),
}
# Tables whose keys one run makes once only: remembering them would cost memory row by row.
_ONCE: Final = ("samples", "pairs", "images")


def key_of(kind: str, row: Mapping[str, Any]) -> str:
    """The key of a row as one text."""
    return "\x1f".join(str(row[name]) for name in KEYS[kind])


def reject_reasons(dataset: Dataset, step: str, run: str) -> dict[str, int]:
    """Number of rejected rows by reason, the commonest first."""
    manifest = dataset.manifest(f"rejects/{step}", run)
    if manifest is None or not manifest.rows:
        return {}
    counts = (
        dataset.scan(manifest)
        .group_by("reason")
        .len()
        .sort("len", "reason", descending=[True, False])
    )
    return dict(counts.collect().iter_rows())


def claims_in_words(dataset: Dataset, run: str) -> list[str]:
    """How many claims were supported, so that a legend that is the wrong way round shows."""
    import polars as pl

    manifest = dataset.manifest("claims", run)
    if manifest is None or not manifest.rows:
        return []
    share = dataset.scan(manifest).select(pl.col("p_yes").mean()).collect().item()
    if share is None:
        return ["no claim has a verdict"]
    line = f"{100 * share:.1f} % of the judged claims are supported"
    if share < 0.5:
        line += "; if the source's legend is the other way round, --inverted turns it round"
    return [line]


def in_words(dataset: Dataset, reasons: dict[str, int], step: str, run: str) -> str:
    """The reasons as lines: how often, where to look, and what the commonest looks like."""
    if not reasons:
        return "no rejects"
    listed = ", ".join(f"{count:,} {reason}" for reason, count in list(reasons.items())[:8])
    text = (
        f"{sum(reasons.values()):,} rejects ({listed}); see `pairwright show rejects/{step}/{run}`"
    )
    manifest = dataset.manifest(f"rejects/{step}", run)
    if manifest is None:
        return text
    reason = next(iter(reasons))
    rows = dataset.scan(manifest).filter(reason=reason).head(1).select("row_id", "detail")
    for row_id, detail in rows.collect().iter_rows():
        text += f"\n  the first {reason}: {printable(row_id, 120)}: {printable(detail or '', 300)}"
    return text
