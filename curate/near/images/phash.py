"""Images that are the same picture: near perceptual hashes, confirmed by their pixels.

The hash alone would delete good rows (in easy-vqa a quarter of 4,000 distinct images have another
at hash distance 0), so it only proposes. Both pictures are then decoded and brought to one size;
what recompression and resizing change stays small everywhere, while a moved, recoloured or
rewritten detail stands out in the field where it is. The limits were measured: none of 21,001
pairs of distinct easy-vqa images with near hashes passes, all copies of photos in JPEG or WebP
quality 50 and better or resized to a quarter up to the double do.

Of a crowd of images with like hashes and colours, each is compared with `PARTNERS` whose coarse
colours agree closely and as many others at most, those of lowest number first: a caller numbers
images so that the preferred ones come first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.near.images.hamming import HashIndex, hamming_pairs
from curate.near.images.pixels import ENOUGH, GRID_MOST, confirm, look_at, same_picture
from curate.near.text.minhash import n_threads
from pairwright.commands.progress import say

__all__ = ["DISTANCE", "PARTNERS", "SamePictures", "hamming_pairs", "same_picture", "same_pictures"]

DISTANCE = 8
PARTNERS = 16


@dataclass(frozen=True, slots=True)
class SamePictures:
    """Confirmed pairs of images.

    Attributes:
        a: Lower number of each pair, sorted.
        b: Higher number.
        similarity: 1 - mean absolute difference of the pixels / 255.
        n_near_hash: Images whose hash is near another's.
        n_compared: Pairs whose pixels were compared.
        n_crowded: Images that were not compared with all that look alike, and are not the same
            picture as enough of those: doubles of them may be missed.
        unreadable: Images that could not be decoded; they match nothing.
    """

    a: np.ndarray
    b: np.ndarray
    similarity: np.ndarray
    n_near_hash: int
    n_compared: int
    n_crowded: int
    unreadable: tuple[int, ...]


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
    from curate.near.kernels import image as kernels

    n = len(hashes)
    bucket, wanted, near = _near(hashes, distance, across)
    candidates = sorted(np.flatnonzero(wanted[bucket]).tolist(), key=order)
    if len(candidates) > _WORTH_A_LINE:
        say(f"{len(candidates):,} of {n:,} images have a hash near another's: looking at them")
    look = look_at(n, candidates, read)
    members = np.lexsort((look.shades, bucket)).astype(np.int32)  # stable: by number within a shade
    starts = np.zeros(len(wanted) + 1, dtype=np.int64)
    np.cumsum(np.bincount(bucket, minlength=len(wanted)), out=starts[1:])
    counts = np.zeros((len(candidates), 2), dtype=np.int32)
    partners = np.empty((len(candidates), 2, PARTNERS), dtype=np.int32)
    cut = np.zeros(n, dtype=bool)
    for pairs in near():
        kernels.likely_pairs(*pairs, starts, members, (*look, GRID_MOST), counts, partners, cut)
    filled = np.arange(PARTNERS) < counts[:, :, None]
    a = partners[filled]
    b = np.repeat(np.array(candidates, dtype=np.int32), counts.sum(axis=1))
    if len(a) > _WORTH_A_LINE:
        say(f"{len(a):,} pairs look alike: comparing their pixels")
    place = np.empty(n, dtype=np.int64)
    place[candidates] = np.arange(len(candidates))
    similarity, compared = confirm(a, b, read, place)
    good = np.flatnonzero(similarity >= 0)
    good = good[np.lexsort((b[good], a[good]))]
    unreadable = tuple(i for i in candidates if math.isnan(look.aspects[i]))
    missed = cut & (np.bincount(b[good], minlength=n) < ENOUGH)
    return SamePictures(
        a[good], b[good], similarity[good], len(candidates), compared, int(missed.sum()), unreadable
    )


_WORTH_A_LINE, _SLOW = 1000, 3
_LISTED = 16_000_000
_Pairs = tuple[np.ndarray, np.ndarray]


def _near(
    hashes: np.ndarray, distance: int, across: int | None
) -> tuple[np.ndarray, np.ndarray, Callable[[], Iterator[_Pairs]]]:
    """Bucket of every image, whether each bucket is near another or shared, and the near pairs.

    Buckets hold the images of one hash. The pairs come some at a time.
    """
    distinct, bucket = np.unique(hashes, return_inverse=True)
    if across is not None:
        low, high, bucket = _pairs_across(distinct, bucket, distance, across)
        wanted = np.zeros(int(bucket.max(initial=-1)) + 1, dtype=bool)
        wanted[low] = wanted[high] = True
        return bucket, wanted, lambda: iter([(low, high)])
    index = HashIndex(distinct, distance)
    if index.seconds > _SLOW * n_threads():
        say(f"near hashes of {len(distinct):,}: about {index.seconds / n_threads():,.0f} s")
    wanted = np.bincount(bucket, minlength=len(distinct)) > 1
    shared = np.flatnonzero(wanted).astype(np.int32)
    first: list[_Pairs] = [(shared, shared)]
    for pairs in index.pairs():
        first.append(pairs)
        if sum(len(a) for a, _ in first) > _LISTED:
            # Too many to keep: found again when they are needed.
            wanted |= index.has_near()
            return bucket, wanted, lambda: itertools.chain(first[:1], index.pairs())
    for a, b in first:
        wanted[a] = wanted[b] = True
    return bucket, wanted, lambda: iter(first)


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
