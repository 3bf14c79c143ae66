"""`judge compare`: which of two answers is better, asked in both orders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from judge.ask.targets import most_images
from judge.compare.options import CompareOptions
from judge.compare.pairing import Pair, default_rounds
from judge.compare.plan import most_pairs, pairs_of
from judge.compare.report import describe, summarise
from judge.compare.verdict import choices_of, comparison_id, labels_of, verdict_fields, win_share
from judge.pairwise.groups import (
    SAMPLE,
    Group,
    group_batches,
    groups_of,
    models_of,
    most_answers,
    pick_responses,
)
from judge.pairwise.prompt import ComparePrompt, load_prompt, render_answers
from judge.rubric.render import prompt_hash
from judge.rubric.rubric import Criterion
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.commands.progress import Progress
from pairwright.dataset.ids import stable_id
from pairwright.dataset.manifest import Manifest, RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.vlm.asking import ask_into
from pairwright.vlm.backend import (
    ModelChoice,
    choose_model,
    image_source,
    open_backend,
    recorded,
)
from pairwright.vlm.types import Backend, ChatRequest, Reply

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.writer import RunWriter
    from pairwright.images import ImageReader

_PART_SECONDS = 5.0
_RESULT = ("comparison_id", "error", "verdict", "probs_first_order", "probs_second_order")


def compare(dataset: Dataset, options: CompareOptions, run: RunOptions) -> Outcome:
    """Compare answers to one question two at a time, one row of `comparisons` a pair.

    Raises:
        UsageError: If there is nothing to compare, or a letter is not one token of the judge.
        ServerError: If the judge cannot be started or is gone; what was compared is kept.
    """
    prompt = load_prompt("compare", options.rubric, options.criteria)
    choice = choose_model(options, dataset)
    responses = pick_responses(dataset, options.responses)
    _check_baseline(dataset, responses, options.baseline)
    name = run.run or "compare"
    ref = f"comparisons/{name}"
    if run.dry_run:
        pairs = most_pairs(
            dataset, responses, options, for_run=RunKey("compare", ref), limit=run.limit
        )
        pairs *= len(prompt.criteria)
        message = f"dry run, nothing written: {ref} would hold up to {pairs:,} comparisons of {choice.label} by {options.scheme} pairing"
        return Outcome(
            message=message, summary={"comparisons": pairs, "requests": pairs * options.orders}
        )
    with dataset.write(
        "comparisons",
        name,
        step="compare",
        config=_config(options, choice, prompt, responses, run),
        inputs=[*dataset.sample_inputs(for_run=RunKey("compare", ref)), responses],
        fingerprints=choice.fingerprints(),
        replace=run.replace,
        retry_stages=("request",),
        part_seconds=_PART_SECONDS,
    ) as writer:
        done = writer.is_complete
        if not done:
            _Comparing(dataset, options, prompt, choice, responses, run.limit, writer).ask()
            writer.flush()
            writer.summary.update(summarise(dataset, responses, writer.scan(), seed=options.seed))
    text = describe(writer.summary)
    if options.marks:
        from judge.compare.scores import write_marks

        text += "\n" + write_marks(dataset, name, prompt)
    return Outcome(
        message=f"{'nothing to do: ' if done else ''}{ref}: {text}",
        table=ref,
        rows=writer.n_rows,
        rejects=writer.n_rejects,
        summary=writer.summary,
    )


def _check_baseline(dataset: Dataset, responses: Manifest, baseline: str | None) -> None:
    if baseline in (None, SAMPLE):
        return
    known = models_of(dataset, responses)
    if baseline not in known:
        msg = f"--baseline {baseline}: {responses.ref} has answers of {', '.join(known[:20])}; or give --baseline {SAMPLE}"
        raise UsageError(msg)


def _config(
    options: CompareOptions,
    choice: ModelChoice,
    prompt: ComparePrompt,
    responses: Manifest,
    run: RunOptions,
) -> dict[str, Any]:
    config = recorded(options, choice) | {
        "pairing": options.scheme,
        "responses": responses.run,
        # The hash, not the file's place: a prompt may move.
        "rubric": prompt.name,
        "rubric_hash": prompt.hash,
        "criteria": [criterion.name for criterion in prompt.criteria],
        "limit": run.limit,
    }
    del config["marks"]  # they are made of a run, finished or not
    return config


@dataclass(frozen=True, slots=True)
class _Match:
    """Two answers that meet, and the hash of what is asked about them."""

    id: str
    sample_id: str
    pair: Pair
    criterion: str
    prompt: str


@dataclass(slots=True)
class _Comparing:
    """A run at work."""

    dataset: Dataset
    options: CompareOptions
    prompt: ComparePrompt
    choice: ModelChoice
    responses: Manifest
    limit: int | None
    writer: RunWriter
    halves: dict[str, dict[int, Reply]] = field(default_factory=dict)
    spoilt: set[str] = field(default_factory=set)
    skipped: Counter[str] = field(default_factory=Counter)

    def ask(self) -> None:
        """Ask for every comparison that is not written yet, round by round."""
        from pairwright.images import ImageReader

        options, for_run = self.options, self.writer.manifest.key
        reader = ImageReader(self.dataset)
        rounds = 1
        if options.scheme == "swiss":
            most = most_answers(self.dataset, self.responses)
            rounds = options.rounds or max(1, default_rounds(most))
        total = most_pairs(self.dataset, self.responses, options, for_run=for_run, limit=self.limit)
        total = total * len(self.prompt.criteria) - self.writer.n_rows
        images = image_source(reader, options, self.choice)
        with (
            open_backend(
                options, self.choice, images, logs=self.dataset.path / "logs",
                max_images=most_images(self.dataset, for_run=for_run),
            ) as backend,
            Progress("compare", max(0, total) * options.orders, unit="replies") as progress,
        ):  # fmt: skip
            for number in range(1, rounds + 1):
                self._ask_round(backend, reader, number, progress)
                self.writer.flush()  # the next round goes by what this one found
        self.writer.summary["skipped"] = dict(self.skipped)

    def _ask_round(
        self, backend: Backend, reader: ImageReader, number: int, progress: Progress
    ) -> None:
        ask_into(
            self.writer,
            backend,
            self._requests(reader, number),
            self._rows,
            ids_of=lambda key: (key[0].id, f"{key[0].id}/{key[1]}"),
            progress=progress,
            note_of=_note,
            on_failure=self._drop_half,
        )

    def _requests(self, reader: ImageReader, number: int) -> Iterator[ChatRequest]:
        written = self.writer.scan()
        rejected = self.writer.rejected_ids()
        own = self.options.baseline == SAMPLE
        batches = group_batches(
            self.dataset, self.responses, for_run=self.writer.manifest.key, limit=self.limit
        )
        for frame in batches:
            results = _results(written, frame)
            for group in groups_of(frame, reader, self.writer, own=own):
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
        return comparison_id(sample_id, *pair, self.choice.label, criterion.name)

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
            render_answers(
                self.prompt,
                criterion,
                group.question,
                [group.answers[one].text for one in order],
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

    def _rows(self, reply: Reply) -> Sequence[dict[str, Any]]:
        """The row, once the replies in all orders are there."""
        match, order = reply.key
        if match.id in self.spoilt:
            self.spoilt.remove(match.id)
            return []
        halves = self.halves.setdefault(match.id, {})
        halves[order] = reply
        if len(halves) < self.options.orders:
            return []
        del self.halves[match.id]
        replies = [halves[number] for number in range(self.options.orders)]
        return [
            {
                "comparison_id": match.id,
                "sample_id": match.sample_id,
                "a": match.pair[0],
                "b": match.pair[1],
                "by": self.choice.label,
                "rubric": self.prompt.name,
                "criterion": match.criterion,
                "rubric_hash": self.prompt.hash,
                "prompt_hash": match.prompt,
                **verdict_fields(replies, min_lead=self.options.min_lead),
            }
        ]

    def _drop_half(self, reply: Reply) -> None:
        """A comparison that lacks an order is none: its other half is not kept either."""
        match, _ = reply.key
        if match.id in self.spoilt:
            self.spoilt.remove(match.id)
        elif self.halves.pop(match.id, None) is None and self.options.orders > 1:
            self.spoilt.add(match.id)


def _results(written: pl.LazyFrame | None, frame: pl.DataFrame) -> dict[str, float | None]:
    """By comparison, the share of the win that a got, of some samples' written rows."""
    if written is None:
        return {}
    found = (
        written.join(frame.lazy().select("sample_id"), on="sample_id", how="semi")
        .select(_RESULT)
        .collect(engine="streaming")
    )
    return {row["comparison_id"]: win_share(row) for row in found.iter_rows(named=True)}


def _note(rows: Sequence[dict[str, Any]]) -> str | None:
    return f"last {rows[-1]['criterion']}: {rows[-1]['verdict']}" if rows else None
