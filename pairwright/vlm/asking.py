"""Requests in, rows out: the loop of every command that calls a model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pairwright.vlm.rows import RowBuffer, reject_failure
from pairwright.vlm.types import Backend, ChatRequest, Reply, ask_all

if TYPE_CHECKING:
    from pairwright.commands.progress import Progress
    from pairwright.dataset.writer import RunWriter

ACCOUNT = "asked"


@dataclass(slots=True)
class Account:
    """Counts of requests of a run so far, earlier sessions of the run included.

    Attributes:
        requests: Requests that got a reply or timed out.
        failures: Of those, requests that timed out or were refused.
        attempts: Requests that were sent, tries again included.
        images_sent: Images whose bytes were sent.
        prompt_tokens: As the server counts them.
        completion_tokens: As the server counts them.
        seconds: Wall-clock seconds spent asking.
    """

    requests: int = 0
    failures: int = 0
    attempts: int = 0
    images_sent: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def see(self, reply: Reply) -> None:
        """Count a reply."""
        self.requests += 1
        self.failures += reply.error is not None
        self.prompt_tokens += reply.usage.prompt_tokens
        self.completion_tokens += reply.usage.completion_tokens

    def as_dict(self) -> dict[str, Any]:
        """For a manifest."""
        names = self.__dataclass_fields__
        return {n: round(getattr(self, n), 3) for n in names}


def ask_into(
    writer: RunWriter,
    backend: Backend,
    requests: Iterable[ChatRequest],
    rows_of: Callable[[Reply], Sequence[dict[str, Any]]],
    *,
    ids_of: Callable[[Any], tuple[str, str]],
    progress: Progress,
    note_of: Callable[[Sequence[dict[str, Any]]], str | None] = lambda _rows: None,
    on_failure: Callable[[Reply], object] = lambda _reply: None,
) -> None:
    """Have a backend answer requests and write what comes of it.

    Rows of one reply become durable together. A request without an answer becomes a reject; if the
    server did not answer at all it is one of the stage `request`, which the next run tries again
    (open the writer with `retry_stages=("request",)`). The counts are kept in the summary of the run
    under `asked`.

    Args:
        writer: Of the run.
        backend: The model.
        requests: Requests; only a window of them is in memory.
        rows_of: Rows of a reply; none is fine (the other half of a pair may be missing yet).
        ids_of: Of a request's key, the row it is about and the request itself, as rejects name
            them.
        progress: Advances by one a request.
        note_of: A word on the rows just made, for the live view.
        on_failure: Called with each reply that has no answer.

    Raises:
        ServerError: If the model is gone; what was answered is kept.
    """
    account = Account(**writer.summary.get(ACCOUNT, {}))
    sent = (getattr(backend, "attempts", 0), getattr(backend, "images_sent", 0))
    before = (account.attempts, account.images_sent, account.seconds)
    started = time.monotonic()

    def tally() -> None:
        account.attempts = before[0] + getattr(backend, "attempts", 0) - sent[0]
        account.images_sent = before[1] + getattr(backend, "images_sent", 0) - sent[1]
        account.seconds = before[2] + time.monotonic() - started
        writer.summary[ACCOUNT] = account.as_dict()

    def on_reply(reply: Reply) -> None:
        account.see(reply)
        tokens = reply.usage.prompt_tokens + reply.usage.completion_tokens
        if account.requests % 256 == 0:
            tally()  # the manifest is saved with every part: a killed run has its account too
        if reply.error is not None:
            reject_failure(writer, reply.error, *ids_of(reply.key))
            on_failure(reply)
            progress.advance(tokens=tokens)
            return
        found = rows_of(reply)
        if found:
            rows.add(*found)
        progress.advance(note=note_of(found), tokens=tokens)

    try:
        with RowBuffer(writer) as rows:
            ask_all(requests, backend, on_reply)
    finally:
        tally()
        # Also where the work stops here and the last rows are durable already.
        writer.flush()
        writer.flush(always=True)


def unwritten(
    batches: Iterable[Any], writer: RunWriter, key: str, per_key: int
) -> Iterator[tuple[Any, dict[str, set[tuple[Any, ...]]]]]:
    """Batches without the rows that are finished, and what is written of the others.

    Args:
        batches: Frames with a column `key`.
        writer: Of the run.
        key: Column that identifies a row in both.
        per_key: Rows of the table that a finished row has.

    Yields:
        The frame of what is open, and by its key how many rows of it are written.
    """
    import polars as pl

    from schemas.tables import TABLES

    columns = [n for n in TABLES[writer.manifest.kind].primary_key() if n != key]
    written = writer.scan()  # as of now: rows of this session are not requested again
    rejected = writer.rejected_ids()
    for batch in batches:
        frame = batch
        if rejected:
            frame = frame.filter(~pl.col(key).is_in(list(rejected)))
        partial: dict[str, set[tuple[Any, ...]]] = {}
        if written is not None and frame.height:
            found = (
                written.select(key, *columns)
                .join(frame.lazy().select(key), on=key, how="semi")
                .collect(engine="streaming")
            )
            counts = found.group_by(key).len()
            whole = counts.filter(pl.col("len") >= per_key)
            frame = frame.join(whole, on=key, how="anti", maintain_order="left")
            for row in found.join(whole, on=key, how="anti").iter_rows():
                partial.setdefault(row[0], set()).add(row[1:])
        if frame.height:
            yield frame, partial
