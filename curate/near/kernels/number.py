"""Compiled loops that hash texts and lists, and number 128-bit keys."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.near.kernels.jit import jit
from curate.near.kernels.xxh3 import read64, xxh3

_GOLDEN, _MIX1, _MIX2 = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
)


@jit
def hash_lists(at: Any, values: Any, seed: Any, out: Any) -> None:
    """64-bit hash of each list of numbers; order and length count."""
    for i in range(out.size):
        h = seed ^ (np.uint64(at[i + 1] - at[i]) * _GOLDEN)
        for k in range(at[i], at[i + 1]):
            h = (h ^ np.uint64(values[k])) * _MIX1
            h ^= h >> np.uint64(29)
            h = h * _MIX2 + _GOLDEN
            h ^= h >> np.uint64(32)
        out[i] = h


@jit
def hash_texts(data: Any, begin: Any, stop: Any, low: Any, high: Any) -> None:
    """Two independent 64-bit hashes of each text: XXH3, and a multiplicative hash."""
    for i in range(low.size):
        start, end = begin[i], stop[i]
        low[i] = xxh3(data, start, end - start)
        h = np.uint64(end - start) * _GOLDEN
        k = start
        while k + 8 <= end:
            h = (h ^ read64(data, k)) * _MIX1
            h ^= h >> np.uint64(31)
            k += 8
        rest = np.uint64(0)
        while k < end:
            rest = (rest << np.uint64(8)) | np.uint64(data[k])
            k += 1
        h = (h ^ rest) * _MIX2
        high[i] = h ^ (h >> np.uint64(29))


@jit
def place_keys(low: Any, high: Any, n: int, slots: Any) -> None:
    """Enter n known keys into an empty hash table (open addressing, 2**k slots)."""
    mask = np.uint64(slots.size - 1)
    for i in range(n):
        slot = (low[i] ^ (high[i] * _GOLDEN)) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = i


@jit
def number_keys(
    low: Any, high: Any, known_low: Any, known_high: Any, n: int, slots: Any, out: Any
) -> int:
    """Number keys in order of first appearance.

    Args:
        low: Low halves of the keys.
        high: High halves.
        known_low: Low halves of known keys by number, with room for new keys.
        known_high: High halves of known keys.
        n: Number of known keys.
        slots: Hash table of numbers, at most half full.
        out: Receives the numbers.

    Returns:
        Number of known keys after the call.
    """
    mask = np.uint64(slots.size - 1)
    for i in range(low.size):
        a, b = low[i], high[i]
        slot = (a ^ (b * _GOLDEN)) & mask
        number = slots[slot]
        while number >= 0 and (known_low[number] != a or known_high[number] != b):
            slot = (slot + np.uint64(1)) & mask
            number = slots[slot]
        if number < 0:
            number = n
            slots[slot] = n
            known_low[n], known_high[n] = a, b
            n += 1
        out[i] = number
    return n
