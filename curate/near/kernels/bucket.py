"""Compiled loops that put items into buckets."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.near.kernels.jit import jit
from curate.near.kernels.text import mix, tagged

_COUNT_BITS = np.uint64(40)
_MAX_COUNT = np.uint32((1 << 24) - 1)


@jit
def maybe_shared(keys: Any, shift: Any, seen: Any, out: Any) -> int:
    """Positions of keys that may occur more than once: cheaper than sorting all keys.

    Args:
        keys: [n] 32-bit keys.
        shift: Low bits that the table ignores.
        seen: Table of two bits per slot, four slots per byte, all zero.
        out: [n + 1] receives the positions.

    Returns:
        Number of positions.
    """
    for i in range(keys.size):
        slot = keys[i] >> shift
        bit = np.uint8(1) << np.uint8((slot & np.uint32(3)) << np.uint32(1))
        byte = slot >> np.uint32(2)
        # The low bit means seen once, the high bit seen again.
        seen[byte] |= bit | ((seen[byte] & bit) << np.uint8(1))
    n = 0
    for i in range(keys.size):
        slot = keys[i] >> shift
        bit = np.uint8(2) << np.uint8((slot & np.uint32(3)) << np.uint32(1))
        out[n] = i
        n += (seen[slot >> np.uint32(2)] & bit) != 0
    return n


@jit
def count_sizes(bands: Any, size: Any) -> None:
    """Count the items of each bucket; numbers below 0 mean no bucket."""
    for band in range(bands.shape[0]):
        for i in range(bands.shape[1]):
            number = bands[band, i]
            if number >= 0:
                size[number] += 1


@jit
def count_entries(bands: Any, size: Any, max_size: int, counts: Any, in_crowd: Any) -> None:
    """Count the buckets of each item that are not crowded; set `in_crowd` for items in others."""
    for band in range(bands.shape[0]):
        for i in range(bands.shape[1]):
            number = bands[band, i]
            if number >= 0:
                if size[number] > max_size:
                    in_crowd[i] = True
                else:
                    counts[i] += 1


@jit
def fill_entries(bands: Any, size: Any, max_size: int, cursor: Any, out: Any) -> None:
    """Write the buckets that are not crowded; `cursor` is each item's next position in `out`."""
    for band in range(bands.shape[0]):
        for i in range(bands.shape[1]):
            number = bands[band, i]
            if number >= 0 and size[number] <= max_size:
                out[cursor[i]] = number
                cursor[i] += 1


@jit
def place_lists(rows: Any, at: Any, values: Any, start: int, cursor: Any, out: Any) -> None:
    """Write lists of bucket numbers; `start` is added to each number."""
    for k in range(rows.size):
        for entry in range(at[k], at[k + 1]):
            out[cursor[rows[k]]] = start + values[entry]
            cursor[rows[k]] += 1


@jit
def set_sizes(at: Any, texts_at: Any, texts: Any, rows: Any, out: Any) -> None:
    """Count the shingles of items over all their turns."""
    for k in range(rows.size):
        for entry in range(texts_at[rows[k]], texts_at[rows[k] + 1]):
            out[k] += at[texts[entry] + 1] - at[texts[entry]]


@jit
def count_shingles(
    values: Any, at: Any, texts_at: Any, texts: Any, rows: Any, counter: Any
) -> None:
    """Count how often each shingle occurs; shingles may share a counter."""
    mask = np.uint64(counter.size - 1)
    for k in range(rows.size):
        begin = texts_at[rows[k]]
        for entry in range(begin, texts_at[rows[k] + 1]):
            text = texts[entry]
            for e in range(at[text], at[text + 1]):
                slot = tagged(values[e], entry - begin) & mask
                if counter[slot] < _MAX_COUNT:
                    counter[slot] += np.uint32(1)


@jit
def rarest(
    values: Any, at: Any, texts_at: Any, texts: Any, groups: Any, rows: Any, counter: Any,
    prefix_at: Any, max_size: int, out: Any,
) -> None:  # fmt: skip
    """Keys of the rarest shingles of items; a key includes the item's group.

    Any order that is the same for all sets is right, so counters may be shared.

    Args:
        values: Shingles of all texts.
        at: Offsets of the texts' shingles.
        texts_at: Offsets of the items' texts.
        texts: Numbers of texts.
        groups: Group of each item.
        rows: [m] the items.
        counter: From `count_shingles`.
        prefix_at: [m + 1] offsets of the items' keys in `out`.
        max_size: Shingles of the largest item.
        out: Receives the keys.
    """
    mask = np.uint64(counter.size - 1)
    ranked = np.empty(max_size, dtype=np.uint64)
    for k in range(rows.size):
        i, n = rows[k], 0
        begin = texts_at[i]
        for entry in range(begin, texts_at[i + 1]):
            text = texts[entry]
            for e in range(at[text], at[text + 1]):
                value = tagged(values[e], entry - begin)
                rank = np.uint64(counter[value & mask]) << _COUNT_BITS
                ranked[n] = rank | (mix(value) >> (np.uint64(64) - _COUNT_BITS))
                n += 1
        ranked[:n].sort()
        for p in range(prefix_at[k + 1] - prefix_at[k]):
            key = mix(ranked[p] ^ groups[i])
            out[prefix_at[k] + p] = np.uint32(key >> np.uint64(32))
