"""Arrays too large to hold: written to files once, mapped where they are read.

Mapped pages belong to the operating system, which takes them back when memory is short. The files
have no name in any folder from the moment they are opened, so nothing is left behind however the
process ends.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

# Smaller arrays are not worth a file.
_LEAST_BYTES = 64 << 20


class Spill:
    """Makes arrays in nameless files of a folder, or in memory without one."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def empty(self, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """An array whose content does not matter yet, in a file if it is large."""
        n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if self._folder is None or n_bytes < _LEAST_BYTES:
            return np.empty(shape, dtype=dtype)  # on huge pages, unlike zeros
        with tempfile.TemporaryFile(dir=self._folder) as file:
            os.ftruncate(file.fileno(), n_bytes)
            return np.memmap(file, dtype=dtype, mode="r+", shape=shape).view(np.ndarray)

    def list(self, dtype: type) -> Growing:
        """A list of numbers that grows."""
        return Growing(self._folder, dtype)


class Growing:
    """A list of numbers, appended to in portions and read as one array."""

    def __init__(self, folder: Path | None, dtype: type) -> None:
        self._dtype = np.dtype(dtype)
        self._file = None if folder is None else tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._held: list[np.ndarray] = []
        self._n_held = self._n = 0

    def __len__(self) -> int:
        return self._n

    def append(self, values: np.ndarray) -> None:
        """Add values at the end."""
        self._held.append(values.astype(self._dtype, copy=False))
        self._n += len(values)
        self._n_held += len(values)
        if self._file is not None and self._n_held * self._dtype.itemsize >= _LEAST_BYTES:
            for portion in self._held:
                portion.tofile(self._file)
            self._held, self._n_held = [], 0

    def finish(self) -> np.ndarray:
        """Everything, as one array; in memory if it is small. The list must not grow any more."""
        rest, self._held = self._held, []
        if self._file is None or self._n == self._n_held:
            return np.concatenate(rest) if rest else np.empty(0, dtype=self._dtype)
        for portion in rest:
            portion.tofile(self._file)
        self._file.flush()
        mapped = np.memmap(self._file, dtype=self._dtype, mode="r", shape=(self._n,))
        self._file.close()
        return mapped.view(np.ndarray)
