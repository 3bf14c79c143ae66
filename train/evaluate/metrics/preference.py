"""Preference accuracy: how often the chosen response of a pair is likelier than the rejected one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pairwright.commands.options import option
from pairwright.errors import UsageError
from train.evaluate.metrics.base import Encoded, Item, Items, Metric

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.store import Dataset
    from train.batch.encode import Encoder, Segment
    from train.evaluate.model import EvaluatedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceOptions:
    """Options of the metric."""

    pairs: str | None = option(None, help="pairs run (default: the active one)")
    per_token: bool = option(False, help="compare means over tokens, not sums")


def read(dataset: Dataset, options: PreferenceOptions, limit: int | None) -> Items:
    """The pairs of a run.

    Raises:
        UsageError: If there are none.
    """
    from train.batch.rows import pair_rows, pick_pairs

    pairs = pick_pairs(dataset, options.pairs)
    rows = pair_rows(dataset, pairs, ("chosen", "rejected"), limit)
    if not rows:
        msg = f"{pairs.ref}: no pairs in it"
        raise UsageError(msg)
    return Items([Item(row) for row in rows], [pairs])


def segments(encoder: Encoder, item: Item) -> list[list[Segment]]:
    """The conversation that ends with the chosen response, and the one with the rejected."""
    return [encoder.answers(c, last_only=True) for c in item.row.conversations]


def predict(
    model: EvaluatedModel, batch: Sequence[Encoded], options: PreferenceOptions
) -> list[dict[str, Any]]:
    """Compare the log-probabilities of both responses."""
    chosen, rejected = (model.logps([one.tokens[side] for one in batch]) for side in (0, 1))
    margins = [
        (c / n_c - r / n_r) if options.per_token else c - r
        for (c, n_c), (r, n_r) in zip(chosen, rejected, strict=True)
    ]
    return [{"correct": margin > 0, "margin": margin} for margin in margins]


def summarize(predictions: pl.DataFrame) -> dict[str, Any]:
    """The mean margin."""
    return {"mean_margin": predictions["margin"].mean()}


METRIC: Final = Metric(
    name="preference",
    summary="pairs whose chosen response is likelier than the rejected one",
    right="pairs in order",
    read=read,
    segments=segments,
    predict=predict,
    options=PreferenceOptions,
    summarize=summarize,
)
