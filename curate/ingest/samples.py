"""Rows to samples, and with them pairs or feedback: streamed, resumable, image by image."""

from __future__ import annotations

import gc
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any, Final

from curate.ingest.images import carry_images, known_images
from curate.ingest.rows import Occurrences, Pending, rows_of_draft
from curate.ingest.tables import (
    STEP,
    Plan,
    Row,
    Tables,
    attempt,
    claims_in_words,
    in_words,
    key_of,
    reject_reasons,
    rows_of,
)
from curate.read.formats.registry import Converter
from curate.read.rows import RowError, printable
from curate.read.sources.intake import Intake
from pairwright.commands.command import Outcome
from pairwright.commands.progress import Progress, say
from pairwright.dataset.store import Dataset
from pairwright.errors import DataError
from pairwright.text.conversation import Message, prompt_of

_FACTS: Final = ("unanswered", "text_only", "without_license")
_PROGRESS_ROWS: Final = 50
_BATCH_ROWS: Final = 512
_BATCH_IMAGES: Final = 256
_BATCH_BYTES: Final = 32 << 20
# Batches whose images are being looked at while the next is read.
_UNDER_WAY: Final = 3


def ingest_samples(dataset: Dataset, plan: Plan, convert: Converter) -> Outcome:
    """Write the samples of a source, and pairs or feedback if the plan says so.

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
            return _outcome(dataset, plan, tables, done=True)
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
    return _outcome(dataset, plan, tables, done=False)


class _Run:
    """One pass over the rows."""

    def __init__(
        self, dataset: Dataset, plan: Plan, tables: Tables, intake: Intake, convert: Converter
    ) -> None:
        self._plan, self._tables, self._intake = plan, tables, intake
        self._convert = convert
        self._names = Occurrences(plan.name)
        self._rejected = tables.main.rejected_ids()
        self._prompts = _Prompts(dataset, plan) if plan.table == "feedback" else None
        self._given: set[str] = set()
        for fact in _FACTS:
            tables.main.summary.setdefault(fact, 0)

    def run(self) -> None:
        # Millions of rows pass through here, none of which refer to themselves.
        threshold = gc.get_threshold()
        gc.set_threshold(100_000, 50, 100)
        try:
            self._pass()
        finally:
            gc.set_threshold(*threshold)

    def _pass(self) -> None:
        under_way: deque[list[Pending]] = deque()
        with Progress(f"ingest {self._plan.name}") as progress:
            for batch in self._batches(progress):
                refs = [ref for pending in batch for ref in pending.draft.images]
                tickets = iter(self._intake.submit(refs))
                for pending in batch:
                    pending.tickets = [next(tickets) for _ in pending.draft.images]
                under_way.append(batch)
                if len(under_way) > _UNDER_WAY:
                    self._finish(under_way.popleft())
            while under_way:
                self._finish(under_way.popleft())
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
            msg = f"{self._plan.source.name}: the source holds no rows"
            raise DataError(msg)
        yield batch

    def _prepare(self, row: Row) -> Pending | None:
        """Convert a row, unless it is done or cannot be used."""
        sample_id = self._names.sample_id(row.source_id)
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
                self._prompts.place(pending, row.value)
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
        """Refuse labels that were there before.

        Raises:
            RowError: If they were.
        """
        keys = {row["feedback_id"] for kind, row in pending.rows if kind == "feedback"}
        if keys and keys <= self._given:
            detail = "the same answer was corrected before by the same annotator"
            raise RowError("duplicate_feedback", detail)
        once = pending.draft.once
        if once is not None and once in self._given:
            detail = "a row before it is the same, word for word"
            raise RowError("duplicate_row", detail)
        self._given |= keys | ({once} if once else set())

    def _finish(self, batch: list[Pending]) -> None:
        for pending in batch:
            image_ids, problem = [], None
            for ticket in pending.tickets:
                # All are settled, even behind a bad one: what waits holds memory.
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
        """Count what the user wants to know; made durable together with the row."""
        facts = self._tables.main.summary
        facts["unanswered"] += row["messages"][-1]["role"] != "assistant"
        facts["text_only"] += not row["image_ids"]
        facts["without_license"] += row["license"] is None


class _Prompts:
    """Existing samples that corrections may be about."""

    def __init__(self, dataset: Dataset, plan: Plan) -> None:
        import polars as pl

        frame = dataset.union("samples").filter(pl.col("source") != plan.name)
        columns = frame.select("sample_id", "messages").collect()
        self._prompts: dict[str, list[Message]] = dict(columns.iter_rows())

    def place(self, pending: Pending, row: dict[str, Any]) -> None:
        """Point a correction to the sample it names, if that is there.

        Raises:
            RowError: If it is not, and the row has no question of its own.
        """
        named = row.get("sample_id")
        messages = self._prompts.get(named) if isinstance(named, str) else None
        if isinstance(named, str) and messages is not None:
            pending.sample_id, pending.prompt = named, prompt_of(messages)
        elif not pending.draft.has_prompt:
            detail = f"no question, and no sample {printable(str(named), 100)} in the dataset"
            raise RowError("unknown_sample", detail, stage="match")


def preview(plan: Plan, convert: Converter) -> Outcome:
    """What an ingest would do, images not looked at and nothing written."""
    counts: Counter[str] = Counter()
    first = ""
    n_rows = n_images = 0
    for row in rows_of(plan):
        try:
            if row.error is not None:
                raise row.error
            draft = attempt(convert, row.value, plan.naming)
        except RowError as error:
            counts[error.reason] += 1
            continue
        n_rows += 1
        n_images += len(draft.images)
        if not first:
            turns = "\n".join(f"  {m['role']}: {m['content'][:200]}" for m in draft.messages)
            first = f"\nthe first row ({row.row_id}):\n{turns}"
    rejects = sum(counts.values())
    listed = "".join(f"\n  {count:,} {reason}" for reason, count in counts.most_common())
    message = (
        f"would write {n_rows:,} rows naming {n_images:,} images (not looked at) to "
        f"{plan.table}/{plan.run}, and {rejects:,} rejects{listed}{first}"
    )
    summary = {"dry_run": True, "images": n_images, "reject_reasons": dict(counts)}
    return Outcome(message=message, rows=n_rows, rejects=rejects, summary=summary)


def _outcome(dataset: Dataset, plan: Plan, tables: Tables, *, done: bool) -> Outcome:
    reasons = reject_reasons(dataset, STEP, plan.run)
    facts = {fact: int(tables.main.summary.get(fact, 0)) for fact in _FACTS}
    rows = {kind: writer.manifest.rows for kind, writer in tables.writers.items()}
    lines = ["nothing to do"] if done else []
    lines += [f"{kind}/{plan.run}: {count:,} rows" for kind, count in rows.items()]
    if facts["unanswered"] or facts["text_only"]:
        lines.append(
            f"samples without an answer: {facts['unanswered']:,}, without an image: "
            f"{facts['text_only']:,}"
        )
    lines += claims_in_words(dataset, plan.run) if plan.table == "claims" else []
    lines.append(in_words(dataset, reasons, STEP, plan.run))
    return Outcome(
        message="\n".join(lines),
        table=f"{plan.table}/{plan.run}",
        rows=rows[plan.table],
        rejects=sum(reasons.values()),
        summary={
            "tables": rows,
            "format": plan.config["format"],
            "reject_reasons": reasons,
            **tables.main.summary,
        },
    )
