"""Copies of images: pairs with near perceptual hashes whose pixels agree.

The hash alone would remove good rows (a quarter of the 4,000 distinct images of easy-vqa have
another one at hash distance 0), so it only proposes candidates. Both images are then decoded and
resized to one size. Compression and resizing change every pixel a little, while a detail that was
moved, recolored or rewritten changes one region much. The limits are measured: none of 21,001 pairs
of distinct easy-vqa images with near hashes passes; all copies of photographs pass that are JPEG or
WebP of quality 50 or better, or resized by a factor from 0.25 to 2.

In a large group of images with similar hashes and colors, each image is compared with at most
`PARTNERS` images whose mean colors agree closely and as many others, lowest numbers first: callers
give the preferred images the lowest numbers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.near.images.hamming import HashIndex, hamming_pairs
from curate.near.images.pixels import ENOUGH, GRID_LIMITS, confirm_pairs, read_thumbnails
from curate.near.lists import offsets
from curate.near.threads import n_threads
from pairwright.commands.progress import say

DISTANCE = 8
PARTNERS = 16
_MIN_PRINTED, _SLOW_SECONDS = 1000, 3
_MAX_LISTED = 16_000_000
_Pairs = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class Copies:
    """Pairs of images that are copies.

    Attributes:
        a: [p] lower number of each pair, sorted.
        b: [p] higher number.
        similarity: [p] 1 - mean absolute difference of the pixels / 255.
        n_near_hash: Images whose hash is near that of another image.
        n_compared: Pairs whose pixels were compared.
        n_crowded: Images that have more similar images than were compared, and fewer copies among
            them than `ENOUGH`: copies of these may be missing.
        unreadable: Images that cannot be decoded; they match nothing.
    """

    a: np.ndarray
    b: np.ndarray
    similarity: np.ndarray
    n_near_hash: int
    n_compared: int
    n_crowded: int
    unreadable: tuple[int, ...]


def find_copies(
    hashes: np.ndarray,
    read: Callable[[int], bytes],
    *,
    distance: int = DISTANCE,
    order: Callable[[int], Any] = lambda number: number,
    across: int | None = None,
) -> Copies:
    """Find the pairs of images that are copies.

    Args:
        hashes: [n] perceptual hash of each image.
        read: Returns the bytes of an image by number; called for candidates only.
        distance: Max bits in which the hashes of candidates differ.
        order: Sort key of image numbers in the order that is cheapest to read.
        across: Only pairs of an image below this number and one at or above it; all by default.
    """
    from curate.near.kernels import image as kernels

    n = len(hashes)
    bucket, wanted, near = _near(hashes, distance, across)
    candidates = sorted(np.flatnonzero(wanted[bucket]).tolist(), key=order)
    if len(candidates) > _MIN_PRINTED:
        say(f"reading {len(candidates):,} of {n:,} images, which have near hashes")
    thumbnails = read_thumbnails(n, candidates, read)
    # Stable: within a bucket and a shade the images are in order of their numbers.
    members = np.lexsort((thumbnails.shades, bucket)).astype(np.int32)
    starts = offsets(np.bincount(bucket, minlength=len(wanted)))
    counts = np.zeros((len(candidates), 2), dtype=np.int32)
    partners = np.empty((len(candidates), 2, PARTNERS), dtype=np.int32)
    truncated = np.zeros(n, dtype=bool)
    for pairs in near():
        kernels.likely_pairs(
            *pairs, starts, members, (*thumbnails, GRID_LIMITS), counts, partners, truncated
        )
    a = partners[np.arange(PARTNERS) < counts[:, :, None]]
    b = np.repeat(np.array(candidates, dtype=np.int32), counts.sum(axis=1))
    if len(a) > _MIN_PRINTED:
        say(f"comparing the pixels of {len(a):,} pairs of similar images")
    position = np.empty(n, dtype=np.int64)
    position[candidates] = np.arange(len(candidates))
    similarity, compared = confirm_pairs(a, b, read, position)
    good = np.flatnonzero(similarity >= 0)
    good = good[np.lexsort((b[good], a[good]))]
    unreadable = tuple(i for i in candidates if math.isnan(thumbnails.aspects[i]))
    crowded = truncated & (np.bincount(b[good], minlength=n) < ENOUGH)
    n_crowded = int(crowded.sum())
    return Copies(
        a[good], b[good], similarity[good], len(candidates), compared, n_crowded, unreadable
    )


def _near(
    hashes: np.ndarray, distance: int, across: int | None
) -> tuple[np.ndarray, np.ndarray, Callable[[], Iterator[_Pairs]]]:
    """Buckets of images with equal hashes, and the pairs of buckets whose hashes are near.

    Args:
        hashes: [n] hash of each image.
        distance: Max bits in which near hashes differ.
        across: Only pairs of an image below this number and one at or above it.

    Returns:
        [n] bucket of each image; for each bucket whether it is in a pair; a function that yields
        the pairs in batches (a bucket of several images is paired with itself).
    """
    distinct, bucket = np.unique(hashes, return_inverse=True)
    if across is not None:
        low, high, bucket = _pairs_across(distinct, bucket, distance, across)
        wanted = np.zeros(int(bucket.max(initial=-1)) + 1, dtype=bool)
        wanted[low] = wanted[high] = True
        return bucket, wanted, lambda: iter([(low, high)])
    index = HashIndex(distinct, distance)
    if index.seconds > _SLOW_SECONDS * n_threads():
        say(f"near hashes of {len(distinct):,}: about {index.seconds / n_threads():,.0f} s")
    wanted = np.bincount(bucket, minlength=len(distinct)) > 1
    shared = np.flatnonzero(wanted).astype(np.int32)
    first: list[_Pairs] = [(shared, shared)]
    for pairs in index.pairs():
        first.append(pairs)
        if sum(len(a) for a, _ in first) > _MAX_LISTED:
            # Too many to keep in memory: they are searched again when they are needed.
            wanted |= index.has_near()
            return bucket, wanted, lambda: itertools.chain(first[:1], index.pairs())
    for a, b in first:
        wanted[a] = wanted[b] = True
    return bucket, wanted, lambda: iter(first)


def _pairs_across(
    distinct: np.ndarray, inverse: np.ndarray, distance: int, first: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of near hashes of two sets of images, and the bucket of each image.

    A bucket contains the images of one set with one hash. The hashes of the smaller set are looked
    up, so that pairs within the larger set are never made.

    Args:
        distinct: [h] distinct hashes.
        inverse: [n] hash of each image, as a position in `distinct`.
        distance: Max bits in which near hashes differ.
        first: First image of the second set.
    """
    n = len(distinct)
    of_set = np.zeros((2, n), dtype=bool)  # whether each set has each hash
    of_set[0, inverse[:first]] = of_set[1, inverse[first:]] = True
    small = of_set[int(of_set[0].sum() > of_set[1].sum())]
    # The hashes of the smaller set come first.
    order = np.r_[np.flatnonzero(small), np.flatnonzero(~small)]
    a, b = hamming_pairs(distinct[order], distance, last=int(small.sum()))
    both = np.flatnonzero(of_set[0] & of_set[1])
    a, b = np.r_[order[a], both], np.r_[order[b], both]
    forth, back = of_set[0, a] & of_set[1, b], of_set[0, b] & of_set[1, a] & (a != b)
    low, high = np.r_[a[forth], b[back]], np.r_[b[forth], a[back]] + n
    bucket = inverse + n * (np.arange(len(inverse)) >= first)
    return low.astype(np.int32), high.astype(np.int32), bucket
