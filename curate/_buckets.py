"""Buckets of items that may match: by MinHash bands, by rare shingles where a band is crowded.

A long template round a short content makes buckets of thousands of items that are alike to some
degree, but below the threshold; comparing them all would be quadratic. Two sets at or above a
Jaccard threshold t share one of their rarest n - ceil(t n) + 1 elements, so within crowded buckets
only items that share a rare shingle are compared. That loses nothing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from curate._items import take_lists
from curate.minhash import Shingles, choose_bands, in_threads, n_threads, permutations

if TYPE_CHECKING:
    from curate._star import Items

CROWDED = 64


class Buckets(NamedTuple):
    """Buckets of every item.

    Attributes:
        at: Where each item's buckets start in `numbers`, and where the last ends.
        numbers: Bucket numbers; buckets of one item are left out.
        n_buckets: Number of buckets.
    """

    at: np.ndarray
    numbers: np.ndarray
    n_buckets: int


def find_buckets(items: Items, shingles: Shingles, threshold: float, num_perm: int) -> Buckets:
    """Buckets in which items that reach the threshold meet.

    Args:
        items: What is compared.
        shingles: Of `items.texts`.
        threshold: Least Jaccard coefficient.
        num_perm: Permutations.
    """
    bands = _band_buckets(items, shingles, threshold, num_perm)
    numbered = bands >= 0
    size = np.bincount(bands[numbered], minlength=1)
    crowded = np.flatnonzero(size > CROWDED)
    rows, rare = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    if len(crowded) and len(items.texts):
        in_crowd = numbered & (size > CROWDED)[bands]
        rows, rare = _rare_buckets(items, shingles, threshold, in_crowd.any(axis=0))
        numbered &= ~in_crowd
    item = np.r_[np.nonzero(numbered.T)[0], rows]
    number = np.r_[bands.T[numbered.T], rare + len(size)]
    order = np.argsort(item, kind="stable")
    at = np.zeros(len(items) + 1, dtype=np.int64)
    np.cumsum(np.bincount(item, minlength=len(items)), out=at[1:])
    count = int(number.max(initial=-1)) + 1
    return Buckets(at, number[order].astype(np.int64), count)


def _band_buckets(items: Items, shingles: Shingles, threshold: float, num_perm: int) -> np.ndarray:
    """Bucket of every band and item, -1 where it is alone in it."""
    from curate import _kernels_text as kernels

    if not len(items.texts):  # images only: one bucket a group
        keys = items.groups[None, :]
    else:
        bands, rows = choose_bands(threshold, num_perm)
        a, b = permutations(bands * rows)
        keys = np.empty((bands, len(items)), dtype=np.uint32)

        def work(first: int, last: int) -> None:
            kernels.fill_band_keys(
                shingles.values, shingles.at, items.texts_at, items.texts, items.groups,
                a, b, rows, first, last, keys,
            )  # fmt: skip

        in_threads(work, len(items))
    out = np.empty(keys.shape, dtype=np.int32)
    with ThreadPoolExecutor(n_threads()) as pool:
        counts = list(pool.map(lambda band: _number(keys[band], out[band]), range(len(keys))))
    start = 0
    for band, count in enumerate(counts):
        out[band][out[band] >= 0] += start
        start += count
    return out


def _number(keys: np.ndarray, out: np.ndarray) -> int:
    """Number the keys that occur more than once; others get -1."""
    if not len(keys):
        return 0
    order = np.argsort(keys)
    ordered = keys[order]
    run = np.cumsum(np.r_[False, ordered[1:] != ordered[:-1]])
    shared = np.bincount(run) > 1
    number = np.where(shared, np.cumsum(shared) - 1, -1).astype(np.int32)
    out[order] = number[run]
    return int(shared.sum())


def _rare_buckets(
    items: Items, shingles: Shingles, threshold: float, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Items of crowded buckets in buckets by their rare shingles.

    Returns:
        Item and bucket of every entry.
    """
    from curate import _kernels_text as kernels

    rows = np.flatnonzero(chosen)
    at, places = take_lists(items.texts_at, rows)
    turn = np.arange(len(places)) - np.repeat(at[:-1], np.diff(at))
    starts, elements = take_lists(shingles.at, items.texts[places])
    values = shingles.values[elements]
    kernels.tag_all(values, np.repeat(turn, np.diff(starts)))
    set_at = starts[at]
    owner = np.repeat(np.arange(len(rows)), np.diff(set_at))
    _, element, frequency = np.unique(values, return_inverse=True, return_counts=True)
    order = np.lexsort((element, frequency[element], owner))  # rarest first within each set
    place = np.arange(len(owner)) - set_at[owner]
    length = np.diff(set_at)
    prefix = length - np.ceil(threshold * length - 1e-9).astype(np.int64) + 1
    first = place < prefix[owner]
    owner, element = owner[first], element[order][first]
    keys = (element.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ items.groups[rows[owner]]
    number = np.empty(len(keys), dtype=np.int32)
    _number(keys, number)
    shared = number >= 0
    return rows[owner[shared]], number[shared].astype(np.int64)
