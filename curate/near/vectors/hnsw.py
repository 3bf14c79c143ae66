"""Near pairs by a graph of neighbours (HNSW of usearch), measured exactly, recall on a sample."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from curate.near.text.minhash import n_threads
from curate.near.vectors.search import SLACK, Cost, NearPairs, Recall, Vectors
from pairwright.errors import MissingExtraError

# Neighbours that are looked at, and of a vector all whose neighbours are near.
_NEIGHBOURS, _MORE = 16, 256
_CONNECTIVITY, _EXPANSION_ADD, _EXPANSION_SEARCH = 16, 64, 32
_BATCH = 8192
_TRIAL, _SAMPLE = 2000, 2000
# The graph holds numbers of 16 bits, which move a cosine by about .0002; what seems this much too
# low is measured too.
_COARSE = 0.004


class GraphSearch:
    """Nearly all pairs: those of vectors that a graph finds among each other's neighbours."""

    def __init__(self, vectors: Vectors, threshold: float) -> None:
        """Try a small graph for the cost.

        Raises:
            MissingExtraError: If usearch is not installed.
        """
        self._vectors, self._threshold = vectors, threshold
        self.recall: Recall | None = None
        n, width = vectors.rows.shape
        trial = min(n, _TRIAL)
        started = time.process_time()
        self._searched(self._built(trial), np.arange(trial), _NEIGHBOURS)
        spent = time.process_time() - started
        # A search takes steps by the logarithm of the size, and leaves the caches behind.
        grown = 3 * math.log(max(n, 2)) / math.log(max(trial, 2)) if n > trial else 1.0
        seconds = spent / max(trial, 1) * n * grown + min(n, _SAMPLE) * n * width * 1e-11
        n_bytes = n * (2 * width + 16 * _CONNECTIVITY + 64) + 12 * n * _NEIGHBOURS
        self.cost = Cost("hnsw", n, width, width, n * (n - 1) // 2, 0, seconds, n_bytes)

    def pairs(self, values: bool = True) -> Iterator[NearPairs]:
        """Pairs that the graph finds, measured; sets `recall` before it ends.

        Args:
            values: Is taken for true.
        """
        n = self.cost.n
        if n < 2:
            return
        index = self._built(n)
        keys = np.unique(np.concatenate(list(self._keys(index))))
        numbers = self._vectors.numbers
        for first in range(0, len(keys), 1 << 20):
            part = keys[first : first + (1 << 20)]
            found = self._measured((part >> 32).astype(np.int32), part.astype(np.int32))
            yield NearPairs(numbers[found.a], numbers[found.b], found.cosine)
        self.recall = self._recall(keys)

    def _keys(self, index: Any) -> Iterator[np.ndarray]:
        """Pairs of neighbours that may reach the threshold, as numbers."""
        from pairwright.commands.progress import Progress

        n = self.cost.n
        with Progress("searching neighbours", n, unit="vectors") as bar:
            for first in range(0, n, _BATCH):
                rows = np.arange(first, min(first + _BATCH, n))
                a, b, full = self._searched(index, rows, _NEIGHBOURS)
                yield _as_keys(a, b)
                if len(full):
                    yield _as_keys(*self._searched(index, full, _MORE)[:2])
                bar.advance(len(rows))

    def _searched(
        self, index: Any, rows: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of rows and near neighbours, and the rows all whose neighbours are near."""
        count = min(count, len(index) - 1)
        found = index.search(self._units(rows), count + 1, threads=n_threads())
        near = found.distances.reshape(len(rows), -1) <= 1 - self._threshold + _COARSE
        a, place = np.nonzero(near)
        b = found.keys.reshape(len(rows), -1)[a, place].astype(np.int64)
        a = rows[a]
        return a[a != b], b[a != b], rows[near.all(axis=1)]

    def _built(self, n: int) -> Any:
        from pairwright.commands.progress import Progress

        try:
            from usearch.index import Index
        except ImportError as error:
            raise MissingExtraError("usearch", "hnsw") from error
        index = Index(
            ndim=self._vectors.rows.shape[1], metric="ip", dtype="bf16",
            connectivity=_CONNECTIVITY, expansion_add=_EXPANSION_ADD,
            expansion_search=_EXPANSION_SEARCH,
        )  # fmt: skip
        with Progress("building the graph", n, unit="vectors") as bar:
            for first in range(0, n, _BATCH):
                rows = np.arange(first, min(first + _BATCH, n))
                index.add(rows, self._units(rows), threads=n_threads())
                bar.advance(len(rows))
        return index

    def _units(self, rows: np.ndarray) -> np.ndarray:
        units = self._vectors.rows[rows] / self._vectors.norms[rows, None]
        return np.asarray(units, dtype=np.float32)

    def _measured(self, a: np.ndarray, b: np.ndarray) -> NearPairs:
        from curate.near.kernels import cosine as kernels

        rows, norms, _ = self._vectors
        cosine = np.empty(len(a))
        n = kernels.measure(rows, norms, 0, 0, self._threshold - SLACK, a, b, cosine)
        return NearPairs(a[:n], b[:n], cosine[:n])

    def _recall(self, keys: np.ndarray) -> Recall:
        """Share of the pairs of some vectors that are among those found."""
        n = self.cost.n
        some = np.sort(np.random.default_rng(2).choice(n, min(n, _SAMPLE), replace=False))
        units = self._units(some)
        found = wanted = 0
        for first in range(0, n, _BATCH):
            rows = np.arange(first, min(first + _BATCH, n))
            a, b = np.nonzero(units @ self._units(rows).T >= self._threshold - 1e-4)
            a, b = some[a].astype(np.int32), rows[b].astype(np.int32)
            apart = a != b
            near = self._measured(a[apart].copy(), b[apart].copy())
            mine = _as_keys(near.a, near.b)
            place = np.searchsorted(keys, mine).clip(0, max(len(keys) - 1, 0))
            found += int((keys[place] == mine).sum()) if len(keys) else 0
            wanted += len(mine)
        return Recall(found, wanted)


def _as_keys(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pairs in one number each, the lower in the high half."""
    low, high = np.minimum(a, b).astype(np.int64), np.maximum(a, b).astype(np.int64)
    return np.asarray((low << 32) | high)
