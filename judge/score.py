"""`judge score`: marks for answers, as expected values over a judge's label probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.options import ScoreOptions
from judge.render import prompt_hash, render
from judge.report import describe, summarise
from judge.rubric import Rubric, load_rubric
from judge.targets import Source, by_image, choose_source, read_targets, targets_of
from pairwright.command import Outcome
from pairwright.options import RunOptions
from pairwright.progress import Progress
from pairwright.store import Dataset
from pairwright.vlm.backend import (
    ModelChoice,
    choose_model,
    image_source,
    open_backend,
    recorded,
)
from pairwright.vlm.rows import RowBuffer, reject_failure
from pairwright.vlm.types import ChatRequest, Reply, ask_all, label_names

if TYPE_CHECKING:
    import polars as pl

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
    frame = read_targets(dataset, source, before=ref, limit=run.limit)
    if run.dry_run:
        return _dry_run(frame, rubric, choice, source, ref)
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
            _judge(dataset, frame, writer, rubric, options, choice, source)
            writer.flush()
            writer.summary.update(summarise(writer.written(), rubric))
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
    frame: pl.DataFrame,
    writer: RunWriter,
    rubric: Rubric,
    options: ScoreOptions,
    choice: ModelChoice,
    source: Source,
) -> None:
    """Ask for every mark that is not written yet."""
    import polars as pl

    from pairwright.images import ImageReader

    written = writer.written(["target_id", "criterion"])
    marked = set() if written is None else set(written.iter_rows())
    rejected = writer.rejected_ids()
    names = [criterion.name for criterion in rubric.criteria]
    is_open = [
        target not in rejected and any((target, criterion) not in marked for criterion in names)
        for target in frame["target_id"]
    ]
    pending = frame.filter(pl.Series(is_open, dtype=pl.Boolean))
    if pending.is_empty():
        return
    reader = ImageReader(dataset)
    pending = by_image(pending, reader)
    images = image_source(reader, options, choice)

    def requests() -> Iterator[ChatRequest]:
        for target in targets_of(pending, writer):
            for criterion in rubric.criteria:
                if (target.target_id, criterion.name) in marked:
                    continue
                turns = render(rubric, criterion, target)
                yield ChatRequest(
                    key=(target.target_id, criterion.name, prompt_hash(turns)),
                    messages=turns,
                    labels=tuple(rubric.labels),
                )

    total = pending.height * len(names)
    most = int(pending["image_ids"].list.len().max() or 0)  # type: ignore[arg-type]
    with (
        open_backend(options, choice, images, logs=_logs(dataset), max_images=most) as backend,
        Progress("judge", total, unit="marks") as progress,
        RowBuffer(writer) as rows,
    ):

        def on_reply(reply: Reply) -> None:
            target_id, criterion, _ = reply.key
            if reply.error is not None:
                reject_failure(writer, reply.error, target_id, f"{target_id}/{criterion}")
                progress.advance()
                return
            row = _row(reply, rubric, choice, source)
            rows.add(row)
            mark = "no verdict" if row["score"] is None else f"{row['score']:.2f}"
            progress.advance(note=f"last {criterion}: {mark}")

        ask_all(requests(), backend, on_reply)


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


def _logs(dataset: Dataset) -> Path:
    return dataset.path / "logs"


def _dry_run(
    frame: pl.DataFrame, rubric: Rubric, choice: ModelChoice, source: Source, ref: str
) -> Outcome:
    requests = frame.height * len(rubric.criteria)
    message = (
        f"dry run, nothing written: {ref} would hold {requests:,} marks of {choice.label} on "
        f"{frame.height:,} {source.kind}s by the rubric {rubric.name}"
    )
    return Outcome(message=message, summary={"targets": frame.height, "requests": requests})
