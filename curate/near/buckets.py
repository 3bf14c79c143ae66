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

from curate.near.spill import Spill
from curate.near.text.minhash import Shingles, choose_bands, in_threads, n_threads, permutations

if TYPE_CHECKING:
    from curate.near.star import Items

CROWDED = 64
# Counters of shingles in crowded buckets; more shingles share them, which loses nothing.
_MOST_COUNTERS = 1 << 26


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


def find_buckets(
    items: Items, shingles: Shingles, threshold: float, num_perm: int, spill: Spill
) -> Buckets:
    """Buckets in which items that reach the threshold meet.

    Args:
        items: What is compared.
        shingles: Of `items.texts`.
        threshold: Least Jaccard coefficient.
        num_perm: Permutations.
        spill: Where large arrays go.
    """
    from curate.near.kernels import bucket as kernels

    bands, n_buckets = _band_buckets(items, shingles, threshold, num_perm, spill)
    n = len(items)
    size = np.zeros(n_buckets, dtype=np.int32)
    kernels.count_sizes(bands, size)
    counts, crowd = np.zeros(n, dtype=np.int32), np.zeros(n, dtype=np.bool_)
    most = CROWDED if len(items.texts) else max(n, 1)
    kernels.count_entries(bands, size, most, counts, crowd)
    rare_at, rare, n_rare = _rare_buckets(items, shingles, threshold, np.flatnonzero(crowd))
    at = np.zeros(n + 1, dtype=np.int64)
    counts[crowd] += np.diff(rare_at).astype(np.int32)
    np.cumsum(counts, out=at[1:])
    numbers = spill.empty((int(at[-1]),), np.int32)
    cursor = at[:-1].copy()
    kernels.fill_entries(bands, size, most, cursor, numbers)
    kernels.place_lists(np.flatnonzero(crowd), rare_at, rare, n_buckets, cursor, numbers)
    return Buckets(at, numbers, n_buckets + n_rare)


def _band_buckets(
    items: Items, shingles: Shingles, threshold: float, num_perm: int, spill: Spill
) -> tuple[np.ndarray, int]:
    """Bucket of every band and item, -1 where it is alone in it, and the number of buckets."""
    from curate.near.kernels import text as kernels

    if not len(items.texts):  # images only: one bucket a group
        keys = (items.groups[None, :] * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
        keys = keys.astype(np.uint32)
    else:
        bands, rows = choose_bands(threshold, num_perm)
        a, b = permutations(bands * rows)
        keys = spill.empty((bands, len(items)), np.uint32)

        def work(first: int, last: int) -> None:
            kernels.fill_band_keys(
                shingles.values, shingles.at, items.texts_at, items.texts, items.groups,
                a, b, rows, first, last, keys,
            )  # fmt: skip

        in_threads(work, len(items))
    out = keys.view(np.int32)
    with ThreadPoolExecutor(n_threads()) as pool:
        counts = list(pool.map(lambda band: _number(keys[band], out[band]), range(len(keys))))
    start = 0
    for band, count in enumerate(counts):
        if start:
            out[band][out[band] >= 0] += start
        start += count
    return out, start


def _number(keys: np.ndarray, out: np.ndarray) -> int:
    """Number the keys that occur more than once; others get -1. `out` may be `keys` itself."""
    from curate.near.kernels import bucket as kernels

    if not len(keys):
        return 0
    bits = min(32, max(10, (8 * len(keys)).bit_length()))
    seen = np.zeros(1 << (bits - 2), dtype=np.uint8)
    places = np.empty(len(keys) + 1, dtype=np.int32)
    places = places[: kernels.maybe_shared(keys, np.uint32(32 - bits), seen, places)]
    some = keys[places]
    order = np.argsort(some)
    ordered = some[order]
    starts = np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)]
    # An entry shares its key if it does not start a run, or the next entry does not.
    shared = ~starts
    shared[:-1] |= ~starts[1:]
    number = np.cumsum(starts & shared, dtype=np.int32)
    count = int(number[-1]) if len(number) else 0
    out[:] = -1
    out[places[order[shared]]] = number[shared] - 1
    return count


def _rare_buckets(
    items: Items, shingles: Shingles, threshold: float, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Items of crowded buckets in buckets by their rare shingles.

    Returns:
        Where each of the rows' buckets start, bucket numbers, and how many there are.
    """
    from curate.near.kernels import bucket as kernels

    prefix_at = np.zeros(len(rows) + 1, dtype=np.int64)
    if not len(rows):
        return prefix_at, np.empty(0, dtype=np.int32), 0
    sets = (shingles.values, shingles.at, items.texts_at, items.texts)
    length = np.zeros(len(rows), dtype=np.int64)
    kernels.set_sizes(*sets[1:], rows, length)
    slots = 1 << min(int(length.sum()) * 2 - 1, _MOST_COUNTERS - 1).bit_length()
    counter = np.zeros(max(slots, 1024), dtype=np.uint32)
    kernels.count_shingles(*sets, rows, counter)
    np.cumsum(length - np.ceil(threshold * length - 1e-9).astype(np.int64) + 1, out=prefix_at[1:])
    keys = np.empty(prefix_at[-1], dtype=np.uint32)

    def work(first: int, last: int) -> None:
        kernels.rarest(
            *sets, items.groups, rows[first:last], counter, prefix_at[first : last + 1],
            int(length.max()), keys,
        )  # fmt: skip

    in_threads(work, len(rows))
    number = keys.view(np.int32)
    count = _number(keys, number)
    shared = number >= 0
    kept = np.zeros(len(keys) + 1, dtype=np.int64)
    np.cumsum(shared, out=kept[1:])
    return kept[prefix_at], number[shared], count
