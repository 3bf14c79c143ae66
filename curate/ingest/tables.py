"""The tables that one ingest writes together."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from curate.ingest.options import IngestOptions
from curate.ingest.plan import STEP, Plan
from curate.read.rows import RowError, printable
from pairwright.commands.options import current_config
from pairwright.dataset.manifest import Manifest
from pairwright.dataset.store import Dataset
from pairwright.dataset.writer import RunWriter

_CHECKPOINT_ROWS: Final = 20_000
_CHECKPOINT_BYTES: Final = 64 << 20
_CHECKPOINT_SECONDS: Final = 20.0
_NEVER: Final = 1 << 60
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
# Tables with new keys in every row of a run: remembering them would need memory for each row.
_ONCE: Final = ("samples", "pairs", "images")


class Tables:
    """The tables of one ingest, made durable together; used as a context manager.

    Images are flushed before the samples that refer to them, and samples before the rows that refer
    to them, so that no row ever refers to one that does not exist. The runs are completed in the
    same order.
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
        """Prepare one writer per table.

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
                current_config=partial(current_config, IngestOptions),
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
        """Complete all runs; after an error keep what is durable."""
        self._stack.__exit__(kind, error, trace)

    @property
    def main(self) -> RunWriter:
        """The writer of the main table, which takes the rejects."""
        return self.writers[self._main]

    @property
    def is_complete(self) -> bool:
        """Whether all runs are complete."""
        return all(writer.is_complete for writer in self.writers.values())

    def done(self, kind: str, key: str) -> bool:
        """Whether a row is durable already, or will be after the next flush."""
        if kind not in self._done:
            frame = self.writers[kind].written(list(KEYS[kind]))
            rows = () if frame is None else frame.iter_rows(named=True)
            self._done[kind] = {key_of(kind, row) for row in rows}
        return key in self._done[kind]

    def add(self, kind: str, row: dict[str, Any], n_bytes: int = 200) -> None:
        """Append a row, unless its key is in the table."""
        # New keys need no check, unless an earlier attempt wrote some of them.
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
        """Whether it is time to flush the rows that were added."""
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


def key_of(kind: str, row: Mapping[str, Any]) -> str:
    """The key of a row as one text."""
    return "\x1f".join(str(row[name]) for name in KEYS[kind])
