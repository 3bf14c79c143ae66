"""What a run judges: the samples' own answers, or responses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from judge.rubric.render import Target
from pairwright.dataset.manifest import Manifest, RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import DataError, UsageError
from pairwright.text.conversation import count_images, split_answer, unescape

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.writer import RunWriter
    from pairwright.images import ImageReader

Kind = Literal["sample", "response"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is judged.

    Attributes:
        kind: Goes into the scores.
        step: Step and default run of the scores.
        responses: The run of responses, if responses are judged.
    """

    kind: Kind
    step: str
    responses: Manifest | None


class TargetOptions(Protocol):
    """Options that choose what is judged."""

    @property
    def target(self) -> Literal["samples", "responses"] | None:
        """The samples' own answers, or responses."""

    @property
    def responses(self) -> str | None:
        """Run of responses."""


def choose_source(dataset: Dataset, options: TargetOptions) -> Source:
    """What is judged, by the options and what the dataset holds.

    Raises:
        UsageError: If responses are wanted and there are none.
    """
    target = options.target
    if options.responses is not None:
        target = "responses"
    if target is None:
        target = "responses" if "sample" in dataset.active("responses") else "samples"
    if target == "samples":
        return Source(kind="sample", step="score", responses=None)
    steps = None
    if options.responses is None and "sample" in dataset.active("responses"):
        steps = {"sample"}
    manifest = dataset.pick("responses", options.responses, steps=steps)
    if manifest is None:
        msg = "the dataset has no responses to judge: make some with `prefs sample`, ingest some with `curate ingest --as responses`, or judge the samples' own answers with --target samples"
        raise UsageError(msg)
    return Source(kind="response", step="score-responses", responses=manifest)


def target_batches(
    dataset: Dataset, source: Source, *, for_run: RunKey, limit: int | None, rows: int = 10_000
) -> Iterator[pl.DataFrame]:
    """Target id, images, messages and the source's own criteria, one row per target.

    Only some rows are in memory at a time, however large the dataset is.

    Args:
        dataset: The dataset.
        source: Samples or responses.
        for_run: The run that is made; decisions that were made from it do not count.
        limit: Maximum number of targets.
        rows: Maximum rows per frame.

    Yields:
        Frames with `target_id`, `sample_id`, `image_ids`, `messages`, `text` (null for a sample,
        whose answer is its last message), `model` (null for a sample), `criteria`, `reference`.
    """
    left = limit
    batches = _responses if source.responses is not None else _samples
    for frame in batches(dataset, source, for_run, rows):
        batch = frame if left is None else frame.head(left)
        if batch.height:
            yield batch
        if left is not None:
            left -= batch.height
            if left <= 0:
                return


def count_targets(dataset: Dataset, source: Source, *, for_run: RunKey, limit: int | None) -> int:
    """How many rows `target_batches` yields together."""
    import polars as pl

    frame = dataset.current_samples(for_run=for_run).select("sample_id")
    if source.responses is not None:
        responses = dataset.scan(source.responses).select("sample_id")
        frame = responses.join(frame, on="sample_id", how="semi")
    found = int(frame.select(pl.len()).collect(engine="streaming").item())
    return found if limit is None else min(found, limit)


def count_judged(
    dataset: Dataset,
    source: Source,
    *,
    for_run: RunKey,
    limit: int | None,
    turns: Literal["last", "all"],
) -> int:
    """How many targets are judged, or how many of the assistant's turns in them."""
    if turns == "last":
        return count_targets(dataset, source, for_run=for_run, limit=limit)
    import polars as pl

    roles = pl.col("messages").list.eval(pl.element().struct.field("role") == "assistant")
    frame = dataset.current_samples(for_run=for_run).select(roles.list.sum().alias("turns"))
    if limit is not None:
        frame = frame.head(limit)
    return int(frame.sum().collect(engine="streaming").item() or 0)


def each_turn(target: Target) -> Iterator[Target]:
    """The assistant's turns, each with the conversation before it and the images shown by then."""
    positions = [i for i, m in enumerate(target.prompt) if m["role"] == "assistant"]
    for turn, position in enumerate(positions):
        earlier = list(target.prompt[:position])
        yield replace(
            target,
            prompt=earlier,
            answer=unescape(target.prompt[position]["content"]),
            image_ids=target.image_ids[: count_images(earlier)],
            # A reference or criteria belong to the last turn.
            criteria=None,
            reference=None,
            turn=turn,
        )
    yield replace(target, turn=len(positions))


def targets_with_context(dataset: Dataset, source: Source, *, for_run: RunKey) -> pl.LazyFrame:
    """Which targets have own criteria or a reference: `target_id`, `criteria`, `reference`."""
    import polars as pl

    has = [pl.col(n).str.strip_chars().fill_null("") != "" for n in ("criteria", "reference")]
    samples = dataset.current_samples(for_run=for_run).select("sample_id", *has)
    if source.responses is None:
        return samples.rename({"sample_id": "target_id"})
    responses = dataset.scan(source.responses).select(
        pl.col("response_id").alias("target_id"), "sample_id"
    )
    return responses.join(samples, on="sample_id").drop("sample_id")


def max_images(dataset: Dataset, *, for_run: RunKey) -> int:
    """Maximum number of images in one sample."""
    import polars as pl

    lengths = dataset.current_samples(for_run=for_run).select(pl.col("image_ids").list.len().max())
    return int(lengths.collect(engine="streaming").item() or 0)


def _samples(
    dataset: Dataset, _source: Source, for_run: RunKey, rows: int
) -> Iterator[pl.DataFrame]:
    import polars as pl

    columns = ["sample_id", "image_ids", "messages", "criteria", "reference"]
    for frame in dataset.current_batches(columns, for_run=for_run, rows=rows):
        yield frame.select(
            pl.col("sample_id").alias("target_id"),
            "sample_id",
            "image_ids",
            "messages",
            pl.lit(None, pl.String).alias("text"),
            pl.lit(None, pl.String).alias("model"),
            "criteria",
            "reference",
        )


def _responses(
    dataset: Dataset, source: Source, for_run: RunKey, rows: int
) -> Iterator[pl.DataFrame]:
    import polars as pl

    manifest = source.responses
    assert manifest is not None
    responses = dataset.scan(manifest).select(
        pl.col("response_id").alias("target_id"),
        "sample_id",
        pl.col("prompt").alias("messages"),
        "text",
        "model",
    )
    about = dataset.current_samples(for_run=for_run).select(
        "sample_id", "image_ids", "criteria", "reference"
    )
    for start in range(0, manifest.rows, rows):
        some = responses.slice(start, rows).collect()
        ids = some.lazy().select("sample_id").unique()
        known = about.join(ids, on="sample_id", how="semi").collect(engine="streaming")
        frame = some.join(known, on="sample_id", how="inner", maintain_order="left")
        yield frame.select(
            "target_id", "sample_id", "image_ids", "messages", "text", "model", "criteria",
            "reference",
        )  # fmt: skip


def by_image(frame: pl.DataFrame, reader: ImageReader) -> pl.DataFrame:
    """Targets of the same image next to each other, in the order in which images are read fastest."""

    def key(ids: list[str]) -> tuple[tuple[str, int], list[str]]:
        first = ids[0] if ids else ""
        return (reader.sort_key(first) if first in reader else ("", 0)), ids

    ids = frame["image_ids"].to_list()
    return frame[sorted(range(frame.height), key=lambda row: key(ids[row]))]


def targets_of(frame: pl.DataFrame, writer: RunWriter) -> Iterator[Target]:
    """The rows as targets; those without an answer are recorded as invalid."""
    for row in frame.iter_rows(named=True):
        try:
            yield _target(row)
        except DataError as error:
            writer.reject(row["target_id"], "target", "no_answer", str(error))


def _target(row: dict[str, Any]) -> Target:
    prompt, answer = row["messages"], row["text"]
    if answer is None:
        prompt, answer = split_answer(prompt)
    return Target(
        target_id=row["target_id"],
        sample_id=row["sample_id"],
        model=row["model"],
        image_ids=tuple(row["image_ids"]),
        prompt=prompt,
        answer=answer,
        criteria=row["criteria"],
        reference=row["reference"],
    )
