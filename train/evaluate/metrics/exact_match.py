"""Exact match: greedy responses against the right answers of samples."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pairwright.commands.options import option
from pairwright.errors import DataError, UsageError
from train.evaluate.metrics.base import Encoded, Item, Items, Metric

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.store import Dataset
    from pairwright.text.conversation import Message
    from train.batch.encode import Encoder, Segment
    from train.evaluate.model import EvaluatedModel

_PUNCTUATION = ".!?,;:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactMatchOptions:
    """Options of the metric."""

    split: str | None = option(None, help="samples of this split only")
    reference_field: Literal["answer", "reference"] = option(
        "answer", help="the right answer: the sample's last answer or its reference"
    )
    generate_max_tokens: int = option(32, help="max tokens per response")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.generate_max_tokens < 1:
            msg = f"--generate-max-tokens must be at least 1, got {self.generate_max_tokens}"
            raise UsageError(msg)


def read(dataset: Dataset, options: ExactMatchOptions, limit: int | None) -> Items:
    """Samples with a right answer, whatever decisions there are: an evaluation set is fixed.

    Raises:
        UsageError: If there are none.
    """
    import polars as pl

    frame = dataset.union("samples")
    if options.split is not None:
        frame = frame.filter(pl.col("split") == options.split)
    rows = frame.select("sample_id", "image_ids", "messages", "reference").collect().to_dicts()
    items = [item for row in rows if (item := _item(row, options)) is not None]
    if not items:
        which = f"split {options.split!r}" if options.split else "samples"
        what = "an answer" if options.reference_field == "answer" else "a reference"
        msg = f"{dataset.path}: no {which} with {what} to evaluate on"
        raise UsageError(msg)
    inputs = [m for m in dataset.runs("samples") if m.is_complete]
    return Items(items[:limit], inputs, len(rows) - len(items))


def _item(row: dict[str, Any], options: ExactMatchOptions) -> Item | None:
    from pairwright.text.conversation import prompt_of, split_answer
    from train.batch.rows import Row

    messages: list[Message] = row["messages"]
    prompt, reference = prompt_of(messages), row["reference"]
    if options.reference_field == "answer":
        try:
            prompt, reference = split_answer(messages)
        except DataError:
            return None
    if not reference or not prompt:
        return None
    return Item(Row(row["sample_id"], tuple(row["image_ids"]), (prompt,)), reference)


def segments(encoder: Encoder, item: Item) -> list[list[Segment]]:
    """The question."""
    return [encoder.question(item.row.conversations[0])]


def predict(
    model: EvaluatedModel, batch: Sequence[Encoded], options: ExactMatchOptions
) -> list[dict[str, Any]]:
    """Respond greedily and compare."""
    texts = model.respond([one.tokens[0] for one in batch], options.generate_max_tokens)
    return [
        {
            "text": text,
            "reference": one.item.reference,
            "correct": normalize(text) == normalize(one.item.reference or ""),
        }
        for one, text in zip(batch, texts, strict=True)
    ]


def normalize(text: str) -> str:
    """A text without case, outer white space and final punctuation."""
    folded = re.sub(r"\s+", " ", text).strip().casefold()
    return folded.rstrip(_PUNCTUATION).rstrip() or folded


def summarize(predictions: pl.DataFrame) -> dict[str, Any]:
    """How often yes is predicted where yes or no is right: hallucinating models do so too often."""
    texts, references = predictions["text"].to_list(), predictions["reference"].to_list()
    pairs = [(normalize(t), normalize(r)) for t, r in zip(texts, references, strict=True)]
    closed = [(t, r) for t, r in pairs if r in ("yes", "no")]
    if not closed:
        return {"n_yes_no": 0}
    predicted = Counter(t for t, _ in closed)
    return {
        "n_yes_no": len(closed),
        "yes_rate": predicted["yes"] / len(closed),
        "reference_yes_rate": sum(r == "yes" for _, r in closed) / len(closed),
        "accuracy_yes_no": sum(t == r for t, r in closed) / len(closed),
    }


def lines(summary: dict[str, Any]) -> list[str]:
    """The rates of yes."""
    if not summary["n_yes_no"]:
        return []
    predicted, right = 100 * summary["yes_rate"], 100 * summary["reference_yes_rate"]
    return [
        f"{summary['n_yes_no']:,} yes/no questions: {predicted:.1f} % of the responses are yes, "
        f"{right:.1f} % of the right answers"
    ]


METRIC: Final = Metric(
    name="exact-match",
    summary="greedy responses against the right answers",
    right="right",
    read=read,
    segments=segments,
    predict=predict,
    options=ExactMatchOptions,
    summarize=summarize,
    lines=lines,
)
