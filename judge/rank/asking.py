"""Asks for every ranking of a run that is not written yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from judge.ask.session import Rows, Session
from judge.pairwise.groups import Group, group_batches, groups_of
from judge.pairwise.prompt import LETTERS, ComparePrompt, render_responses
from judge.rank.lists import combined, groups_of_size, mean_best, rotations
from judge.rank.options import RankOptions
from judge.rubric.render import prompt_hash
from judge.rubric.rubric import Criterion
from pairwright.dataset.ids import stable_id
from pairwright.dataset.manifest import Manifest
from pairwright.vlm.types import ChatRequest, Reply

if TYPE_CHECKING:
    import polars as pl


def ask_lists(
    session: Session, prompt: ComparePrompt, options: RankOptions, responses: Manifest
) -> None:
    """Ask for every list that is not written yet."""
    lists = _Lists(session, prompt, options, responses)
    with session.open("rank", unit="replies") as judge:
        judge.ask(
            lists.requests(),
            lists.rows,
            ids_of=lambda key: (key.list.id, f"{key.list.id}/{key[1:]}"),
            on_failure=lists.drop,
        )


@dataclass(slots=True)
class _List:
    """The responses to one question, and the replies that have come so far.

    Attributes:
        group: The question and its responses.
        criterion: What they are ranked by.
        shown: By group of responses, the orders in which it is shown.
        prompts: Hashes of the prompts.
        replies: By group and order.
        seen: Number of replies and failures.
        has_failed: Whether a request has no reply: then the list gets no rows.
    """

    group: Group
    criterion: str
    shown: list[list[tuple[str, ...]]]
    prompts: list[str] = field(default_factory=list)
    replies: dict[tuple[int, int], Reply] = field(default_factory=dict)
    seen: int = 0
    has_failed: bool = False

    @property
    def id(self) -> str:
        """Name of the list."""
        return _list_id(self.group, self.criterion)

    @property
    def size(self) -> int:
        """Number of requests."""
        return sum(map(len, self.shown))

    def letter_probs(self) -> dict[tuple[int, int], list[float]]:
        """By group and order, the probability of each letter."""
        return {
            (number, rotation): [
                (reply.label_probs or {}).get(letter, 0.0)
                for letter in LETTERS[: len(self.shown[number][rotation])]
            ]
            for (number, rotation), reply in self.replies.items()
        }


class _Key(NamedTuple):
    """A request: a list, and which of its groups is shown in which order."""

    list: _List
    group: int
    order: int


@dataclass(frozen=True, slots=True)
class _Lists:
    """The lists of one run."""

    session: Session
    prompt: ComparePrompt
    options: RankOptions
    responses: Manifest

    def requests(self) -> Iterator[ChatRequest]:
        """Requests for all lists that are not written."""
        session = self.session
        written = session.writer.scan()
        rejected = {one.rpartition("/(")[0] or one for one in session.writer.rejected_ids()}
        batches = group_batches(
            session.dataset, self.responses, for_run=session.key, limit=session.limit
        )
        for frame in batches:
            done = _written(written, frame)
            for group in groups_of(frame, session.reader, session.writer):
                if len(set(_first_of_same(group).values())) < 2:
                    continue
                for criterion in self.prompt.criteria:
                    is_done = all((one, criterion.name) in done for one in group.responses)
                    if not is_done and _list_id(group, criterion.name) not in rejected:
                        yield from self._of_list(group, criterion)

    def _of_list(self, group: Group, criterion: Criterion) -> list[ChatRequest]:
        options = self.options
        groups = groups_of_size(
            sorted(set(_first_of_same(group).values())), sample=group.question.sample_id,
            rounds=options.rounds, seed=options.seed, size=options.group,
        )  # fmt: skip
        one = _List(group, criterion.name, [rotations(g, options.orders) for g in groups])
        requests = []
        for number, orders in enumerate(one.shown):
            for rotation, order in enumerate(orders):
                letters = tuple(LETTERS[: len(order)])
                turns = render_responses(
                    self.prompt,
                    criterion,
                    group.question,
                    [group.responses[i].text for i in order],
                    "Which answer is the best? Reply with its letter only: "
                    f"{', '.join(letters[:-1])} or {letters[-1]}.",
                )
                one.prompts.append(prompt_hash(turns))
                requests.append(
                    ChatRequest(key=_Key(one, number, rotation), messages=turns, labels=letters)
                )
        return requests

    def rows(self, reply: Reply) -> Rows:
        """The rows of a list, once all its replies have come."""
        key: _Key = reply.key
        one = key.list
        one.replies[key.group, key.order] = reply
        one.seen += 1
        if one.seen < one.size or one.has_failed:
            return []
        return self._rows_of_list(one)

    def drop(self, reply: Reply) -> None:
        """A list that lacks a reply gets no rows."""
        key: _Key = reply.key
        key.list.has_failed = True
        key.list.seen += 1

    def _rows_of_list(self, one: _List) -> list[dict[str, Any]]:
        probs = one.letter_probs()
        scores: dict[str, float] = {}
        first = _first_of_same(one.group)
        # Without probability on a letter in one order, the positions would not be balanced.
        if all(sum(given) > 0 for given in probs.values()):
            best = [
                mean_best(orders, [probs[number, rotation] for rotation in range(len(orders))])
                for number, orders in enumerate(one.shown)
            ]
            scores = combined(sorted(set(first.values())), best)
            self._count_positions(probs)
        return [
            self._row(one, target, probs, scores.get(shown))
            | {"label_probs": _letters_of(one, shown, probs)}
            for target, shown in first.items()
        ]

    def _count_positions(self, probs: dict[tuple[int, int], list[float]]) -> None:
        """Add to the fraction of the preference by position: equal without position bias."""
        summary = self.session.writer.summary
        sums = summary.setdefault("position_sums", [])
        for given in probs.values():
            sums += [0.0] * (len(given) - len(sums))
            for position, p in enumerate(given):
                sums[position] += p / sum(given)
        total = sum(sums)
        summary["positions"] = [round(one / total, 4) for one in sums]

    def _row(
        self,
        one: _List,
        target: str,
        probs: dict[tuple[int, int], list[float]],
        score: float | None,
    ) -> dict[str, Any]:
        replies = list(one.replies.values())
        return {
            "target_id": target,
            "rubric": self.prompt.name,
            "criterion": one.criterion,
            "judge": self.session.choice.label,
            "repeat": 0,
            "target_kind": "response",
            "score": score,
            "label_mass": min(sum(given) for given in probs.values()),
            "read_from": replies[0].read_from,
            "rubric_hash": self.prompt.hash,
            "prompt_hash": stable_id(*one.prompts),
            "latency_s": sum(r.latency_s for r in replies) / len(replies),
            "error": "no_verdict" if score is None else None,
        }


def _list_id(group: Group, criterion: str) -> str:
    return f"{group.question.sample_id}/{criterion}"


def _written(written: pl.LazyFrame | None, frame: pl.DataFrame) -> set[tuple[str, str]]:
    """Written rows of some samples' responses, as response and criterion."""
    import polars as pl

    if written is None:
        return set()
    ids = frame.lazy().select(
        target_id=pl.col("responses").list.eval(pl.element().struct.field("id"))
    )
    found = written.join(ids.explode("target_id"), on="target_id", how="semi")
    return set(found.select("target_id", "criterion").collect().iter_rows())


def _first_of_same(group: Group) -> dict[str, str]:
    """By response, the one that is shown for it: responses with the same text share P(best)."""
    first = {one: one for one in group.responses}
    for pair in group.same:
        for one in pair:
            first[one] = min(first[one], *pair)
    return first


def _letters_of(
    one: _List, shown: str, probs: dict[tuple[int, int], list[float]]
) -> list[dict[str, Any]]:
    """Letter and probability of a response in every order that it was shown in."""
    out = []
    for (number, rotation), given in sorted(probs.items()):
        order = one.shown[number][rotation]
        if shown in order:
            position = order.index(shown)
            out.append({"label": LETTERS[position], "p": given[position]})
    return out
