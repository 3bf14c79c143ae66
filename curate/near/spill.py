"""Arrays larger than memory: written to files once and memory-mapped.

The operating system takes mapped pages back when memory is short. The files are unlinked as soon as
they are open, so nothing remains on disk, however the process ends.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

# Smaller arrays stay in memory.
_MIN_BYTES = 64 << 20


class Spill:
    """Makes arrays in unnamed files of a folder, or in memory if there is no folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def empty(self, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """An uninitialized array, in a file if it is large."""
        n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if self._folder is None or n_bytes < _MIN_BYTES:
            return np.empty(shape, dtype=dtype)  # on huge pages, unlike zeros
        with tempfile.TemporaryFile(dir=self._folder) as file:
            os.ftruncate(file.fileno(), n_bytes)
            return np.memmap(file, dtype=dtype, mode="r+", shape=shape).view(np.ndarray)

    def list(self, dtype: type) -> Growing:
        """An empty list of numbers that can grow."""
        return Growing(self._folder, dtype)


class Growing:
    """A list of numbers: appended in batches, then read as one array."""

    def __init__(self, folder: Path | None, dtype: type) -> None:
        self._dtype = np.dtype(dtype)
        self._file = None if folder is None else tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._batches: list[np.ndarray] = []
        self._n_pending = self._n = 0

    def __len__(self) -> int:
        return self._n

    def append(self, values: np.ndarray) -> None:
        """Append values."""
        self._batches.append(values.astype(self._dtype, copy=False))
        self._n += len(values)
        self._n_pending += len(values)
        if self._file is not None and self._n_pending * self._dtype.itemsize >= _MIN_BYTES:
            for batch in self._batches:
                batch.tofile(self._file)
            self._batches, self._n_pending = [], 0

    def finish(self) -> np.ndarray:
        """All values as one array, in memory if it is small; nothing may be appended afterwards."""
        rest, self._batches = self._batches, []
        if self._file is None or self._n == self._n_pending:
            return np.concatenate(rest) if rest else np.empty(0, dtype=self._dtype)
        for batch in rest:
            batch.tofile(self._file)
        self._file.flush()
        mapped = np.memmap(self._file, dtype=self._dtype, mode="r", shape=(self._n,))
        self._file.close()
        return mapped.view(np.ndarray)
