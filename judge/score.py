"""`judge score`: marks for answers, as expected values over a judge's label probabilities."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from judge.render import prompt_hash, render
from judge.report import describe, summarise
from judge.rubric import Rubric, load_rubric
from judge.score_options import ScoreOptions
from judge.targets import (
    Source,
    by_image,
    choose_source,
    count_targets,
    most_images,
    target_batches,
    targets_of,
)
from pairwright.command import Outcome
from pairwright.options import RunOptions
from pairwright.progress import Progress
from pairwright.store import Dataset
from pairwright.vlm.asking import ask_into, unwritten
from pairwright.vlm.backend import (
    ModelChoice,
    choose_model,
    image_source,
    open_backend,
    recorded,
)
from pairwright.vlm.types import ChatRequest, Reply, label_names

if TYPE_CHECKING:
    from pairwright.writer import RunWriter

_PART_SECONDS = 5.0


def score(dataset: Dataset, options: ScoreOptions, run: RunOptions) -> Outcome:
    """Mark answers by a rubric, one row of `scores` a target and criterion.

    Raises:
        UsageError: If there is nothing to judge, or a label is not one token of the judge.
        ServerError: If the judge cannot be started or is gone; what was marked is kept.
    """
    rubric = load_rubric(options.rubric)
    choice = choose_model(options, dataset)
    source = choose_source(dataset, options)
    name = run.run or source.verb
    ref = f"scores/{name}"
    if run.dry_run:
        targets = count_targets(dataset, source, before=ref, limit=run.limit)
        return _dry_run(targets, rubric, choice, source, ref)
    inputs = dataset.sample_inputs(before=ref)
    with dataset.write(
        "scores",
        name,
        verb=source.verb,
        config=_config(options, choice, rubric, source, run),
        inputs=[*inputs, source.responses] if source.responses else inputs,
        fingerprints=choice.fingerprints(),
        replace=run.replace,
        retry_stages=("request",),
        part_seconds=_PART_SECONDS,
    ) as writer:
        done = writer.is_complete
        if not done:
            _judge(dataset, writer, rubric, options, choice, source, run.limit)
            writer.flush()
            writer.summary.update(summarise(writer.scan(), rubric))
    text = describe(writer.summary, rubric)
    return Outcome(
        message=f"{'nothing to do: ' if done else ''}{ref}: {text}",
        table=ref,
        rows=writer.n_rows,
        rejects=writer.n_rejects,
        summary=writer.summary,
    )


def _config(
    options: ScoreOptions, choice: ModelChoice, rubric: Rubric, source: Source, run: RunOptions
) -> dict[str, Any]:
    return recorded(options, choice) | {
        "target": f"{source.kind}s",
        "responses": source.responses.run if source.responses else None,
        # The hash, not the file's place: a rubric may move.
        "rubric": rubric.name,
        "rubric_hash": rubric.hash,
        "label_range": rubric.label_range,
        "limit": run.limit,
    }


def _judge(
    dataset: Dataset,
    writer: RunWriter,
    rubric: Rubric,
    options: ScoreOptions,
    choice: ModelChoice,
    source: Source,
    limit: int | None,
) -> None:
    """Ask for every mark that is not written yet."""
    from pairwright.images import ImageReader

    reader = ImageReader(dataset)
    images = image_source(reader, options, choice)
    names = [criterion.name for criterion in rubric.criteria]
    batches = target_batches(dataset, source, before=writer.manifest.ref, limit=limit)
    open_ones = unwritten(batches, writer, "target_id", len(names))
    first = next(open_ones, None)
    if first is None:
        return

    def requests() -> Iterator[ChatRequest]:
        for frame, written in itertools.chain([first], open_ones):
            for target in targets_of(by_image(frame, reader), writer):
                marked = {key[1] for key in written.get(target.target_id, ())}
                for criterion in rubric.criteria:
                    if criterion.name not in marked:
                        turns = render(rubric, criterion, target)
                        yield ChatRequest(
                            key=(target.target_id, criterion.name, prompt_hash(turns)),
                            messages=turns,
                            labels=tuple(rubric.labels),
                        )

    total = count_targets(dataset, source, before=writer.manifest.ref, limit=limit)
    with (
        open_backend(
            options, choice, images, logs=dataset.path / "logs",
            max_images=most_images(dataset, before=writer.manifest.ref),
        ) as backend,
        Progress("judge", total * len(names) - writer.n_rows, unit="marks") as progress,
    ):  # fmt: skip
        ask_into(
            writer,
            backend,
            requests(),
            lambda reply: [_row(reply, rubric, choice, source)],
            ids_of=lambda key: (key[0], f"{key[0]}/{key[1]}"),
            progress=progress,
            note_of=_note,
        )


def _note(rows: Sequence[dict[str, Any]]) -> str:
    [row] = rows
    mark = "no verdict" if row["score"] is None else f"{row['score']:.2f}"
    return f"last {row['criterion']}: {mark}"


def _row(reply: Reply, rubric: Rubric, choice: ModelChoice, source: Source) -> dict[str, Any]:
    target_id, criterion, prompt = reply.key
    probs = reply.label_probs or {}
    mark, mass = expected_value(probs, rubric.labels)
    return {
        "target_id": target_id,
        "rubric": rubric.name,
        "criterion": criterion,
        "judge": choice.label,
        "draw": 0,
        "target_kind": source.kind,
        "score": mark,
        "label_probs": [{"label": label, "p": p} for label, p in probs.items()],
        "label_mass": mass,
        "read_from": reply.read_from,
        "text": reply.texts[0] if reply.texts else None,
        "rubric_hash": rubric.hash,
        "prompt_hash": prompt,
        "n_prompt_tokens": reply.usage.prompt_tokens,
        "n_tokens": reply.usage.completion_tokens,
        "latency_s": reply.latency_s,
        "error": "no_verdict" if mark is None else None,
    }


def expected_value(probs: dict[str, float], labels: dict[str, float]) -> tuple[float | None, float]:
    """Mean value of the labels by their probability, and the probability of all labels together.

    Without any probability on a label there is no mark: not a zero.
    """
    names = label_names(tuple(labels))
    values = dict(zip(names, labels.values(), strict=True))
    mass = sum(probs.values())
    if mass <= 0:
        return None, 0.0
    return sum(p * values[name] for name, p in probs.items()) / mass, mass


def _dry_run(
    targets: int, rubric: Rubric, choice: ModelChoice, source: Source, ref: str
) -> Outcome:
    requests = targets * len(rubric.criteria)
    message = (
        f"dry run, nothing written: {ref} would hold {requests:,} marks of {choice.label} on "
        f"{targets:,} {source.kind}s by the rubric {rubric.name}"
    )
    return Outcome(message=message, summary={"targets": targets, "requests": requests})
