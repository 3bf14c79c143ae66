"""Whether two pictures are the same, by their pixels; the limits are explained in `curate.near.images.phash`."""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from curate.near.text.minhash import n_threads
from pairwright.commands.progress import Progress
from pairwright.images import ImageError, open_image

if TYPE_CHECKING:
    from PIL import Image

# Pictures are compared at this many pixels a side at most, and at two thirds of the smaller one if
# their sizes differ, where the blur of scaling no longer tells.
_SIDE, _SCALE = 512, 0.67
# Most that the medians of lightness and colour may differ, then the worst 4 x 4 and 8 x 8 field in
# lightness and 16 x 16 field in colour (levels of 255).
_LIMITS = np.array([2.0, 2.0, 2.0, 12.0, 8.0, 11.0])
# Most that the mean colours of the 8 x 8 parts of likely pictures differ. Much for a part: of small
# pictures with hard edges, copies scaled by a few pixels were seen to differ by 25.
GRID_MOST = np.array([32, 40, 40], dtype=np.int64)
# Width of the classes of lightness; copies differ by 2 in the middle of all pixels.
_SHADE = 16
# Pixels that an image is decoded to where only its coarse colours are wanted.
_COARSE = 256 * 256
_CACHED_BYTES = 256 << 20
_BATCH = 192
# An image that is the same picture as so many others of lower number is not compared with more.
ENOUGH = 8


class Look(NamedTuple):
    """Coarse looks of images.

    Attributes:
        shades: Class of lightness of every image.
        rows: Row of every image in the grids, -1 where it was not asked for or cannot be read.
        grids: Mean colours of the parts.
        aspects: Logarithm of width / height; not-a-number where it cannot be read.
    """

    shades: np.ndarray
    rows: np.ndarray
    grids: np.ndarray
    aspects: np.ndarray


def same_picture(one: Image.Image, other: Image.Image) -> float:
    """Similarity of two images if they show the same picture, else -1."""
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


def look_at(n: int, candidates: Sequence[int], read: Callable[[int], bytes]) -> Look:
    """Coarse colours of candidates, to spare most comparisons.

    Args:
        n: Number of images.
        candidates: Those that are looked at, in the order in which they are read.
        read: Gives the bytes of an image by number.
    """
    from curate.near.kernels.image import GRID

    rows = np.full(n, -1, dtype=np.int32)
    grids = np.zeros((len(candidates), GRID * GRID * 3), dtype=np.uint8)
    aspects = np.full(n, np.nan, dtype=np.float32)

    def look(row: int, content: bytes) -> None:
        from PIL.Image import Resampling

        try:
            image = open_image(content, fit=_COARSE)
        except ImageError:
            return
        small = image.resize((GRID, GRID), Resampling.BOX).convert("YCbCr")
        grids[row] = np.asarray(small).ravel()
        aspects[candidates[row]] = _aspect(image.size)
        rows[candidates[row]] = row

    with Progress("looking at images", len(candidates), unit="images") as progress:
        for _ in _in_order(look, ((row, i, read) for row, i in enumerate(candidates))):
            progress.advance()
    shades = np.full(n, 255, dtype=np.uint8)
    known = np.flatnonzero(rows >= 0)
    for first in range(0, len(known), 65_536):
        part = known[first : first + 65_536]
        shades[part] = grids[rows[part], ::3].mean(axis=1) / _SHADE
    return Look(shades, rows, grids, aspects)


def _in_order(
    work: Callable[[int, bytes], None], jobs: Iterator[tuple[int, int, Callable[[int], bytes]]]
) -> Iterator[None]:
    """Read here, work in threads, a bounded number of files in memory."""
    with ThreadPoolExecutor(n_threads()) as pool:
        waiting: list[Future[None]] = []
        for row, number, read in jobs:
            try:
                content = read(number)
            except ImageError:
                yield
                continue
            waiting.append(pool.submit(work, row, content))
            if len(waiting) >= 4 * n_threads():
                waiting.pop(0).result()
                yield
        for one in waiting:
            one.result()
            yield


def confirm(
    a: np.ndarray, b: np.ndarray, read: Callable[[int], bytes], place: np.ndarray
) -> tuple[np.ndarray, int]:
    """Similarity of pairs of images, -1 where their pixels differ or were not compared.

    Args:
        a: Lower numbers.
        b: Higher numbers; an image is compared with its lower ones in order, until it is the same
            picture as `ENOUGH` of them.
        read: Gives the bytes of an image by number.
        place: Of every image in the order in which reading is cheapest.

    Returns:
        The similarities, and the number of pairs that were compared.
    """
    out = np.full(len(a), -1.0)
    order = np.lexsort((a, b, place[b])) if len(a) else np.empty(0, dtype=np.int64)
    bounds = np.flatnonzero(np.r_[True, np.diff(b[order]) != 0, True]) if len(a) else [0]
    groups = [order[x:y] for x, y in itertools.pairwise(bounds)]
    compared = 0
    with (
        ThreadPoolExecutor(n_threads()) as pool,
        Progress("comparing pixels", len(a), unit="pairs") as progress,
    ):
        shelf = _Shelf(pool, read, place)
        for batch in _batches(groups, a):
            pictures = shelf.take({int(i) for group in batch for i in (b[group[0]], *a[group])})

            def work(group: np.ndarray, pictures: _Pictures = pictures) -> int:
                return _compare(group, a, b, pictures, out)

            compared += sum(pool.map(work, batch))
            progress.advance(sum(len(group) for group in batch))
    return out, compared


_Pictures = dict[int, "Image.Image | None"]


def _compare(
    group: np.ndarray, a: np.ndarray, b: np.ndarray, pictures: _Pictures, out: np.ndarray
) -> int:
    """Compare one image with its lower ones; returns how many."""
    other, same = pictures[int(b[group[0]])], 0
    if other is None:
        return 0
    for done, k in enumerate(group.tolist()):
        if same == ENOUGH:
            return done
        one = pictures[int(a[k])]
        if one is not None:
            out[k] = same_picture(one, other)
            same += out[k] >= 0
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


class _Shelf:
    """Decoded images, the last used ones, in bounded memory."""

    def __init__(self, pool: Executor, read: Callable[[int], bytes], place: np.ndarray) -> None:
        self._pool, self._read, self._place = pool, read, place
        self._images: OrderedDict[int, Image.Image | None] = OrderedDict()
        self._bytes = 0

    def take(self, numbers: set[int]) -> _Pictures:
        """Images by number, `None` where one cannot be read."""
        missing = sorted(numbers - self._images.keys(), key=lambda i: self._place[i])
        for first in range(0, len(missing), 32):
            part = missing[first : first + 32]
            contents = [self._content(i) for i in part]
            for i, image in zip(part, self._pool.map(_decoded, contents), strict=True):
                self._images[i] = image
                self._bytes += _size(image)
        taken: _Pictures = {}
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
    """Large pictures made small enough to keep some hundred in memory."""
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
