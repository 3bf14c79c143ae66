"""The protocol of a metric: what it declares, what it is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pairwright.commands.choices import NoOptions

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset
    from train.batch.encode import Encoder, Segment, Tokens
    from train.batch.rows import Row
    from train.evaluate.model import EvaluatedModel


@dataclass(frozen=True, slots=True)
class Item:
    """One question, or one pair, to evaluate on.

    Attributes:
        row: Id, images, and the conversations that the metric needs.
        reference: The right answer, if the metric compares with one.
    """

    row: Row
    reference: str | None = None

    @property
    def group(self) -> str:
        """What the intervals resample: the image, or the row where there is none."""
        return "+".join(self.row.image_ids) or self.row.row_id


class Items(NamedTuple):
    """What there is to evaluate on.

    Attributes:
        items: The items.
        inputs: The runs that they come from.
        without_answer: Number of samples without a right answer.
    """

    items: list[Item]
    inputs: list[Manifest]
    without_answer: int = 0


class Encoded(NamedTuple):
    """An item and its token sequences, one for each list of segments."""

    item: Item
    tokens: tuple[Tokens, ...]


def no_summary(_: pl.DataFrame) -> dict[str, Any]:
    """For metrics that add nothing to the accuracy."""
    return {}


def no_lines(_: dict[str, Any]) -> list[str]:
    """For metrics that print nothing but the accuracy."""
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A way to evaluate a model.

    Attributes:
        name: As `--task` takes it; its file has the same name, with `_` for `-`.
        summary: What it measures, in a few words, for `--help`.
        right: What an item is that counts as right, for the report: `right`, `pairs in order`.
        read: Finds the items of a dataset.
        segments: Renders an item: one list of segments for each sequence that the model reads.
        predict: Runs the model on a batch: `correct` of every item, and perhaps other columns of the
            predictions table.
        options: Its own options.
        summarize: More numbers for the summary, from the predictions.
        lines: More lines for the report, from the summary.
    """

    name: str
    summary: str
    right: str
    read: Callable[[Dataset, Any, int | None], Items]
    segments: Callable[[Encoder, Item], list[list[Segment]]]
    predict: Callable[[EvaluatedModel, Sequence[Encoded], Any], list[dict[str, Any]]]
    options: type[Any] = NoOptions
    summarize: Callable[[pl.DataFrame], dict[str, Any]] = no_summary
    lines: Callable[[dict[str, Any]], list[str]] = no_lines
