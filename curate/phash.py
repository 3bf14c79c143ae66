"""Images that are the same picture: near perceptual hashes, confirmed by their pixels.

The hash alone would delete good rows (in easy-vqa a quarter of 4,000 distinct images have another
at hash distance 0), so it only proposes. Both pictures are then decoded and brought to one size;
what recompression and resizing change stays small everywhere, while a moved, recoloured or
rewritten detail stands out in the field where it is. The limits were measured: none of 21,001
pairs of distinct easy-vqa images with near hashes passes, all copies of photos in JPEG or WebP
quality 50 and better or resized to a quarter up to the double do.
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.minhash import n_threads
from pairwright.images import ImageError, open_image
from pairwright.progress import Progress

if TYPE_CHECKING:
    from PIL import Image

DISTANCE = 8
# Pictures are compared at this many pixels a side at most, and at two thirds of the smaller one if
# their sizes differ, where the blur of scaling no longer tells.
_SIDE, _SCALE = 512, 0.67
# Most that the medians of lightness and colour may differ, then the worst 4 x 4 and 8 x 8 field in
# lightness and 16 x 16 field in colour (levels of 255).
_MEDIAN, _LIGHT4, _LIGHT8, _COLOUR16 = 2.0, 12.0, 8.0, 11.0
_GRID_MOST = np.array([12, 20, 20], dtype=np.int64)
_CACHED = 256


@dataclass(frozen=True, slots=True)
class SamePictures:
    """Confirmed pairs of images.

    Attributes:
        a: Lower number of each pair, sorted.
        b: Higher number.
        similarity: 1 - mean absolute difference of the pixels / 255.
        n_near_hash: Images whose hash is near another's.
        n_compared: Pairs whose pixels were compared.
        unreadable: Images that could not be decoded; they match nothing.
    """

    a: np.ndarray
    b: np.ndarray
    similarity: np.ndarray
    n_near_hash: int
    n_compared: int
    unreadable: tuple[int, ...]


def hamming_pairs(
    hashes: np.ndarray, distance: int, last: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of distinct 64-bit hashes at most `distance` bits apart, without comparing all.

    Args:
        hashes: The hashes.
        distance: Most bits in which two differ.
        last: Only pairs with one of the first `last` hashes; all if not given.
    """
    from curate import _kernels_image as kernels

    segments = 4 if distance < 8 else 5 if distance < 10 else 8
    bits, radius = -(-64 // segments), distance // segments
    starts = np.zeros((segments, (1 << bits) + 1), dtype=np.int64)
    order = np.empty((segments, len(hashes)), dtype=np.int32)
    kernels.index_segments(hashes, bits, starts, order)
    patterns = [
        sum(1 << bit for bit in chosen)
        for size in range(radius + 1)
        for chosen in itertools.combinations(range(bits), size)
    ]
    has = np.zeros(len(hashes), dtype=bool)
    none = np.empty(0, dtype=np.int32)
    arguments = (hashes, bits, starts, order, np.array(patterns), radius, distance)
    last = len(hashes) if last is None else last
    n = kernels.near_hashes(*arguments, 0, last, has, none, none)
    a, b = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32)
    if n:
        kernels.near_hashes(*arguments, 0, last, has, a, b)
    return a, b


def same_pictures(
    hashes: np.ndarray,
    read: Callable[[int], bytes],
    *,
    distance: int = DISTANCE,
    order: Callable[[int], Any] = lambda number: number,
    across: int | None = None,
) -> SamePictures:
    """Pairs of images that show the same picture.

    Args:
        hashes: Perceptual hash of every image.
        read: Gives the bytes of an image by number; is called for candidates only.
        distance: Most bits in which the hashes of candidates differ.
        order: Sort key of the cheapest order to read in.
        across: Only pairs of an image below this number with one that is not; all if not given.
    """
    from curate import _kernels_image as kernels

    distinct, inverse = np.unique(hashes, return_inverse=True)
    if across is None:
        near_a, near_b = hamming_pairs(distinct, distance)
    else:
        near_a, near_b, inverse = _pairs_across(distinct, inverse, distance, across)
    n_buckets = int(inverse.max(initial=-1)) + 1
    members = np.argsort(inverse, kind="stable").astype(np.int32)
    starts = np.zeros(n_buckets + 1, dtype=np.int64)
    np.cumsum(np.bincount(inverse, minlength=n_buckets), out=starts[1:])
    if across is None:
        shared = np.flatnonzero(np.diff(starts) > 1).astype(np.int32)
        near_a, near_b = np.r_[near_a, shared], np.r_[near_b, shared]
    wanted = np.zeros(n_buckets, dtype=bool)
    wanted[near_a] = wanted[near_b] = True
    candidates = sorted(np.flatnonzero(wanted[inverse]).tolist(), key=order)
    grids, aspects = _grids(len(hashes), candidates, read)
    none = np.empty(0, dtype=np.int32)
    arguments = (near_a, near_b, starts, members, grids, aspects, _GRID_MOST)
    n = kernels.likely_pairs(*arguments, none, none)
    a, b = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32)
    if n:
        kernels.likely_pairs(*arguments, a, b)
    similarity = _confirm(a, b, read)
    good = np.flatnonzero(similarity >= 0)
    good = good[np.lexsort((b[good], a[good]))]
    unreadable = tuple(i for i in candidates if math.isnan(aspects[i]))
    return SamePictures(a[good], b[good], similarity[good], len(candidates), n, unreadable)


def _pairs_across(
    distinct: np.ndarray, inverse: np.ndarray, distance: int, first: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Near pairs of hashes of two sets of images, and the bucket of every image.

    A bucket holds the images of one set with one hash. The smaller set's hashes are looked up, so
    that the pairs inside the larger set are never made.
    """
    n = len(distinct)
    mine = np.zeros((2, n), dtype=bool)
    mine[0, inverse[:first]] = mine[1, inverse[first:]] = True
    small = mine[int(mine[0].sum() > mine[1].sum())]
    # The smaller set's hashes come first.
    place = np.r_[np.flatnonzero(small), np.flatnonzero(~small)]
    a, b = hamming_pairs(distinct[place], distance, last=int(small.sum()))
    both = np.flatnonzero(mine[0] & mine[1])
    a, b = np.r_[place[a], both], np.r_[place[b], both]
    forth, back = mine[0, a] & mine[1, b], mine[0, b] & mine[1, a] & (a != b)
    low, high = np.r_[a[forth], b[back]], np.r_[b[forth], a[back]] + n
    bucket = inverse + n * (np.arange(len(inverse)) >= first)
    return low.astype(np.int32), high.astype(np.int32), bucket


def same_picture(one: Image.Image, other: Image.Image) -> float:
    """Similarity of two images if they show the same picture, else -1."""
    from curate import _kernels_image as kernels

    if not abs(_aspect(one.size) - _aspect(other.size)) <= 0.05:
        return -1.0
    size = _common_size(one.size, other.size)
    out = np.empty(7)
    kernels.difference(_pixels(one, size), _pixels(other, size), out)
    limits = (_MEDIAN, _MEDIAN, _MEDIAN, _LIGHT4, _LIGHT8, _COLOUR16)
    if any(value > limit for value, limit in zip(out[:6], limits, strict=True)):
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


def _grids(
    n: int, candidates: list[int], read: Callable[[int], bytes]
) -> tuple[np.ndarray, np.ndarray]:
    """Coarse colours and aspect of candidates, to spare most comparisons."""
    from curate._kernels_image import GRID

    grids = np.zeros((n, GRID * GRID * 3), dtype=np.uint8)
    aspects = np.full(n, np.nan)

    def look(number: int, content: bytes) -> None:
        from PIL.Image import Resampling

        try:
            image = open_image(content)
        except ImageError:
            return
        small = image.resize((GRID, GRID), Resampling.BOX).convert("YCbCr")
        grids[number] = np.asarray(small).ravel()
        aspects[number] = _aspect(image.size)

    with Progress("looking at images", len(candidates), unit="images") as progress:
        for _ in _in_order(look, ((i, read) for i in candidates)):
            progress.advance()
    return grids, aspects


def _in_order(
    work: Callable[[int, bytes], None], jobs: Iterator[tuple[int, Callable[[int], bytes]]]
) -> Iterator[None]:
    """Read here, work in threads, a bounded number of files in memory."""
    with ThreadPoolExecutor(n_threads()) as pool:
        waiting: list[Any] = []
        for number, read in jobs:
            try:
                content = read(number)
            except ImageError:
                yield
                continue
            waiting.append(pool.submit(work, number, content))
            if len(waiting) >= 4 * n_threads():
                waiting.pop(0).result()
                yield
        for one in waiting:
            one.result()
            yield


def _confirm(a: np.ndarray, b: np.ndarray, read: Callable[[int], bytes]) -> np.ndarray:
    """Similarity of every pair, -1 where the pixels differ."""
    out = np.full(len(a), -1.0)
    cache: OrderedDict[int, Image.Image | None] = OrderedDict()

    def picture(number: int) -> Image.Image | None:
        if number in cache:
            cache.move_to_end(number)
            return cache[number]
        try:
            cache[number] = _reduced(open_image(read(number)))
        except ImageError:
            cache[number] = None
        while len(cache) > _CACHED:
            cache.popitem(last=False)
        return cache[number]

    with Progress("comparing pixels", len(a), unit="pairs") as progress:
        for k in np.lexsort((b, a)):
            one, other = picture(int(a[k])), picture(int(b[k]))
            if one is not None and other is not None:
                out[k] = same_picture(one, other)
            progress.advance()
    return out


def _reduced(image: Image.Image) -> Image.Image:
    """Large pictures made small enough to keep some hundred in memory."""
    from PIL.Image import Resampling

    scale = 2 * _SIDE / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Resampling.BOX)
