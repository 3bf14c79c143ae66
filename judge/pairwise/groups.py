"""All responses to one question together, for commands that compare them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from judge.pairwise.prompt import Question
from pairwright.dataset.manifest import RunKey
from pairwright.errors import DataError, UsageError
from pairwright.text.conversation import split_answer
from pairwright.text.texts import folded

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset
    from pairwright.dataset.writer import RunWriter
    from pairwright.images import ImageReader

SAMPLE = "sample"
"""The name of the sample's own answer where the name of a model is expected."""

_COLUMNS = ["sample_id", "image_ids", "messages", "criteria", "reference"]
_ROWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One response.

    Attributes:
        id: response_id; for a sample's own answer the sample_id.
        text: The text.
        model: The model that wrote it; `sample` for a sample's own answer.
    """

    id: str
    text: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A question and its responses.

    Attributes:
        question: The question.
        responses: By id, in the order of ids.
        same: Pairs with the same text: neither can be better.
    """

    question: Question
    responses: Mapping[str, Response]
    same: frozenset[frozenset[str]]


def pick_responses(dataset: Dataset, run: str | None) -> Manifest:
    """The run of responses that is compared.

    Raises:
        UsageError: If there is none.
    """
    steps = None
    if run is None and "sample" in dataset.active("responses"):
        steps = {"sample"}
    manifest = dataset.pick("responses", run, steps=steps)
    if manifest is None:
        msg = "the dataset has no responses to compare: make some with `prefs sample`, or ingest some with `curate ingest FILE --as responses`"
        raise UsageError(msg)
    return manifest


def group_batches(
    dataset: Dataset, responses: Manifest, *, for_run: RunKey, limit: int | None
) -> Iterator[pl.DataFrame]:
    """Current samples that have responses, each with all of them as `responses`.

    Only some samples are in memory at a time, however large the dataset is.

    Args:
        dataset: The dataset.
        responses: The run of responses.
        for_run: The run that is made; decisions that were made from it do not count.
        limit: Maximum number of samples with responses.

    Yields:
        Frames with `sample_id`, `image_ids`, `messages`, `criteria`, `reference`, `responses`.
    """
    import polars as pl

    rows = dataset.scan(responses).select(
        "sample_id", "prompt", response=pl.struct(id="response_id", text="text", model="model")
    )
    left = limit
    for samples in dataset.current_batches(_COLUMNS, for_run=for_run, rows=_ROWS):
        ids = samples.lazy().select("sample_id")
        grouped = (
            rows.join(ids, on="sample_id", how="semi")
            .group_by("sample_id")
            .agg(pl.col("prompt").first(), responses=pl.col("response"))
            .collect(engine="streaming")
        )
        frame = samples.join(grouped, on="sample_id", how="inner", maintain_order="left")
        frame = frame if left is None else frame.head(left)
        if frame.height:
            yield frame
        if left is not None:
            left -= frame.height
            if left <= 0:
                return


def groups_of(
    frame: pl.DataFrame, reader: ImageReader, writer: RunWriter | None, *, own: bool = False
) -> Iterator[Group]:
    """The rows as groups; those of the same image follow each other.

    Args:
        frame: Of `group_batches`.
        reader: Knows in which order images are read fastest.
        writer: Records samples as invalid that lack an own answer, where one is wanted.
        own: Whether the sample's own answer is one of the responses.
    """
    rows = list(frame.iter_rows(named=True))

    def key(row: dict[str, Any]) -> tuple[tuple[str, int], list[str]]:
        first = row["image_ids"][0] if row["image_ids"] else ""
        return (reader.sort_key(first) if first in reader else ("", 0)), row["image_ids"]

    for row in sorted(rows, key=key):
        try:
            yield _group(row, own=own)
        except DataError as error:
            if writer is not None:
                writer.reject(row["sample_id"], "target", "no_answer", str(error))


def _group(row: dict[str, Any], *, own: bool) -> Group:
    responses = [Response(**one) for one in row["responses"]]
    if own:
        _, text = split_answer(row["messages"])
        responses.append(Response(id=row["sample_id"], text=text, model=SAMPLE))
    responses.sort(key=lambda one: one.id)
    by_text: dict[str, list[str]] = {}
    for response in responses:
        by_text.setdefault(folded(response.text), []).append(response.id)
    same = frozenset(
        frozenset((one, other))
        for ids in by_text.values()
        for one in ids
        for other in ids
        if one < other
    )
    question = Question(
        sample_id=row["sample_id"],
        image_ids=tuple(row["image_ids"]),
        prompt=row["prompt"],
        criteria=row["criteria"],
        reference=row["reference"],
    )
    return Group(question=question, responses={one.id: one for one in responses}, same=same)


def max_responses(dataset: Dataset, responses: Manifest) -> int:
    """Maximum number of responses to one sample."""
    import polars as pl

    counts = dataset.scan(responses).group_by("sample_id").len().select(pl.col("len").max())
    return int(counts.collect(engine="streaming").item() or 0)


def models_of(dataset: Dataset, responses: Manifest) -> list[str]:
    """The models that wrote the responses."""
    import polars as pl

    found = dataset.scan(responses).select(pl.col("model").unique().sort())
    return list(found.collect(engine="streaming")["model"])
