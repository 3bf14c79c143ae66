"""Images that are too small, too large, or too long and narrow. Nothing is decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.filter.found import Found, above, below
from curate.filter.rows import Rows
from curate.filter.rules.base import Inputs, Need, Reason, Rule
from curate.filter.rules.checks import check_counts, check_order
from pairwright.commands.options import option
from pairwright.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeOptions:
    """Limits of size and shape."""

    min_side: int | None = option(None, help="min shorter side of an image, pixels")
    min_pixels: int | None = option(None, help="min width times height")
    max_pixels: int | None = option(None, help="max width times height")
    max_aspect: float | None = option(None, help="max longer side over shorter side of an image")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_counts(self, "min_side", "min_pixels", "max_pixels")
        check_order(self, "min_pixels", "max_pixels")
        if self.max_aspect is not None and self.max_aspect < 1:
            msg = f"--max-aspect is longer side over shorter side, at least 1, got {self.max_aspect:g}"
            raise UsageError(msg)


def find(rows: Rows, options: SizeOptions, inputs: Inputs) -> Iterator[Found]:
    """Rows with an image of a size or shape that is not wanted."""
    sizes = inputs.dataset.union("images").select("image_id", "width", "height").collect()
    yield from by_size(rows, options, sizes)


def by_size(rows: Rows, options: SizeOptions, sizes: pl.DataFrame) -> Iterator[Found]:
    """Resolution and aspect ratio.

    Args:
        rows: Samples.
        options: Their limits.
        sizes: `image_id`, `width`, `height`.
    """
    import polars as pl

    shorter = pl.min_horizontal("width", "height")
    facts = sizes.select(
        "image_id",
        shorter.alias("side"),
        (pl.col("width").cast(pl.Int64) * pl.col("height")).alias("pixels"),
        (pl.max_horizontal("width", "height") / shorter).alias("aspect"),
    )
    if any(v is not None for v in (options.min_side, options.min_pixels, options.max_pixels)):
        yield _resolution(rows, options, facts)
    if options.max_aspect is not None:
        values = rows.of_images(facts, "aspect", "max")
        yield Found(
            "aspect_ratio",
            f"longer side over {options.max_aspect:g} times the shorter",
            values,
            above(values, options.max_aspect),
            threshold=options.max_aspect,
            unit="longer side / shorter side",
            of_images=True,
        )


def _resolution(rows: Rows, options: SizeOptions, facts: pl.DataFrame) -> Found:
    import numpy as np

    side = rows.of_images(facts, "side", "min")
    smallest = rows.of_images(facts, "pixels", "min")
    largest = rows.of_images(facts, "pixels", "max")
    removes, rule = np.zeros(len(rows), dtype=bool), []
    if options.min_side is not None:
        removes |= below(side, options.min_side)
        rule.append(f"shorter side below {options.min_side}")
    if options.min_pixels is not None:
        removes |= below(smallest, options.min_pixels)
        rule.append(f"fewer than {options.min_pixels:,} pixels")
    if options.max_pixels is not None:
        removes |= above(largest, options.max_pixels)
        rule.append(f"more than {options.max_pixels:,} pixels")
    by_side = options.min_side is not None
    values = side if by_side else smallest if options.min_pixels is not None else largest
    return Found(
        "resolution", " or ".join(rule), values, removes,
        threshold=options.min_side if by_side else options.min_pixels or options.max_pixels,
        removes_low=by_side or options.min_pixels is not None,
        unit="shorter side, pixels" if by_side else "pixels",
        of_images=True,
    )  # fmt: skip


def _images(dataset: Dataset, _: SizeOptions) -> Sequence[Manifest]:
    return [run for run in dataset.runs("images") if run.is_complete]


IMAGES = Need(name="images", what="images", command="curate ingest", pick=_images, optional=True)
RULE = Rule(
    name="image_size",
    reasons=(
        Reason(
            name="resolution",
            words="image too small or too large",
            options=("min_side", "min_pixels", "max_pixels"),
            elsewhere="DJ `image_shape_filter` (1 px); cleanvision `odd_size`",
        ),
        Reason(
            name="aspect_ratio",
            words="image too long and narrow",
            options=("max_aspect",),
            elsewhere="DJ `image_aspect_ratio_filter` (0.333-3); cleanvision `odd_aspect_ratio` "
            "(0.35, that is 2.9)",
        ),
    ),
    options=SizeOptions,
    find=find,
    presets={
        "basic": {"min_side": 16, "max_aspect": 20.0},
        "llava": {"min_side": 56, "max_aspect": 5.0},
    },
    needs=(IMAGES,),
)
