"""Compiled loops that bring items into buckets."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.near.kernels.jit import jit
from curate.near.kernels.text import mix, tagged

_COUNT_BITS = np.uint64(40)
_MOST = np.uint32((1 << 24) - 1)


@jit
def maybe_shared(keys: Any, shift: Any, seen: Any, out: Any) -> int:
    """Places of keys that may occur more than once: cheaper than sorting them all.

    Args:
        keys: 32-bit keys.
        shift: Low bits that the table leaves out.
        seen: Table of two bits a slot, four slots a byte, zeros.
        out: Gets the places.

    Returns:
        Number of places.
    """
    for i in range(keys.size):
        slot = keys[i] >> shift
        bit = np.uint8(1) << np.uint8((slot & np.uint32(3)) << np.uint32(1))
        byte = slot >> np.uint32(2)
        # The low bit says once, the high bit again.
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
    """Entries of every bucket; entries below 0 are none."""
    for band in range(bands.shape[0]):
        for i in range(bands.shape[1]):
            number = bands[band, i]
            if number >= 0:
                size[number] += 1


@jit
def count_entries(bands: Any, size: Any, most: int, counts: Any, crowd: Any) -> None:
    """Buckets of every item that are not crowded, and which items are in a crowded one."""
    for band in range(bands.shape[0]):
        for i in range(bands.shape[1]):
            number = bands[band, i]
            if number >= 0:
                if size[number] > most:
                    crowd[i] = True
                else:
                    counts[i] += 1


@jit
def fill_entries(bands: Any, size: Any, most: int, cursor: Any, out: Any) -> None:
    """Enter the buckets that are not crowded; `cursor` says where each item's next entry goes."""
    for band in range(bands.shape[0]):
        for i in range(bands.shape[1]):
            number = bands[band, i]
            if number >= 0 and size[number] <= most:
                out[cursor[i]] = number
                cursor[i] += 1


@jit
def place_lists(rows: Any, at: Any, values: Any, start: int, cursor: Any, out: Any) -> None:
    """Enter lists of bucket numbers, counted from `start` on."""
    for k in range(rows.size):
        for place in range(at[k], at[k + 1]):
            out[cursor[rows[k]]] = start + values[place]
            cursor[rows[k]] += 1


@jit
def set_sizes(at: Any, texts_at: Any, texts: Any, rows: Any, out: Any) -> None:
    """Shingles of items, over all their turns."""
    for k in range(rows.size):
        for place in range(texts_at[rows[k]], texts_at[rows[k] + 1]):
            out[k] += at[texts[place] + 1] - at[texts[place]]


@jit
def count_shingles(
    values: Any, at: Any, texts_at: Any, texts: Any, rows: Any, counter: Any
) -> None:
    """How often each shingle occurs; shingles may share a counter."""
    mask = np.uint64(counter.size - 1)
    for k in range(rows.size):
        begin = texts_at[rows[k]]
        for place in range(begin, texts_at[rows[k] + 1]):
            text = texts[place]
            for e in range(at[text], at[text + 1]):
                slot = tagged(values[e], place - begin) & mask
                if counter[slot] < _MOST:
                    counter[slot] += np.uint32(1)


@jit
def rarest(
    values: Any, at: Any, texts_at: Any, texts: Any, groups: Any, rows: Any, counter: Any,
    prefix_at: Any, most: int, out: Any,
) -> None:  # fmt: skip
    """Keys of the rarest shingles of items, with the item's group.

    Any order that is the same for all sets will do, so counters may be shared.

    Args:
        values: Shingles.
        at: Where each text's start.
        texts_at: Where each item's texts start.
        texts: Numbers of texts.
        groups: Of every item.
        rows: Items wanted.
        counter: From `count_shingles`.
        prefix_at: Where each wanted item's keys start in `out`.
        most: Shingles of the largest item.
        out: Gets the keys.
    """
    mask = np.uint64(counter.size - 1)
    ranked = np.empty(most, dtype=np.uint64)
    for k in range(rows.size):
        i, n = rows[k], 0
        begin = texts_at[i]
        for place in range(begin, texts_at[i + 1]):
            text = texts[place]
            for e in range(at[text], at[text + 1]):
                value = tagged(values[e], place - begin)
                rank = np.uint64(counter[value & mask]) << _COUNT_BITS
                ranked[n] = rank | (mix(value) >> (np.uint64(64) - _COUNT_BITS))
                n += 1
        ranked[:n].sort()
        for p in range(prefix_at[k + 1] - prefix_at[k]):
            key = mix(ranked[p] ^ groups[i])
            out[prefix_at[k] + p] = np.uint32(key >> np.uint64(32))
