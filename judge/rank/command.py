"""`judge rank`: all answers to a question in one prompt, ranked by one token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from judge.ask.targets import most_images
from judge.pairwise.groups import Group, group_batches, groups_of, pick_responses
from judge.pairwise.prompt import LETTERS, ComparePrompt, load_prompt, render_answers
from judge.rank.lists import combined, dealt, mean_best, rotations
from judge.rank.options import RankOptions
from judge.rubric.render import prompt_hash
from judge.rubric.rubric import Criterion
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.commands.progress import Progress
from pairwright.dataset.ids import stable_id
from pairwright.dataset.manifest import Manifest, RunKey
from pairwright.dataset.store import Dataset
from pairwright.vlm.asking import ask_into
from pairwright.vlm.backend import (
    ModelChoice,
    choose_model,
    image_source,
    open_backend,
    recorded,
)
from pairwright.vlm.types import ChatRequest, Reply

if TYPE_CHECKING:
    from pairwright.dataset.writer import RunWriter
    from pairwright.images import ImageReader

_PART_SECONDS = 5.0
_RANGE = [0.0, 1.0]


def rank(dataset: Dataset, options: RankOptions, run: RunOptions) -> Outcome:
    """Rank answers to one question, one row of `scores` an answer: its probability to be the best.

    Raises:
        UsageError: If there is nothing to rank, or a letter is not one token of the judge.
        ServerError: If the judge cannot be started or is gone; what was ranked is kept.
    """
    prompt = load_prompt("rank", options.rubric, options.criteria)
    choice = choose_model(options, dataset)
    responses = pick_responses(dataset, options.responses)
    name = run.run or "rank"
    ref = f"scores/{name}"
    if run.dry_run:
        message = f"dry run, nothing written: {ref} would rank the answers of {responses.ref} with {choice.label}"
        return Outcome(message=message, summary={"answers": responses.rows})
    config = recorded(options, choice) | {
        "responses": responses.run,
        "rubric": prompt.name,
        "rubric_hash": prompt.hash,
        "criteria": [criterion.name for criterion in prompt.criteria],
        "label_range": _RANGE,
        "limit": run.limit,
    }
    with dataset.write(
        "scores",
        name,
        step="rank",
        config=config,
        inputs=[*dataset.sample_inputs(for_run=RunKey("rank", ref)), responses],
        fingerprints=choice.fingerprints(),
        replace=run.replace,
        retry_stages=("request",),
        part_seconds=_PART_SECONDS,
    ) as writer:
        done = writer.is_complete
        if not done:
            _Ranking(dataset, options, prompt, choice, responses, run.limit, writer).ask()
    places = writer.summary.get("places", [])
    text = f"{writer.n_rows:,} marks"
    if places:
        shares = "  ".join(
            f"{letter}: {100 * p:.0f} %" for letter, p in zip(LETTERS, places, strict=False)
        )
        text += f"\n  preference by place in the prompt: {shares}"
    return Outcome(
        message=f"{'nothing to do: ' if done else ''}{ref}: {text}",
        table=ref,
        rows=writer.n_rows,
        rejects=writer.n_rejects,
        summary=writer.summary,
    )


@dataclass(slots=True)
class _List:
    """The answers to one question, and the replies that are there so far."""

    group: Group
    criterion: str
    shown: list[list[tuple[str, ...]]]  # by group of answers, its orders
    prompts: list[str]
    replies: dict[tuple[int, int], Reply] = field(default_factory=dict)
    seen: int = 0
    is_spoilt: bool = False

    @property
    def size(self) -> int:
        """Requests."""
        return sum(map(len, self.shown))


@dataclass(slots=True)
class _Ranking:
    """A run at work."""

    dataset: Dataset
    options: RankOptions
    prompt: ComparePrompt
    choice: ModelChoice
    responses: Manifest
    limit: int | None
    writer: RunWriter

    def ask(self) -> None:
        """Ask for every list that is not written yet."""
        from pairwright.images import ImageReader

        for_run = self.writer.manifest.key
        reader = ImageReader(self.dataset)
        images = image_source(reader, self.options, self.choice)
        with (
            open_backend(
                self.options, self.choice, images, logs=self.dataset.path / "logs",
                max_images=most_images(self.dataset, for_run=for_run),
            ) as backend,
            Progress("rank", unit="replies") as progress,
        ):  # fmt: skip
            ask_into(
                self.writer,
                backend,
                self._requests(reader),
                self._rows,
                ids_of=lambda key: (self._list_id(key[0]), f"{self._list_id(key[0])}/{key[1:]}"),
                progress=progress,
                on_failure=self._spoil,
            )
        self.writer.summary["label_range"] = _RANGE

    def _list_id(self, one: _List) -> str:
        return f"{one.group.question.sample_id}/{one.criterion}"

    def _requests(self, reader: ImageReader) -> Iterator[ChatRequest]:
        import polars as pl

        written = self.writer.scan()
        rejected = {one.rpartition("/(")[0] or one for one in self.writer.rejected_ids()}
        batches = group_batches(
            self.dataset, self.responses, for_run=self.writer.manifest.key, limit=self.limit
        )
        for frame in batches:
            done: set[tuple[str, str]] = set()
            if written is not None:
                ids = frame.lazy().select(
                    target_id=pl.col("answers").list.eval(pl.element().struct.field("id"))
                )
                found = written.join(ids.explode("target_id"), on="target_id", how="semi")
                done = set(found.select("target_id", "criterion").collect().iter_rows())
            for group in groups_of(frame, reader, self.writer):
                for criterion in self.prompt.criteria:
                    is_done = all((one, criterion.name) in done for one in group.answers)
                    name = f"{group.question.sample_id}/{criterion.name}"
                    if (
                        len(set(_first_of_same(group).values())) > 1
                        and not is_done
                        and name not in rejected
                    ):
                        yield from self._list(group, criterion)

    def _list(self, group: Group, criterion: Criterion) -> Iterator[ChatRequest]:
        options = self.options
        dealing = {"rounds": options.rounds, "seed": options.seed, "size": options.group}
        groups = dealt(
            sorted(set(_first_of_same(group).values())), sample=group.question.sample_id, **dealing
        )
        one = _List(group, criterion.name, [rotations(g, options.orders) for g in groups], [])
        requests = []
        for number, orders in enumerate(one.shown):
            for turn, order in enumerate(orders):
                letters = tuple(LETTERS[: len(order)])
                turns = render_answers(
                    self.prompt,
                    criterion,
                    group.question,
                    [group.answers[i].text for i in order],
                    "Which answer is the best? Reply with its letter only: "
                    f"{', '.join(letters[:-1])} or {letters[-1]}.",
                )
                one.prompts.append(prompt_hash(turns))
                requests.append(
                    ChatRequest(key=(one, number, turn), messages=turns, labels=letters)
                )
        yield from requests

    def _rows(self, reply: Reply) -> Sequence[dict[str, Any]]:
        """The rows of a list, once all its replies are there."""
        one, number, turn = reply.key
        one.replies[number, turn] = reply
        one.seen += 1
        if one.seen < one.size or one.is_spoilt:
            return []
        return self._marks(one)

    def _spoil(self, reply: Reply) -> None:
        reply.key[0].is_spoilt = True
        reply.key[0].seen += 1

    def _marks(self, one: _List) -> list[dict[str, Any]]:
        told: dict[tuple[int, int], list[float]] = {}
        for (number, turn), reply in one.replies.items():
            letters = LETTERS[: len(one.shown[number][turn])]
            told[number, turn] = [(reply.label_probs or {}).get(c, 0.0) for c in letters]
        marks: dict[str, float] = {}
        first = _first_of_same(one.group)
        # An order without probability on a letter would upset the balance of the places.
        if all(sum(probs) > 0 for probs in told.values()):
            best = [
                mean_best(orders, [told[number, turn] for turn in range(len(orders))])
                for number, orders in enumerate(one.shown)
            ]
            marks = combined(sorted(set(first.values())), best)
            self._count_places(told)
        return [
            self._row(one, target, told, marks.get(shown))
            | {"label_probs": _told_of(one, shown, told)}
            for target, shown in first.items()
        ]

    def _count_places(self, told: dict[tuple[int, int], list[float]]) -> None:
        """Share of the preference by place: without a pull of a place, all alike."""
        sums = self.writer.summary.setdefault("place_sums", [])
        for probs in told.values():
            sums += [0.0] * (len(probs) - len(sums))
            for place, p in enumerate(probs):
                sums[place] += p / sum(probs)
        total = sum(sums)
        self.writer.summary["places"] = [round(one / total, 4) for one in sums]

    def _row(
        self, one: _List, target: str, told: dict[tuple[int, int], list[float]], mark: float | None
    ) -> dict[str, Any]:
        replies = list(one.replies.values())
        return {
            "target_id": target,
            "rubric": self.prompt.name,
            "criterion": one.criterion,
            "judge": self.choice.label,
            "repeat": 0,
            "target_kind": "response",
            "score": mark,
            "label_mass": min(sum(probs) for probs in told.values()),
            "read_from": replies[0].read_from,
            "rubric_hash": self.prompt.hash,
            "prompt_hash": stable_id(*one.prompts),
            "latency_s": sum(r.latency_s for r in replies) / len(replies),
            "error": "no_verdict" if mark is None else None,
        }


def _first_of_same(group: Group) -> dict[str, str]:
    """By answer, the one that is shown for it: answers that say the same would share P(best)."""
    first = {one: one for one in group.answers}
    for pair in group.same:
        for one in pair:
            first[one] = min(first[one], *pair)
    return first


def _told_of(
    one: _List, shown: str, told: dict[tuple[int, int], list[float]]
) -> list[dict[str, Any]]:
    """Letter and probability of an answer in every order it stood in."""
    out = []
    for (number, turn), probs in sorted(told.items()):
        order = one.shown[number][turn]
        if shown in order:
            place = order.index(shown)
            out.append({"label": LETTERS[place], "p": probs[place]})
    return out
