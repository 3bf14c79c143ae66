"""Rows to samples, and with them pairs or feedback: streamed, resumable, image by image."""

from __future__ import annotations

import gc
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any, Final

from curate.ingest.images import carry_images, known_images
from curate.ingest.intake import Intake
from curate.ingest.outcome import FACTS, outcome_of_samples, preview_of
from curate.ingest.plan import Plan, Row, attempt, rows_of
from curate.ingest.rows import Occurrences, Pending, rows_of_draft
from curate.ingest.tables import Tables, key_of
from curate.read.formats.base import Converter
from curate.read.rows import RowError, printable
from pairwright.commands.command import Outcome
from pairwright.commands.progress import Progress, say
from pairwright.dataset.store import Dataset
from pairwright.errors import DataError
from pairwright.text.conversation import Message, prompt_of

_PROGRESS_ROWS: Final = 50
_BATCH_ROWS: Final = 512
_BATCH_IMAGES: Final = 256
_BATCH_BYTES: Final = 32 << 20
# Batches whose images are being decoded while the next one is read.
_MAX_BATCHES: Final = 3


def ingest_samples(dataset: Dataset, plan: Plan, convert: Converter) -> Outcome:
    """Write the samples of a source, and pairs or feedback if the plan has them.

    Args:
        dataset: Where to write.
        plan: The ingest.
        convert: Makes a draft of a row.

    Raises:
        DataError: If the source has no rows.
    """
    if plan.replace:
        carry_images(dataset, plan.run)
    with Tables(dataset, plan, plan.kinds) as tables:
        if tables.is_complete:
            return outcome_of_samples(dataset, plan, tables, done=True)
        if tables.main.resumed:
            say(f"samples/{plan.run}: resuming after {tables.main.n_rows:,} rows")
        known = known_images(dataset, plan.run) | tables.writers["images"].keys("image_id")
        with Intake(
            plan.folder,
            known,
            link=plan.options.link,
            allow_private=plan.options.allow_private_urls,
        ) as intake:
            _Run(dataset, plan, tables, intake, convert).run()
            tables.main.summary["images_decoded"] = intake.n_decoded
            if intake.n_fetched:
                tables.main.summary["images_fetched"] = intake.n_fetched
    return outcome_of_samples(dataset, plan, tables, done=False)


class _Run:
    """One pass over the rows."""

    def __init__(
        self, dataset: Dataset, plan: Plan, tables: Tables, intake: Intake, convert: Converter
    ) -> None:
        self._plan, self._tables, self._intake = plan, tables, intake
        self._convert = convert
        self._ids = Occurrences(plan.name)
        self._rejected = tables.main.rejected_ids()
        self._prompts = _Prompts(dataset, plan) if plan.table == "feedback" else None
        self._earlier: set[str] = set()
        for fact in FACTS:
            tables.main.summary.setdefault(fact, 0)

    def run(self) -> None:
        # Millions of rows pass here, and none has reference cycles.
        threshold = gc.get_threshold()
        gc.set_threshold(100_000, 50, 100)
        try:
            self._pass()
        finally:
            gc.set_threshold(*threshold)

    def _pass(self) -> None:
        batches: deque[list[Pending]] = deque()
        with Progress(f"ingest {self._plan.name}") as progress:
            for batch in self._batches(progress):
                refs = [ref for pending in batch for ref in pending.draft.images]
                tickets = iter(self._intake.submit(refs))
                for pending in batch:
                    pending.tickets = [next(tickets) for _ in pending.draft.images]
                batches.append(batch)
                if len(batches) > _MAX_BATCHES:
                    self._finish(batches.popleft())
            while batches:
                self._finish(batches.popleft())
        self._flush()

    def _batches(self, progress: Progress) -> Iterator[list[Pending]]:
        batch: list[Pending] = []
        images = n_bytes = n_rows = 0
        for row in rows_of(self._plan):
            n_rows += 1
            pending = self._prepare(row)
            if n_rows % _PROGRESS_ROWS == 0:
                progress.advance(_PROGRESS_ROWS)
            if pending is not None:
                batch.append(pending)
                images += len(pending.draft.images)
                n_bytes += sum(self._intake.size(ref) for ref in pending.draft.images)
                n_bytes += pending.n_bytes
            if len(batch) >= _BATCH_ROWS or images >= _BATCH_IMAGES or n_bytes >= _BATCH_BYTES:
                yield batch
                batch, images, n_bytes = [], 0, 0
        if not n_rows:
            msg = f"{self._plan.source.name}: the source has no rows"
            raise DataError(msg)
        yield batch

    def _prepare(self, row: Row) -> Pending | None:
        """Convert a row; `None` if it is written already or cannot be used."""
        sample_id = self._ids.sample_id(row.source_id)
        if row.row_id in self._rejected:
            return None
        try:
            if row.error is not None:
                raise row.error
            draft = attempt(self._convert, row.value, self._plan.naming)
            draft.source_id, draft.split = row.source_id, draft.split or row.split
            if row.images_in:
                draft.images = [ref.inside(row.images_in) for ref in draft.images]
            pending = Pending(row.row_id, sample_id, draft)
            if self._prompts is not None:
                self._prompts.attach(pending, row.value)
            pending.rows = rows_of_draft(self._plan, pending)
            self._check_first(pending)
        except RowError as error:
            self._tables.reject(row.row_id, error)
            return None
        if self._tables.main.resumed and all(
            self._tables.done(kind, key_of(kind, row)) for kind, row in pending.rows
        ):
            return None
        pending.n_bytes += len(draft.meta or "") + sum(len(m["content"]) for m in draft.messages)
        return pending

    def _check_first(self, pending: Pending) -> None:
        """Refuse labels that an earlier row has.

        Raises:
            RowError: If an earlier row has them.
        """
        keys = {row["feedback_id"] for kind, row in pending.rows if kind == "feedback"}
        if keys and keys <= self._earlier:
            detail = "the same annotator corrected this answer in an earlier row"
            raise RowError("duplicate_feedback", detail)
        key = pending.draft.unique_key
        if key is not None and key in self._earlier:
            detail = "an earlier row is the same, word for word"
            raise RowError("duplicate_row", detail)
        self._earlier |= keys | ({key} if key else set())

    def _finish(self, batch: list[Pending]) -> None:
        for pending in batch:
            image_ids, problem = [], None
            for ticket in pending.tickets:
                # All of them, even after an error: images that wait need memory.
                try:
                    image_ids.append(self._intake.image_id(ticket))
                except RowError as error:
                    problem = problem or error
            if problem is not None:
                self._tables.reject(pending.row_id, problem)
                continue
            self._write(pending, image_ids)
            for row in self._intake.take_new():
                self._tables.add("images", row, len(row["bytes"] or b""))
            if self._tables.checkpoint():
                self._flush()

    def _flush(self) -> None:
        for row in self._intake.take_new():
            self._tables.add("images", row, len(row["bytes"] or b""))
        self._tables.flush()

    def _write(self, pending: Pending, image_ids: list[str]) -> None:
        for kind, row in pending.rows:
            if "image_ids" in row:
                row["image_ids"] = image_ids
            if kind == "samples":
                self._count(row)
            self._tables.add(kind, row, pending.n_bytes)

    def _count(self, row: dict[str, Any]) -> None:
        """Count facts for the outcome; they are made durable together with the row."""
        facts = self._tables.main.summary
        facts["unanswered"] += row["messages"][-1]["role"] != "assistant"
        facts["text_only"] += not row["image_ids"]
        facts["without_license"] += row["license"] is None


class _Prompts:
    """Prompts of existing samples that corrections may be about."""

    def __init__(self, dataset: Dataset, plan: Plan) -> None:
        import polars as pl

        frame = dataset.union("samples").filter(pl.col("source") != plan.name)
        columns = frame.select("sample_id", "messages").collect()
        self._prompts: dict[str, list[Message]] = dict(columns.iter_rows())

    def attach(self, pending: Pending, row: dict[str, Any]) -> None:
        """Attach a correction to the sample that it names, if the dataset has it.

        Raises:
            RowError: If the dataset lacks it and the row has no question of its own.
        """
        named = row.get("sample_id")
        messages = self._prompts.get(named) if isinstance(named, str) else None
        if isinstance(named, str) and messages is not None:
            pending.sample_id, pending.prompt = named, prompt_of(messages)
        elif not pending.draft.has_prompt:
            detail = f"no question, and no sample {printable(str(named), 100)} in the dataset"
            raise RowError("unknown_sample", detail, stage="match")


def preview(plan: Plan, convert: Converter) -> Outcome:
    """The outcome of `--dry-run`: images are not opened and nothing is written."""
    reasons: Counter[str] = Counter()
    first = ""
    n_rows = n_images = 0
    for row in rows_of(plan):
        try:
            if row.error is not None:
                raise row.error
            draft = attempt(convert, row.value, plan.naming)
        except RowError as error:
            reasons[error.reason] += 1
            continue
        n_rows += 1
        n_images += len(draft.images)
        if not first:
            turns = "\n".join(f"  {m['role']}: {m['content'][:200]}" for m in draft.messages)
            first = f"\nthe first row ({row.row_id}):\n{turns}"
    return preview_of(plan, reasons, n_rows, images=n_images, first=first)
