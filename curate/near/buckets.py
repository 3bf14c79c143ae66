"""Buckets: items that may match share one. By MinHash bands, and by rare shingles in crowded bands.

A long template around a short text puts thousands of items into one bucket whose similarity is high
but below the threshold; to compare all of them would be quadratic. Two sets of n elements at or
above a Jaccard threshold t share one of their n - ceil(t n) + 1 rarest elements (prefix filtering),
so in a crowded bucket only items that share a rare shingle are compared. No match is lost.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from curate.near.items import Items
from curate.near.lists import offsets
from curate.near.spill import Spill
from curate.near.text.minhash import Shingles, choose_bands, permutations
from curate.near.threads import in_threads, n_threads

# A bucket with more items than this is crowded.
CROWDED = 64
# Max counters of shingles in crowded buckets; further shingles share them, which loses nothing.
_MAX_COUNTERS = 1 << 26


class Buckets(NamedTuple):
    """Buckets of n items.

    Attributes:
        at: [n + 1] offsets; the buckets of item i are `numbers[at[i] : at[i + 1]]`.
        numbers: Bucket numbers; buckets that hold one item only are omitted.
        n_buckets: Number of buckets.
    """

    at: np.ndarray
    numbers: np.ndarray
    n_buckets: int


def find_buckets(
    items: Items, shingles: Shingles, threshold: float, num_perm: int, spill: Spill
) -> Buckets:
    """Put items into buckets so that two items that reach the threshold share one.

    Args:
        items: The items.
        shingles: Shingles of the texts, by number.
        threshold: Min Jaccard similarity.
        num_perm: MinHash permutations.
        spill: Where large arrays are stored.
    """
    from curate.near.kernels import bucket as kernels

    bands, n_buckets = _band_buckets(items, shingles, threshold, num_perm, spill)
    n = len(items)
    size = np.zeros(n_buckets, dtype=np.int32)
    kernels.count_sizes(bands, size)
    counts, in_crowd = np.zeros(n, dtype=np.int32), np.zeros(n, dtype=np.bool_)
    max_size = CROWDED if len(items.texts) else max(n, 1)
    kernels.count_entries(bands, size, max_size, counts, in_crowd)
    crowd = np.flatnonzero(in_crowd)
    rare_at, rare, n_rare = _rare_buckets(items, shingles, threshold, crowd)
    counts[crowd] += np.diff(rare_at).astype(np.int32)
    at = offsets(counts)
    numbers = spill.empty((int(at[-1]),), np.int32)
    cursor = at[:-1].copy()
    kernels.fill_entries(bands, size, max_size, cursor, numbers)
    kernels.place_lists(crowd, rare_at, rare, n_buckets, cursor, numbers)
    return Buckets(at, numbers, n_buckets + n_rare)


def _band_buckets(
    items: Items, shingles: Shingles, threshold: float, num_perm: int, spill: Spill
) -> tuple[np.ndarray, int]:
    """[bands, n] bucket of each item in each band, -1 if it is alone there; number of buckets."""
    from curate.near.kernels import text as kernels

    if not len(items.texts):  # images only: one bucket per group
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
    """Number the keys that occur more than once; others get -1.

    Args:
        keys: [n] 32-bit keys.
        out: [n] receives the numbers; may be the memory of `keys`.

    Returns:
        Number of such keys.
    """
    from curate.near.kernels import bucket as kernels

    if not len(keys):
        return 0
    bits = min(32, max(10, (8 * len(keys)).bit_length()))
    seen = np.zeros(1 << (bits - 2), dtype=np.uint8)
    positions = np.empty(len(keys) + 1, dtype=np.int32)
    positions = positions[: kernels.maybe_shared(keys, np.uint32(32 - bits), seen, positions)]
    candidates = keys[positions]
    order = np.argsort(candidates)
    ordered = candidates[order]
    starts = np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)]
    # An entry shares its key if it does not start a run, or the next entry does not.
    shared = ~starts
    shared[:-1] |= ~starts[1:]
    number = np.cumsum(starts & shared, dtype=np.int32)
    count = int(number[-1]) if len(number) else 0
    out[:] = -1
    out[positions[order[shared]]] = number[shared] - 1
    return count


def _rare_buckets(
    items: Items, shingles: Shingles, threshold: float, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Put items of crowded buckets into buckets by their rarest shingles.

    Args:
        items: The items.
        shingles: Shingles of the texts, by number.
        threshold: Min Jaccard similarity.
        rows: [m] items of crowded buckets.

    Returns:
        [m + 1] offsets, bucket numbers, and the number of buckets.
    """
    from curate.near.kernels import bucket as kernels

    if not len(rows):
        return np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int32), 0
    sets = (shingles.values, shingles.at, items.texts_at, items.texts)
    length = np.zeros(len(rows), dtype=np.int64)
    kernels.set_sizes(*sets[1:], rows, length)
    slots = 1 << min(int(length.sum()) * 2 - 1, _MAX_COUNTERS - 1).bit_length()
    counter = np.zeros(max(slots, 1024), dtype=np.uint32)
    kernels.count_shingles(*sets, rows, counter)
    prefix_at = offsets(length - np.ceil(threshold * length - 1e-9).astype(np.int64) + 1)
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
    return offsets(shared)[prefix_at], number[shared], count
