"""Asks for every comparison of a run that is not written yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from judge.ask.session import OpenJudge, Rows, Session
from judge.compare.options import CompareOptions
from judge.compare.pairing import Pair, default_rounds
from judge.compare.plan import count_pairs, pairs_of
from judge.compare.verdict import choices_of, comparison_id, labels_of, verdict_fields, win_of_a
from judge.pairwise.groups import SAMPLE, Group, group_batches, groups_of, max_responses
from judge.pairwise.prompt import ComparePrompt, render_responses
from judge.rubric.render import prompt_hash
from judge.rubric.rubric import Criterion
from pairwright.dataset.ids import stable_id
from pairwright.dataset.manifest import Manifest
from pairwright.vlm.types import ChatRequest, Reply

if TYPE_CHECKING:
    import polars as pl

_RESULT = ("comparison_id", "error", "verdict", "probs_first_order", "probs_second_order")


def ask_pairs(
    session: Session, prompt: ComparePrompt, options: CompareOptions, responses: Manifest
) -> None:
    """Ask for every comparison that is not written yet, round by round."""
    rounds = 1
    if options.scheme == "swiss":
        rounds = options.rounds or max(1, default_rounds(max_responses(session.dataset, responses)))
    pairs = count_pairs(
        session.dataset, responses, options, for_run=session.key, limit=session.limit
    )
    missing = max(0, pairs * len(prompt.criteria) - session.writer.n_rows)
    work = _Pairs(session, prompt, options, responses)
    with session.open("compare", total=missing * options.orders, unit="replies") as judge:
        for number in range(1, rounds + 1):
            work.ask_round(judge, number)
            session.writer.flush()  # the next round depends on what this one found
    session.writer.summary["skipped"] = dict(work.skipped)


@dataclass(frozen=True, slots=True)
class _Match:
    """Two responses that are compared, and the hash of both prompts."""

    id: str
    sample_id: str
    pair: Pair
    criterion: str
    prompt: str


@dataclass(slots=True)
class _Pairs:
    """The pairs of one run.

    Attributes:
        session: The judge and the run.
        prompt: What is asked.
        options: Of the command.
        responses: The run of responses.
        replies: By match, the replies so far: a row needs one per order.
        failed: Matches that lack an order and whose other reply is still to come.
        skipped: Pairs that are not compared, by reason.
    """

    session: Session
    prompt: ComparePrompt
    options: CompareOptions
    responses: Manifest
    replies: dict[str, dict[int, Reply]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    skipped: Counter[str] = field(default_factory=Counter)

    def ask_round(self, judge: OpenJudge, number: int) -> None:
        """Ask for the missing pairs of a round."""
        judge.ask(
            self._requests(number),
            self._rows,
            ids_of=lambda key: (key[0].id, f"{key[0].id}/{key[1]}"),
            note_of=_note,
            on_failure=self._drop,
        )

    def _requests(self, number: int) -> Iterator[ChatRequest]:
        session = self.session
        written = session.writer.scan()
        rejected = session.writer.rejected_ids()
        own = self.options.baseline == SAMPLE
        batches = group_batches(
            session.dataset, self.responses, for_run=session.key, limit=session.limit
        )
        for frame in batches:
            results = _results(written, frame)
            for group in groups_of(frame, session.reader, session.writer, own=own):
                if number == 1:
                    self.skipped["same_text"] += len(group.same)
                for criterion in self.prompt.criteria:
                    for pair in self._pairs(group, criterion, results, number):
                        match_id = self._id(group, pair, criterion)
                        names = {match_id, f"{match_id}/0", f"{match_id}/1"}
                        if match_id not in results and not names & rejected:
                            yield from self._both_orders(group, pair, criterion)

    def _id(self, group: Group, pair: Pair, criterion: Criterion) -> str:
        sample_id = group.question.sample_id
        return comparison_id(sample_id, *pair, self.session.choice.label, criterion.name)

    def _pairs(
        self, group: Group, criterion: Criterion, results: dict[str, float | None], number: int
    ) -> list[Pair]:
        return pairs_of(
            group,
            self.options,
            result_of=lambda pair: results.get(self._id(group, pair, criterion)),
            number=number,
        )

    def _both_orders(self, group: Group, pair: Pair, criterion: Criterion) -> Iterator[ChatRequest]:
        ties = self.options.ties
        shown = [pair, pair[::-1]][: self.options.orders]
        prompts = [
            render_responses(
                self.prompt,
                criterion,
                group.question,
                [group.responses[one].text for one in order],
                choices_of(ties=ties),
            )
            for order in shown
        ]
        match = _Match(
            self._id(group, pair, criterion),
            group.question.sample_id,
            pair,
            criterion.name,
            stable_id(*(prompt_hash(turns) for turns in prompts)),
        )
        for order, turns in enumerate(prompts):
            yield ChatRequest(key=(match, order), messages=turns, labels=labels_of(ties=ties))

    def _rows(self, reply: Reply) -> Rows:
        """The row, once the replies in all orders have come."""
        match, order = reply.key
        if match.id in self.failed:
            self.failed.remove(match.id)
            return []
        replies = self.replies.setdefault(match.id, {})
        replies[order] = reply
        if len(replies) < self.options.orders:
            return []
        del self.replies[match.id]
        in_order = [replies[number] for number in range(self.options.orders)]
        return [self._row(match, in_order)]

    def _row(self, match: _Match, replies: list[Reply]) -> dict[str, Any]:
        return {
            "comparison_id": match.id,
            "sample_id": match.sample_id,
            "a": match.pair[0],
            "b": match.pair[1],
            "by": self.session.choice.label,
            "rubric": self.prompt.name,
            "criterion": match.criterion,
            "rubric_hash": self.prompt.hash,
            "prompt_hash": match.prompt,
            **verdict_fields(replies, min_lead=self.options.min_lead),
        }

    def _drop(self, reply: Reply) -> None:
        """Without one order there is no row: the reply in the other order is dropped too."""
        match, _ = reply.key
        if match.id in self.failed:
            self.failed.remove(match.id)
        elif self.replies.pop(match.id, None) is None and self.options.orders > 1:
            self.failed.add(match.id)


def _results(written: pl.LazyFrame | None, frame: pl.DataFrame) -> dict[str, float | None]:
    """By comparison, the win of a in the written rows of some samples."""
    if written is None:
        return {}
    found = (
        written.join(frame.lazy().select("sample_id"), on="sample_id", how="semi")
        .select(_RESULT)
        .collect(engine="streaming")
    )
    return {row["comparison_id"]: win_of_a(row) for row in found.iter_rows(named=True)}


def _note(rows: Rows) -> str | None:
    return f"last {rows[-1]['criterion']}: {rows[-1]['verdict']}" if rows else None
