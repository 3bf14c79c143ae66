"""Sizes, shapes and formats of the images, those of kept samples and the others separately."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from curate.report.spread import Used, histogram, named

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.store import Dataset

_ASPECTS: Final = (
    ("taller than 2:1", 0.0, 0.5),
    ("tall", 0.5, 0.8),
    ("about square", 0.8, 1.25),
    ("wide", 1.25, 2.0),
    ("wider than 2:1", 2.0, math.inf),
)


def image_distributions(dataset: Dataset, used: Used) -> tuple[list[dict[str, Any]], int]:
    """Distributions as of `spread`, and how many distinct images there are.

    An image counts as kept if a kept sample has it.
    """
    import polars as pl

    kept = pl.col("image_id").hash().is_in(used.kept.implode()).alias("kept")
    facts = dataset.union("images").select("width", "height", "format", kept).collect()
    if facts.is_empty():
        return [], 0
    size = pl.format("{} \u00d7 {}", "width", "height")
    longer = pl.max_horizontal("width", "height").cast(pl.Int64)
    shapes = _shapes(facts)
    return [
        histogram("long_side", "Longer side of an image, pixels", _count(facts, longer)),
        {
            "key": "shape",
            "title": "Shapes of the images",
            "values": shapes,
            "total": facts.height,
            "distinct": sum(bool(s["kept"] + s["dropped"]) for s in shapes),
            "others": 0,
        },
        named("size", "Most frequent sizes", _count(facts, size)),
        named("format", "Formats of the files", _count(facts, pl.col("format"))),
    ], facts.height


def _count(facts: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    import polars as pl

    kept = pl.col("kept").sum().cast(pl.Int64)
    table = facts.group_by(value.alias("value")).agg(
        kept.alias("kept"), (pl.len().cast(pl.Int64) - kept).alias("dropped")
    )
    return table.sort(pl.col("kept") + pl.col("dropped"), "value", descending=[True, False])


def _shapes(facts: pl.DataFrame) -> list[dict[str, Any]]:
    import polars as pl

    aspect = pl.col("width") / pl.col("height")
    out = []
    for name, low, high in _ASPECTS:
        mine = facts.filter((aspect >= low) & (aspect < high))["kept"]
        n = int(mine.sum())
        out.append({"value": name, "kept": n, "dropped": len(mine) - n})
    return out
