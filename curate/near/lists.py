"""Lists of numbers stored as in Arrow: one array of values and one of offsets.

List i is `values[at[i] : at[i + 1]]`. Compiled loops read such arrays without copying.
"""

from __future__ import annotations

import numpy as np


def offsets(lengths: np.ndarray) -> np.ndarray:
    """Offsets of lists with these lengths: [n] -> [n + 1]."""
    at = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=at[1:])
    return at


def take_lists(at: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Select the lists of some rows.

    Args:
        at: [n + 1] offsets of all lists.
        rows: [m] rows to select, in this order.

    Returns:
        [m + 1] offsets of the selected lists, and the positions of their values in the old array.
    """
    lengths = np.diff(at)[rows]
    starts = offsets(lengths)
    positions = np.arange(starts[-1], dtype=np.int64)
    positions += np.repeat(at[rows] - starts[:-1], lengths)
    return starts, positions


def hash_lists(at: np.ndarray, values: np.ndarray, seed: int) -> np.ndarray:
    """[n] 64-bit hashes of n lists; order and length count."""
    from curate.near.kernels import number as kernels

    out = np.empty(len(at) - 1, dtype=np.uint64)
    kernels.hash_lists(at, values, np.uint64(seed), out)
    return out


def first_positions(numbers: np.ndarray, n: int) -> np.ndarray:
    """[n] position at which each number from 0 to n - 1 occurs first in `numbers`."""
    first = np.empty(n, dtype=np.int64)
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]  # of several writes the last one counts
    return first


class Numbering:
    """Assigns the numbers 0, 1, 2, ... to 128-bit keys in order of first appearance."""

    def __init__(self) -> None:
        self._slots = np.full(1 << 12, -1, dtype=np.int32)
        self._low = np.empty(1 << 11, dtype=np.uint64)
        self._high = np.empty(1 << 11, dtype=np.uint64)
        self._n = 0

    def __len__(self) -> int:
        """Number of distinct keys so far."""
        return self._n

    def number(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Number of each key; new keys get the next free numbers.

        Args:
            low: [n] low halves of the keys.
            high: [n] high halves.

        Returns:
            [n] 32-bit numbers.
        """
        from curate.near.kernels import number as kernels

        n_max = self._n + len(low)
        if n_max > len(self._low):
            room = max(n_max, len(self._low) * 3 // 2)
            for half in (self._low, self._high):  # resized in place, nothing is copied
                half.resize(room, refcheck=False)
        if 2 * n_max > len(self._slots):
            # The new table replaces the old one before it is filled: one at a time in memory.
            self._slots = np.full(1 << (4 * n_max - 1).bit_length(), -1, dtype=np.int32)
            kernels.place_keys(self._low, self._high, self._n, self._slots)
        out = np.empty(len(low), dtype=np.int32)
        self._n = int(
            kernels.number_keys(low, high, self._low, self._high, self._n, self._slots, out)
        )
        return out

    def number_and_new(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`number`, and the positions at which keys occur that were unknown before the call."""
        known = self._n
        numbers = self.number(low, high)
        if not len(numbers):
            return numbers, numbers
        largest_before = np.maximum.accumulate(np.r_[known - 1, numbers[:-1]])
        return numbers, np.flatnonzero(numbers > largest_before)
