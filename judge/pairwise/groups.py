"""All answers to one question together, for commands that compare them."""

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
"""Stands for the sample's own answer where a model's name is asked for."""

_ABOUT = ["sample_id", "image_ids", "messages", "criteria", "reference"]
_ROWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer.

    Attributes:
        id: response_id; of a sample's own answer the sample_id.
        text: The answer.
        model: Who answered; `sample` for a sample's own answer.
    """

    id: str
    text: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A question and its answers.

    Attributes:
        question: The question.
        answers: By id, in the order of ids.
        same: Pairs whose texts say the same; nobody can tell which is better.
    """

    question: Question
    answers: Mapping[str, Answer]
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
        msg = "there are no responses to compare: make some with `prefs sample`, or ingest some with `curate ingest FILE --as responses`"
        raise UsageError(msg)
    return manifest


def group_batches(
    dataset: Dataset, responses: Manifest, *, for_run: RunKey, limit: int | None
) -> Iterator[pl.DataFrame]:
    """Current samples that have responses, each with all of them as `answers`.

    However large the dataset, only some samples are held at a time.

    Args:
        dataset: The dataset.
        responses: The run of responses.
        for_run: The run that is made; decisions that were made on it do not count.
        limit: Take the first so many samples with responses.

    Yields:
        Frames with `sample_id`, `image_ids`, `messages`, `criteria`, `reference`, `answers`.
    """
    import polars as pl

    answers = dataset.scan(responses).select(
        "sample_id", "prompt", answer=pl.struct(id="response_id", text="text", model="model")
    )
    left = limit
    for samples in dataset.current_batches(_ABOUT, for_run=for_run, rows=_ROWS):
        ids = samples.lazy().select("sample_id")
        grouped = (
            answers.join(ids, on="sample_id", how="semi")
            .group_by("sample_id")
            .agg(pl.col("prompt").first(), answers=pl.col("answer"))
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
    """The rows as groups, those with one image behind each other.

    Args:
        frame: Of `group_batches`.
        reader: Knows in which order images are read best.
        writer: Told of samples without an own answer, where one is wanted.
        own: Whether the sample's own answer is one of the answers.
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
    answers = [Answer(**answer) for answer in row["answers"]]
    if own:
        _, text = split_answer(row["messages"])
        answers.append(Answer(id=row["sample_id"], text=text, model=SAMPLE))
    answers.sort(key=lambda answer: answer.id)
    alike: dict[str, list[str]] = {}
    for answer in answers:
        alike.setdefault(folded(answer.text), []).append(answer.id)
    same = frozenset(
        frozenset((one, other))
        for ids in alike.values()
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
    return Group(question=question, answers={a.id: a for a in answers}, same=same)


def most_answers(dataset: Dataset, responses: Manifest) -> int:
    """Answers of the sample that has most."""
    import polars as pl

    counts = dataset.scan(responses).group_by("sample_id").len().select(pl.col("len").max())
    return int(counts.collect(engine="streaming").item() or 0)


def models_of(dataset: Dataset, responses: Manifest) -> list[str]:
    """Who answered."""
    import polars as pl

    found = dataset.scan(responses).select(pl.col("model").unique().sort())
    return list(found.collect(engine="streaming")["model"])
