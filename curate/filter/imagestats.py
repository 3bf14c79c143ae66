"""What decoded images are like: spread of the colors, entropy, sharpness.

Every distinct image is decoded once, shrunk to one size, in threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pairwright.commands.progress import Progress
from pairwright.images import ImageError, open_image

if TYPE_CHECKING:
    from PIL import Image

    from pairwright.images import ImageReader

# Images are measured at no more pixels than this, so that one threshold fits all sizes.
WORK_PIXELS = 512 * 384
_TILE = 32
_SHARPEST = 10  # one tile of so many


@dataclass(frozen=True, slots=True)
class ImageStats:
    """What was measured of one decoded image."""

    std: float
    entropy: float
    sharpness: float


def measure(image: Image.Image) -> ImageStats:
    """Measure an image that is shrunk to `WORK_PIXELS` already."""
    from PIL import ImageStat

    grey = image.convert("L")
    return ImageStats(
        std=float(max(ImageStat.Stat(image).stddev)),
        entropy=float(grey.entropy()),
        sharpness=sharpness(np.asarray(grey, dtype=np.float32)),
    )


def sharpness(grey: np.ndarray) -> float:
    """Variance of the Laplacian over the variance of the grey values, in the sharpest tiles.

    The Laplacian's variance alone calls every fog, sky and plain drawing blurred. Divided by the
    contrast it measures how sudden the edges are, however many there are; and since an image with
    one thing in focus is not blurred, only the 10 % of the tiles with the most edges count.
    """
    if min(grey.shape) < 3:
        return float("nan")
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    size = min(_TILE, max(8, min(inner.shape) // 4))
    edges, contrast = _tile_variance(laplacian, size), _tile_variance(inner, size)
    count = max(1, len(edges) // _SHARPEST)
    best = np.argpartition(edges, -count)[-count:]
    # Eight-bit rounding alone gives a flat tile a variance of about 0.08.
    return float(np.mean(edges[best] / np.maximum(contrast[best], 1.0)))


def _tile_variance(values: np.ndarray, size: int) -> np.ndarray:
    rows, columns = values.shape[0] // size, values.shape[1] // size
    if not rows or not columns:
        return np.array([values.var()])
    tiles = values[: rows * size, : columns * size].reshape(rows, size, columns, size)
    mean = tiles.mean(axis=(1, 3), dtype=np.float64)
    square = np.einsum("isjt,isjt->ij", tiles, tiles, dtype=np.float64) / size**2
    return np.asarray(np.maximum(square - mean**2, 0.0).ravel())


def measure_all(
    reader: ImageReader,
    image_ids: list[str],
    workers: int,
    failed: Callable[[str, ImageError], None],
) -> dict[str, ImageStats]:
    """Decode and measure images, some ahead, in threads.

    Args:
        reader: Where their bytes are.
        image_ids: Distinct ids.
        workers: Threads; decoding leaves the interpreter's lock.
        failed: Called with every image that cannot be read.
    """
    known = [i for i in image_ids if i in reader]
    for image_id in image_ids:
        if image_id not in reader:
            failed(image_id, ImageError("missing_image", "not in the images table"))
    found: dict[str, ImageStats] = {}
    with Progress("measuring images", len(known), unit="images") as progress:
        for image_id, stats in _measured(
            reader, sorted(known, key=reader.sort_key), workers, failed
        ):
            found[image_id] = stats
            progress.advance()
    return found


def _measured(
    reader: ImageReader,
    image_ids: list[str],
    workers: int,
    failed: Callable[[str, ImageError], None],
) -> Iterator[tuple[str, ImageStats]]:
    def work(content: bytes) -> ImageStats:
        return measure(open_image(content, fit=WORK_PIXELS))

    waiting: deque[tuple[str, Future[ImageStats]]] = deque()

    def collect() -> Iterator[tuple[str, ImageStats]]:
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
