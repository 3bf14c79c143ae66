"""Lists of numbers in one array, as compiled loops take them: take some, hash each."""

from __future__ import annotations

import numpy as np


def take_lists(at: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts of the lists of some rows, and the places of their elements.

    Args:
        at: Where each list starts, and where the last ends.
        rows: Rows whose lists are wanted, in this order.
    """
    lengths = np.diff(at)[rows]
    starts = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    places = np.arange(starts[-1], dtype=np.int64)
    places += np.repeat(at[rows] - starts[:-1], lengths)
    return starts, places


def hash_lists(at: np.ndarray, values: np.ndarray, seed: int) -> np.ndarray:
    """64-bit hash of every list, order and length included."""
    from curate.near.kernels import number as kernels

    out = np.empty(len(at) - 1, dtype=np.uint64)
    kernels.hash_lists(at, values, np.uint64(seed), out)
    return out


class Numbering:
    """Numbers 128-bit keys in order of first appearance; keys may come in portions."""

    def __init__(self) -> None:
        self._slots = np.full(1 << 12, -1, dtype=np.int32)
        self._low = np.empty(1 << 11, dtype=np.uint64)
        self._high = np.empty(1 << 11, dtype=np.uint64)
        self._n = 0

    def __len__(self) -> int:
        """Number of distinct keys so far."""
        return self._n

    def number(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Number of each key; new ones get the next free numbers, in order.

        Args:
            low: Low halves of the keys.
            high: High halves.

        Returns:
            32-bit numbers. Numbers from the former `len()` on are new.
        """
        from curate.near.kernels import number as kernels

        most = self._n + len(low)
        if most > len(self._low):
            room = max(most, len(self._low) * 3 // 2)
            for half in (self._low, self._high):  # grown where they lie, nothing is copied
                half.resize(room, refcheck=False)
        if 2 * most > len(self._slots):
            # The new table replaces the old one before it is filled: one at a time in memory.
            self._slots = np.full(1 << (4 * most - 1).bit_length(), -1, dtype=np.int32)
            kernels.place_keys(self._low, self._high, self._n, self._slots)
        out = np.empty(len(low), dtype=np.int32)
        self._n = int(
            kernels.number_keys(low, high, self._low, self._high, self._n, self._slots, out)
        )
        return out
