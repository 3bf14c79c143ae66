"""Compare the pixels of two images; `curate.near.images.copies` explains the limits."""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from curate.near.threads import n_threads
from pairwright.commands.progress import Progress
from pairwright.images import ImageError, open_image

if TYPE_CHECKING:
    from PIL import Image

# Images are compared at this many pixels per side at most, and at two thirds of the smaller one if
# their sizes differ: there the blur of resizing has no effect.
_SIDE, _SCALE = 512, 0.67
# Max differences of the medians of lightness and colors, then of the worst 4 x 4 and 8 x 8 field in
# lightness and the worst 16 x 16 field in color (levels of 255).
_LIMITS = np.array([2.0, 2.0, 2.0, 12.0, 8.0, 11.0])
# Max difference of the mean colors of the 8 x 8 parts of candidates. Large for a part: small images
# with hard edges were seen to differ by 25 from copies resized by a few pixels.
GRID_LIMITS = np.array([32, 40, 40], dtype=np.int64)
# Width of the classes of lightness; the medians of copies differ by at most 2.
_SHADE = 16
# Pixels to which an image is decoded for its thumbnail.
_THUMBNAIL_PIXELS = 256 * 256
_CACHED_BYTES = 256 << 20
_BATCH = 192
# An image with this many copies of lower number is not compared with more images.
ENOUGH = 8


class Thumbnails(NamedTuple):
    """Mean colors of n images, computed for some of them.

    Attributes:
        shades: [n] class of lightness.
        rows: [n] row of each image in `grids`; -1 if it was not read or cannot be read.
        grids: [m, 8 * 8 * 3] mean colors of 8 x 8 parts.
        aspects: [n] logarithm of width / height; NaN if the image was not read or cannot be read.
    """

    shades: np.ndarray
    rows: np.ndarray
    grids: np.ndarray
    aspects: np.ndarray


def copy_similarity(one: Image.Image, other: Image.Image) -> float:
    """Similarity of two images if they are copies, else -1."""
    from curate.near.kernels import image as kernels

    if not abs(_aspect(one.size) - _aspect(other.size)) <= 0.05:
        return -1.0
    size = _common_size(one.size, other.size)
    out = np.empty(7)
    if not kernels.difference(_pixels(one, size), _pixels(other, size), _LIMITS, out):
        return -1.0
    return 1.0 - float(out[6]) / 255


def _aspect(size: tuple[int, int]) -> float:
    return math.log(size[0] / size[1])


def _common_size(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    width, height = min(one[0], other[0]), min(one[1], other[1])
    scale = min(1.0, _SIDE / max(width, height), 1.0 if one == other else _SCALE)
    return max(8, round(width * scale)), max(8, round(height * scale))


def _pixels(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    from PIL.Image import Resampling

    if image.size != size:
        image = image.resize(size, Resampling.BILINEAR)
    return np.asarray(image.convert("YCbCr"))


def read_thumbnails(n: int, candidates: Sequence[int], read: Callable[[int], bytes]) -> Thumbnails:
    """Compute the mean colors of candidates, which rule out most comparisons.

    Args:
        n: Number of images.
        candidates: Images to read, in this order.
        read: Returns the bytes of an image by number.
    """
    from curate.near.kernels.image import GRID

    rows = np.full(n, -1, dtype=np.int32)
    grids = np.zeros((len(candidates), GRID * GRID * 3), dtype=np.uint8)
    aspects = np.full(n, np.nan, dtype=np.float32)

    def compute(row: int, content: bytes) -> None:
        from PIL.Image import Resampling

        try:
            image = open_image(content, fit=_THUMBNAIL_PIXELS)
        except ImageError:
            return
        small = image.resize((GRID, GRID), Resampling.BOX).convert("YCbCr")
        grids[row] = np.asarray(small).ravel()
        aspects[candidates[row]] = _aspect(image.size)
        rows[candidates[row]] = row

    with Progress("reading similar images", len(candidates), unit="images") as progress:
        for _ in _in_order(compute, ((row, i, read) for row, i in enumerate(candidates))):
            progress.advance()
    shades = np.full(n, 255, dtype=np.uint8)
    known = np.flatnonzero(rows >= 0)
    for first in range(0, len(known), 65_536):
        part = known[first : first + 65_536]
        shades[part] = grids[rows[part], ::3].mean(axis=1) / _SHADE
    return Thumbnails(shades, rows, grids, aspects)


def _in_order(
    work: Callable[[int, bytes], None], jobs: Iterator[tuple[int, int, Callable[[int], bytes]]]
) -> Iterator[None]:
    """Read in this thread, work in others, with a bounded number of files in memory."""
    with ThreadPoolExecutor(n_threads()) as pool:
        running: list[Future[None]] = []
        for row, number, read in jobs:
            try:
                content = read(number)
            except ImageError:
                yield
                continue
            running.append(pool.submit(work, row, content))
            if len(running) >= 4 * n_threads():
                running.pop(0).result()
                yield
        for one in running:
            one.result()
            yield


def confirm_pairs(
    a: np.ndarray, b: np.ndarray, read: Callable[[int], bytes], position: np.ndarray
) -> tuple[np.ndarray, int]:
    """Similarity of p pairs of images; -1 if they are not copies or were not compared.

    Args:
        a: [p] lower numbers.
        b: [p] higher numbers. An image is compared with its partners of lower number in order,
            until it is a copy of `ENOUGH` of them.
        read: Returns the bytes of an image by number.
        position: Position of each image in the order that is cheapest to read.

    Returns:
        [p] similarities, and the number of pairs that were compared.
    """
    out = np.full(len(a), -1.0)
    order = np.lexsort((a, b, position[b])) if len(a) else np.empty(0, dtype=np.int64)
    bounds = np.flatnonzero(np.r_[True, np.diff(b[order]) != 0, True]) if len(a) else [0]
    groups = [order[x:y] for x, y in itertools.pairwise(bounds)]
    compared = 0
    with (
        ThreadPoolExecutor(n_threads()) as pool,
        Progress("comparing pixels", len(a), unit="pairs") as progress,
    ):
        cache = _ImageCache(pool, read, position)
        for batch in _batches(groups, a):
            images = cache.take({int(i) for group in batch for i in (b[group[0]], *a[group])})

            def work(group: np.ndarray, images: _Images = images) -> int:
                return _compare(group, a, b, images, out)

            compared += sum(pool.map(work, batch))
            progress.advance(sum(len(group) for group in batch))
    return out, compared


_Images = dict[int, "Image.Image | None"]


def _compare(
    group: np.ndarray, a: np.ndarray, b: np.ndarray, images: _Images, out: np.ndarray
) -> int:
    """Compare one image with its partners of lower number; returns the number of comparisons."""
    other, n_copies = images[int(b[group[0]])], 0
    if other is None:
        return 0
    for done, k in enumerate(group.tolist()):
        if n_copies == ENOUGH:
            return done
        one = images[int(a[k])]
        if one is not None:
            out[k] = copy_similarity(one, other)
            n_copies += out[k] >= 0
    return len(group)


def _batches(groups: list[np.ndarray], a: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Groups of pairs that need a bounded number of images."""
    batch: list[np.ndarray] = []
    needed: set[int] = set()
    for group in groups:
        more = {*a[group].tolist(), -len(batch) - 1}
        if batch and len(needed | more) > _BATCH:
            yield batch
            batch, needed = [], set()
        batch.append(group)
        needed |= more
    if batch:
        yield batch


class _ImageCache:
    """Least recently used cache of decoded images, in bounded memory."""

    def __init__(self, pool: Executor, read: Callable[[int], bytes], position: np.ndarray) -> None:
        self._pool, self._read, self._position = pool, read, position
        self._images: OrderedDict[int, Image.Image | None] = OrderedDict()
        self._bytes = 0

    def take(self, numbers: set[int]) -> _Images:
        """Images by number; None if an image cannot be read."""
        missing = sorted(numbers - self._images.keys(), key=lambda i: self._position[i])
        for first in range(0, len(missing), 32):
            part = missing[first : first + 32]
            contents = [self._content(i) for i in part]
            for i, image in zip(part, self._pool.map(_decoded, contents), strict=True):
                self._images[i] = image
                self._bytes += _size(image)
        taken: _Images = {}
        for i in numbers:
            self._images.move_to_end(i)
            taken[i] = self._images[i]
        while self._bytes > _CACHED_BYTES and len(self._images) > len(numbers):
            self._bytes -= _size(self._images.popitem(last=False)[1])
        return taken

    def _content(self, number: int) -> bytes | None:
        try:
            return self._read(number)
        except ImageError:
            return None


def _size(image: Image.Image | None) -> int:
    return 3 * image.width * image.height if image is not None else 0


def _decoded(content: bytes | None) -> Image.Image | None:
    """Decode an image; large images are reduced, so that hundreds fit into memory."""
    from PIL.Image import Resampling

    if content is None:
        return None
    try:
        image = open_image(content)
    except ImageError:
        return None
    scale = 2 * _SIDE / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Resampling.BOX)
