"""One judge's part of `judge score`: every mark that is not written yet is asked for."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from judge.ask.scoring import Key, Marking, ids_of
from judge.ask.targets import (
    by_image,
    count_answers,
    each_turn,
    most_images,
    target_batches,
    targets_of,
)
from judge.rubric.render import Target, ask_why, follow_up, prompt_hash, render
from judge.rubric.rubric import Criterion
from judge.score.options import NEEDLESS_DRAWS, ScoreOptions
from pairwright.commands.progress import Progress
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.vlm.asking import ask_into, unwritten
from pairwright.vlm.backend import image_source, open_backend
from pairwright.vlm.types import Backend, ChatRequest, Reply, ask_all

if TYPE_CHECKING:
    from pairwright.dataset.writer import RunWriter
    from pairwright.images import ImageReader

# Answers whose first reply is held until the second one has come.
_CHUNK = 2_000
_REASON_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Sitting:
    """What one judge is asked for one run.

    Attributes:
        dataset: Of the run.
        writer: Of the run.
        marking: The judge.
        options: As given, with this judge's model.
        limit: Answers at most.
        alone: Whether no other judge writes to the run.
        partial: Draws that are written, of what lacks others.
    """

    dataset: Dataset
    writer: RunWriter
    marking: Marking
    options: ScoreOptions
    limit: int | None
    alone: bool
    partial: dict[tuple[str, str], set[tuple[str, int]]] = field(default_factory=dict)

    def ask(self) -> None:
        """Ask for every mark of this judge that is not written yet."""
        from pairwright.images import ImageReader

        dataset, options = self.dataset, self.options
        reader = ImageReader(dataset, cached_groups=2)  # a batch is in the images' order
        images = image_source(reader, options, self.marking.choice)
        requests = self._requests(reader)
        first = next(requests, None)
        if first is None:
            return
        rest = itertools.chain([first], requests)
        with (
            open_backend(
                options, self.marking.choice, images, logs=dataset.path / "logs",
                max_images=most_images(dataset, for_run=self.writer.manifest.key),
            ) as backend,
            Progress("judge", self._left(), unit=self._unit()) as progress,
        ):  # fmt: skip
            desk = _Desk(self, backend, progress)
            if options.rationale == "none":
                if options.draws > 1:
                    desk.refuse_needless_draws(first)
                desk.mark(rest)
                return
            talk = desk.reasons_after if options.rationale == "after" else desk.reasons_before
            while chunk := list(itertools.islice(rest, _CHUNK)):
                talk(chunk)

    def _unit(self) -> str:
        return "marks" if self.options.rationale == "none" else "requests"

    def _left(self) -> int:
        """Requests that are still to be sent."""
        import polars as pl

        answers = count_answers(
            self.dataset, self.marking.source, for_run=self.writer.manifest.key, limit=self.limit,
            turns=self.options.turns,
        )  # fmt: skip
        marks = answers * len(self.marking.rubric.criteria) * self.draws
        written = self.writer.scan()
        if written is not None:
            mine = written.filter(pl.col("judge") == self.marking.choice.label)
            marks -= int(mine.select(pl.len()).collect(engine="streaming").item())
        per_mark = {"none": 1.0, "after": 2.0, "before": 1 + 1 / self.draws}
        return round(max(0, marks) * per_mark[self.options.rationale])

    @property
    def draws(self) -> int:
        """Rows for one answer and criterion: draws without reasons are shares within one row."""
        return self.options.draws if self.options.rationale == "before" else 1

    def _requests(self, reader: ImageReader) -> Iterator[ChatRequest]:
        """First requests, for all marks that are not written."""
        options, rubric = self.options, self.marking.rubric
        batches = target_batches(
            self.dataset, self.marking.source, for_run=self.writer.manifest.key, limit=self.limit
        )
        # With other judges' rows, or several turns, no number of rows tells that one is finished.
        rows = len(rubric.criteria) * self.draws
        fixed = options.turns == "last" and self.alone
        open_ones = unwritten(batches, self.writer, "target_id", rows if fixed else sys.maxsize)
        for frame, written in open_ones:
            for target in targets_of(by_image(frame, reader), self.writer):
                done = self._done(written.get(target.target_id, set()))
                shown = self._shown(target)
                if shown is None:
                    continue
                for one in each_turn(shown) if options.turns == "all" else (shown,):
                    for criterion in rubric.criteria:
                        draws = self._draws_of(one, criterion)
                        if draws <= done:
                            continue
                        if draws & done:  # the run was ended between two draws
                            self.partial[one.target_id, criterion.name] = draws & done
                        yield self._request(one, criterion)

    def _done(self, written: set[tuple[Any, ...]]) -> set[tuple[str, int]]:
        """This judge's rows of an answer, as (criterion, draw); keys are in the table's order."""
        mine = self.marking.choice.label
        return {(criterion, draw) for _, criterion, judge, draw in written if judge == mine}

    def _draws_of(self, target: Target, criterion: Criterion) -> set[tuple[str, int]]:
        first = (target.turn or 0) * self.draws
        return {(criterion.name, first + k) for k in range(self.draws)}

    def _shown(self, target: Target) -> Target | None:
        """The target with what the judge may see of it; rejected if something is missing."""
        options = self.options
        for name, use in (("criteria", options.use_criteria), ("reference", options.use_reference)):
            text = getattr(target, name)
            if use == "always" and not (text and text.strip()):
                detail = f"the sample has no {name}, and --use-{name} is always"
                self.writer.reject(target.target_id, "target", f"no_{name}", detail)
                return None
        return replace(
            target,
            criteria=None if options.use_criteria == "never" else target.criteria,
            reference=None if options.use_reference == "never" else target.reference,
        )

    def _request(self, target: Target, criterion: Criterion) -> ChatRequest:
        options, rubric = self.options, self.marking.rubric
        reasons = options.rationale == "before"
        turns = render(rubric, criterion, target, asks="reasons" if reasons else "mark")
        key = Key(
            target_id=target.target_id,
            criterion=criterion.name,
            draw=(target.turn or 0) * self.draws,
            turn=target.turn,
            prompt=prompt_hash(turns),
        )
        if not reasons:
            labels = tuple(rubric.labels_of(criterion))
            return ChatRequest(
                key=key, messages=turns, labels=labels, label_samples=options.draws,
                seed=options.seed if options.draws > 1 else None,
            )  # fmt: skip
        drawn: dict[str, Any] = {}
        if options.draws > 1:
            drawn = {"n": options.draws, "temperature": 1.0, "seed": options.seed}
        return ChatRequest(key=key, messages=turns, max_tokens=_REASON_TOKENS, **drawn)


class _Desk:
    """Where requests go out and rows come in."""

    def __init__(self, sitting: Sitting, backend: Backend, progress: Progress) -> None:
        self._sitting = sitting
        self._marking = sitting.marking
        self._writer = sitting.writer
        self._backend = backend
        self._progress = progress

    def mark(self, requests: Iterable[ChatRequest]) -> None:
        """Ask for marks alone."""
        self._ask(requests, lambda reply: [self._marking.row(reply)])

    def refuse_needless_draws(self, request: ChatRequest) -> None:
        """Find out with one request whether the server tells probabilities.

        Raises:
            UsageError: If it does.
        """
        replies: list[Reply] = []
        ask_all([request], self._backend, replies.append)
        if any(reply.read_from in ("logprobs", "top_logprobs") for reply in replies):
            raise UsageError(NEEDLESS_DRAWS)

    def reasons_after(self, chunk: Sequence[ChatRequest]) -> None:
        """Ask for marks, then why; a row is written when both are there."""
        asked = {request.key: request for request in chunk}
        held: dict[Key, dict[str, Any]] = {}

        def on_mark(reply: Reply) -> list[dict[str, Any]]:
            row = self._marking.row(reply)
            if row["score"] is None:
                self._progress.advance()  # nothing to explain
                return [row]
            held[reply.key] = row
            return []

        def on_why(reply: Reply) -> list[dict[str, Any]]:
            row = held.pop(reply.key)
            return [_add(row, reply, rationale=reply.texts[0].strip())]

        def on_silence(reply: Reply) -> None:
            # The mark stands without its reasons, unless the next run can get both.
            if reply.error is not None and reply.error.reason != "unanswered":
                self._writer.add([held.pop(reply.key)])

        self._ask(chunk, on_mark)
        whys = (
            ChatRequest(
                key=key, messages=ask_why(asked[key].messages, row["text"] or ""),
                max_tokens=_REASON_TOKENS,
            )
            for key, row in list(held.items())
        )  # fmt: skip
        self._ask(whys, on_why, on_failure=on_silence, stage="why")

    def reasons_before(self, chunk: Sequence[ChatRequest]) -> None:
        """Ask for reasons, then for the mark that follows from them."""
        asked = {request.key: request for request in chunk}
        said: dict[Key, Reply] = {}

        def on_reasons(reply: Reply) -> list[dict[str, Any]]:
            said[reply.key] = reply
            return []

        def marks() -> Iterator[ChatRequest]:
            rubric = self._marking.rubric
            for key, reply in said.items():
                criterion = rubric.named(key.criterion)
                for number, text in enumerate(reply.texts):
                    turns = follow_up(asked[key].messages, text, rubric, criterion)
                    yield ChatRequest(
                        key=key._replace(draw=key.draw + number),
                        messages=turns,
                        labels=tuple(rubric.labels_of(criterion)),
                    )

        def on_mark(reply: Reply) -> list[dict[str, Any]]:
            key: Key = reply.key
            first = key._replace(draw=key.draw - key.draw % self._sitting.draws)
            before = said[first]
            text = before.texts[key.draw - first.draw].strip()
            if (key.criterion, key.draw) in self._sitting.partial.get(key[:2], ()):
                return []
            return [_add(self._marking.row(reply, text), before if key == first else None)]

        self._ask(chunk, on_reasons)
        self._ask(marks(), on_mark)

    def _ask(
        self, requests: Iterable[ChatRequest], rows_of: Any, *, on_failure: Any = None,
        stage: str = "",
    ) -> None:  # fmt: skip
        def ids(key: Key) -> tuple[str, str]:
            target, request = ids_of(key)
            # What became of the reasons does not make the answer a rejected one.
            return (f"{request}/{stage}", f"{request}/{stage}") if stage else (target, request)

        ask_into(
            self._writer,
            self._backend,
            requests,
            rows_of,
            ids_of=ids,
            progress=self._progress,
            note_of=_note,
            on_failure=on_failure or (lambda _reply: None),
        )


def _add(row: dict[str, Any], reply: Reply | None, **more: Any) -> dict[str, Any]:
    """The row with what another request cost."""
    if reply is None:
        return row | more
    cost = {
        "n_prompt_tokens": row["n_prompt_tokens"] + reply.usage.prompt_tokens,
        "n_tokens": row["n_tokens"] + reply.usage.completion_tokens,
        "latency_s": row["latency_s"] + reply.latency_s,
    }
    return row | cost | more


def _note(rows: Sequence[dict[str, Any]]) -> str | None:
    if not rows:
        return None
    row = rows[-1]
    mark = "no verdict" if row["score"] is None else f"{row['score']:.2f}"
    return f"last {row['criterion']}: {mark}"
