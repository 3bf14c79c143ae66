"""Replies become rows: batches for the writer, invalid rows for failures."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pairwright.vlm.types import Failure

if TYPE_CHECKING:
    from pairwright.dataset.writer import RunWriter

_ROWS, _SECONDS = 500, 1.0


class RowBuffer:
    """Hands rows to a writer some hundred at a time; also when the block is left by an exception."""

    def __init__(self, writer: RunWriter) -> None:
        """Buffer for `writer`."""
        self._writer = writer
        self._rows: list[dict[str, Any]] = []
        self._since = time.monotonic()

    def add(self, *rows: dict[str, Any]) -> None:
        """Append rows; those of one call become durable together."""
        self._rows += rows
        if len(self._rows) >= _ROWS or time.monotonic() - self._since > _SECONDS:
            self._hand_over()

    def _hand_over(self) -> None:
        rows, self._rows = self._rows, []
        self._since = time.monotonic()
        if rows:
            self._writer.add(rows)

    def __enter__(self) -> Self:
        """Start."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hand over what is left, whatever happened."""
        self._hand_over()


def reject_failure(writer: RunWriter, failure: Failure, row_id: str, request_id: str) -> None:
    """Record why a request has no reply.

    Args:
        writer: Of the run.
        failure: What happened.
        row_id: The row; a fault of the row itself is not tried again.
        request_id: The request; without an answer, the next run tries again (stage `request`).
    """
    if failure.reason == "unanswered":
        writer.reject(request_id, "request", failure.reason, failure.detail)
    elif failure.reason == "refused":
        writer.reject(request_id, "prompt", failure.reason, failure.detail)
    else:
        stage = "image" if failure.reason == "image" else "prompt"
        writer.reject(row_id, stage, failure.reason, failure.detail)
