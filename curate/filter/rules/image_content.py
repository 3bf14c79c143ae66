"""Images that are blank, hold little information, are blurred, or cannot be read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.filter.found import Found, above, below
from curate.filter.rows import Rows
from curate.filter.rules.base import Inputs, Reason, Rule
from curate.filter.rules.image_size import IMAGES
from pairwright.commands.options import option

if TYPE_CHECKING:
    from curate.filter.imagestats import ImageStats
    from pairwright.images import ImageError


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentOptions:
    """Limits of what decoded images are like."""

    min_std: float | None = option(
        None, help="min standard deviation of the colors, 0 to 128 (try 3)"
    )
    min_entropy: float | None = option(
        None,
        help="min entropy of the gray values, 0 to 8 bits; drawings and charts have little of it",
    )
    min_sharpness: float | None = option(
        None,
        help="min variance of the Laplacian over the contrast, in the sharpest 10 % of the image, "
        "at one size for all (try 0.05)",
    )


def find(rows: Rows, options: ContentOptions, inputs: Inputs) -> Iterator[Found]:
    """Rows with an image that cannot be read or that shows too little."""
    from curate.filter.imagestats import measure_all
    from pairwright.images import ImageReader

    ids = rows.samples["image_ids"].explode().drop_nulls().unique(maintain_order=True)
    failed = inputs.unreadable
    stats = measure_all(
        ImageReader(inputs.dataset), ids.to_list(), os.cpu_count() or 1, failed.__setitem__
    )
    yield _unreadable(rows, failed)
    yield from by_stats(rows, options, stats)


def by_stats(
    rows: Rows, options: ContentOptions, stats: Mapping[str, ImageStats]
) -> Iterator[Found]:
    """Blank, little information, blur.

    Args:
        rows: Samples.
        options: Their limits.
        stats: What was measured, by image.
    """
    import polars as pl

    facts = pl.DataFrame(
        {
            "image_id": list(stats),
            **{
                name: pl.Series([getattr(x, name) for x in stats.values()], dtype=pl.Float64)
                for name in ("std", "entropy", "sharpness")
            },
        },
        schema_overrides={"image_id": pl.String},
    ).with_columns(pl.col("sharpness").fill_nan(None))
    for name, column, least, unit in (
        ("blank_image", "std", options.min_std, "standard deviation of the colors"),
        ("low_information", "entropy", options.min_entropy, "entropy of the gray values, bits"),
        ("blur", "sharpness", options.min_sharpness, "sharpness"),
    ):
        if least is not None:
            values = rows.of_images(facts, column, "min")
            yield Found(
                name, f"{unit} below {least:g}", values, below(values, least),
                threshold=least, removes_low=True, unit=unit, of_images=True,
            )  # fmt: skip


def _unreadable(rows: Rows, failed: Mapping[str, ImageError]) -> Found:
    import numpy as np
    import polars as pl

    facts = pl.DataFrame(
        {"image_id": list(failed), "bad": [1.0] * len(failed)},
        schema={"image_id": pl.String, "bad": pl.Float64},
    )
    values = rows.of_images(facts, "bad", "sum")
    found = Found("unreadable_image", "an image that cannot be read", values, above(values, 0))
    for row in np.flatnonzero(found.removes).tolist():
        bad = [i for i in rows.samples["image_ids"][row].to_list() if i in failed]
        found.detail[row] = failed[bad[0]].reason
        found.evidence[row] = f"{bad[0][:12]}: {failed[bad[0]]}"
    return found


RULE = Rule(
    name="image_content",
    reasons=(
        Reason(
            name="unreadable_image",
            words="image that does not open",
            implied=True,
            elsewhere="Data-Juicer: the operator fails",
        ),
        Reason(name="blank_image", words="image of nearly one color", options=("min_std",)),
        Reason(
            name="low_information",
            words="image with too little in it",
            options=("min_entropy",),
            elsewhere="cleanvision `low_information` (0.3, that is 3 bits)",
        ),
        Reason(
            name="blur",
            words="blurred image",
            options=("min_sharpness",),
            elsewhere="cleanvision `blurry` (0.29, another scale)",
        ),
    ),
    options=ContentOptions,
    find=find,
    presets={"basic": {"min_std": 3.0}, "llava": {"min_std": 3.0, "min_sharpness": 0.05}},
    needs=(IMAGES,),
)
