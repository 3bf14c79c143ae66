"""Filters of images: size, shape, blank, little information, blur.

Sizes come from the images table; the others decode every distinct image once, shrunk to one size,
in threads. A sample with several images is as bad as its worst.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate.filter.found import Found, Rows, high, low
from curate.filter.options import FilterOptions
from pairwright.commands.progress import Progress
from pairwright.images import ImageError, open_image

if TYPE_CHECKING:
    import polars as pl
    from PIL import Image

    from pairwright.images import ImageReader

# Images are measured at no more pixels than this, so that one threshold fits all sizes.
WORK_PIXELS = 512 * 384
_TILE = 32
_SHARPEST = 10  # one tile of so many


@dataclass(frozen=True, slots=True)
class Look:
    """What one decoded image is like."""

    std: float
    entropy: float
    sharpness: float


def look_at(image: Image.Image) -> Look:
    """Measure an image that is shrunk to `WORK_PIXELS` already."""
    from PIL import ImageStat

    grey = image.convert("L")
    return Look(
        std=float(max(ImageStat.Stat(image).stddev)),
        entropy=float(grey.entropy()),
        sharpness=sharpness(np.asarray(grey, dtype=np.float32)),
    )


def sharpness(grey: np.ndarray) -> float:
    """Variance of the Laplacian over the variance of the grey values, in the sharpest tiles.

    The Laplacian's variance alone calls every fog, sky and plain drawing blurred. Over the
    contrast it says how sudden the edges are, whatever there are of them; and since a picture with
    one thing in focus is not blurred, only the tenth of the tiles with the most edges counts.
    """
    if min(grey.shape) < 3:
        return float("nan")
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    size = min(_TILE, max(8, min(inner.shape) // 4))
    edges, contrast = _tile_variance(laplacian, size), _tile_variance(inner, size)
    count = max(1, len(edges) // _SHARPEST)
    best = np.argpartition(edges, -count)[-count:]
    # Eight-bit rounding alone gives a flat tile a variance of about one twelfth.
    return float(np.mean(edges[best] / np.maximum(contrast[best], 1.0)))


def _tile_variance(values: np.ndarray, size: int) -> np.ndarray:
    rows, columns = values.shape[0] // size, values.shape[1] // size
    if not rows or not columns:
        return np.array([values.var()])
    tiles = values[: rows * size, : columns * size].reshape(rows, size, columns, size)
    mean = tiles.mean(axis=(1, 3), dtype=np.float64)
    square = np.einsum("isjt,isjt->ij", tiles, tiles, dtype=np.float64) / size**2
    return np.asarray(np.maximum(square - mean**2, 0.0).ravel())


def wanted(options: FilterOptions) -> bool:
    """Whether any filter needs the images decoded."""
    return any(
        getattr(options, name) is not None for name in ("min_std", "min_entropy", "min_sharpness")
    )


def look_at_all(
    reader: ImageReader,
    image_ids: list[str],
    workers: int,
    failed: Callable[[str, ImageError], None],
) -> dict[str, Look]:
    """Decode and measure images, some ahead, in threads.

    Args:
        reader: Where their bytes are.
        image_ids: Distinct ids.
        workers: Threads; decoding leaves the interpreter's lock.
        failed: Told of every image that cannot be read.
    """
    known = [i for i in image_ids if i in reader]
    for image_id in image_ids:
        if image_id not in reader:
            failed(image_id, ImageError("missing_image", "not in the images table"))
    looks: dict[str, Look] = {}
    with Progress("looking at images", len(known), unit="images") as progress:
        for image_id, look in _looks(reader, sorted(known, key=reader.sort_key), workers, failed):
            looks[image_id] = look
            progress.advance()
    return looks


def _looks(
    reader: ImageReader,
    image_ids: list[str],
    workers: int,
    failed: Callable[[str, ImageError], None],
) -> Iterator[tuple[str, Look]]:
    def work(content: bytes) -> Look:
        return look_at(open_image(content, fit=WORK_PIXELS))

    waiting: deque[tuple[str, Future[Look]]] = deque()

    def collect() -> Iterator[tuple[str, Look]]:
        name, future = waiting.popleft()
        try:
            yield name, future.result()
        except ImageError as error:
            failed(name, error)

    with ThreadPoolExecutor(workers) as pool:
        for image_id in image_ids:
            try:
                waiting.append((image_id, pool.submit(work, reader.read(image_id))))
            except ImageError as error:
                failed(image_id, error)
            if len(waiting) > 4 * workers:
                yield from collect()
        while waiting:
            yield from collect()


def by_size(rows: Rows, options: FilterOptions, sizes: pl.DataFrame) -> Iterator[Found]:
    """Resolution and aspect ratio.

    Args:
        rows: Samples.
        options: Their thresholds.
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
        values = per_sample(rows, facts, "aspect", "max")
        yield Found(
            "aspect_ratio",
            f"longer side over {options.max_aspect:g} times the shorter",
            values,
            high(values, options.max_aspect),
            cut=options.max_aspect,
            unit="longer side / shorter side",
        )


def _resolution(rows: Rows, options: FilterOptions, facts: pl.DataFrame) -> Found:
    side = per_sample(rows, facts, "side", "min")
    least = per_sample(rows, facts, "pixels", "min")
    most = per_sample(rows, facts, "pixels", "max")
    removes, rule = np.zeros(len(rows), dtype=bool), []
    if options.min_side is not None:
        removes |= low(side, options.min_side)
        rule.append(f"shorter side below {options.min_side}")
    if options.min_pixels is not None:
        removes |= low(least, options.min_pixels)
        rule.append(f"fewer than {options.min_pixels:,} pixels")
    if options.max_pixels is not None:
        removes |= high(most, options.max_pixels)
        rule.append(f"more than {options.max_pixels:,} pixels")
    by_side = options.min_side is not None
    values = side if by_side else least if options.min_pixels is not None else most
    cut = options.min_side if by_side else options.min_pixels or options.max_pixels
    return Found(
        "resolution", " or ".join(rule), values, removes, cut=cut,
        low_goes=by_side or options.min_pixels is not None,
        unit="shorter side, pixels" if by_side else "pixels",
    )  # fmt: skip


def by_look(rows: Rows, options: FilterOptions, looks: dict[str, Look]) -> Iterator[Found]:
    """Blank, little information, blur."""
    import polars as pl

    facts = pl.DataFrame(
        {
            "image_id": list(looks),
            **{
                name: pl.Series([getattr(x, name) for x in looks.values()], dtype=pl.Float64)
                for name in ("std", "entropy", "sharpness")
            },
        },
        schema_overrides={"image_id": pl.String},
    ).with_columns(pl.col("sharpness").fill_nan(None))
    for name, column, least, unit in (
        ("blank_image", "std", options.min_std, "standard deviation of the colours"),
        ("low_information", "entropy", options.min_entropy, "entropy of the grey values, bits"),
        ("blur", "sharpness", options.min_sharpness, "sharpness"),
    ):
        if least is not None:
            values = per_sample(rows, facts, column, "min")
            yield Found(
                name, f"{unit} below {least:g}", values, low(values, least),
                cut=least, low_goes=True, unit=unit,
            )  # fmt: skip


def unreadable(rows: Rows, failed: dict[str, ImageError]) -> Found:
    """Samples with an image that cannot be decoded."""
    import polars as pl

    facts = pl.DataFrame(
        {"image_id": list(failed), "bad": [1.0] * len(failed)},
        schema={"image_id": pl.String, "bad": pl.Float64},
    )
    values = per_sample(rows, facts, "bad", "sum")
    found = Found("unreadable_image", "an image that cannot be read", values, high(values, 0))
    for row in np.flatnonzero(found.removes).tolist():
        bad = [i for i in rows.samples["image_ids"][row].to_list() if i in failed]
        found.detail[row] = failed[bad[0]].reason
        found.where[row] = f"{bad[0][:12]}: {failed[bad[0]]}"
    return found


def per_sample(rows: Rows, facts: pl.DataFrame, column: str, how: str) -> pl.Series:
    """A value of images as one value a sample."""
    links = rows.samples.select("image_ids").with_row_index("row").explode("image_ids")
    found = links.join(facts.select("image_id", column), left_on="image_ids", right_on="image_id")
    return rows.spread(found, column, how)
