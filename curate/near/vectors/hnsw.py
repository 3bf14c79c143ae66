"""Approximate search by a graph of neighbors (HNSW of usearch), with its recall on a sample."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from curate.near.threads import n_threads
from curate.near.vectors.base import SLACK, Cost, NearPairs, Recall, Vectors
from pairwright.errors import MissingExtraError

# Neighbors per vector, and per vector whose neighbors are all near.
_NEIGHBORS, _MORE = 16, 256
_CONNECTIVITY, _EXPANSION_ADD, _EXPANSION_SEARCH = 16, 64, 32
_BATCH = 8192
_TRIAL, _SAMPLE = 2000, 2000
# The graph stores 16-bit floats, which change a cosine by about 0.0002; a pair this much below the
# threshold is verified as well.
_COARSE = 0.004


class GraphSearch:
    """Finds nearly all pairs: those that a graph has as neighbors."""

    def __init__(self, vectors: Vectors, threshold: float) -> None:
        """Estimate the cost with a small graph.

        Raises:
            MissingExtraError: If usearch is not installed.
        """
        self._vectors, self._threshold = vectors, threshold
        self.recall: Recall | None = None
        n, width = vectors.rows.shape
        trial = min(n, _TRIAL)
        started = time.process_time()
        self._searched(self._built(trial), np.arange(trial), _NEIGHBORS)
        spent = time.process_time() - started
        # The steps of a search grow with the logarithm of the size, and the caches become too small.
        grown = 3 * math.log(max(n, 2)) / math.log(max(trial, 2)) if n > trial else 1.0
        seconds = spent / max(trial, 1) * n * grown + min(n, _SAMPLE) * n * width * 1e-11
        n_bytes = n * (2 * width + 16 * _CONNECTIVITY + 64) + 12 * n * _NEIGHBORS
        self.cost = Cost("hnsw", n, width, width, n * (n - 1) // 2, 0, seconds, n_bytes)

    def pairs(self, values: bool = True) -> Iterator[NearPairs]:
        """Yield the verified pairs in batches; sets `recall` at the end.

        Args:
            values: Ignored: cosines are always computed.
        """
        n = self.cost.n
        if n < 2:
            return
        index = self._built(n)
        keys = np.unique(np.concatenate(list(self._keys(index))))
        numbers = self._vectors.numbers
        for first in range(0, len(keys), 1 << 20):
            part = keys[first : first + (1 << 20)]
            found = self._verified((part >> 32).astype(np.int32), part.astype(np.int32))
            yield NearPairs(numbers[found.a], numbers[found.b], found.cosine)
        self.recall = self._recall(keys)

    def _keys(self, index: Any) -> Iterator[np.ndarray]:
        """Keys of the pairs of neighbors that may reach the threshold."""
        from pairwright.commands.progress import Progress

        n = self.cost.n
        with Progress("searching neighbors", n, unit="vectors") as bar:
            for first in range(0, n, _BATCH):
                rows = np.arange(first, min(first + _BATCH, n))
                a, b, full = self._searched(index, rows, _NEIGHBORS)
                yield _as_keys(a, b)
                if len(full):
                    yield _as_keys(*self._searched(index, full, _MORE)[:2])
                bar.advance(len(rows))

    def _searched(
        self, index: Any, rows: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of a row and a near neighbor, and the rows whose neighbors are all near."""
        count = min(count, len(index) - 1)
        found = index.search(self._units(rows), count + 1, threads=n_threads())
        near = found.distances.reshape(len(rows), -1) <= 1 - self._threshold + _COARSE
        a, column = np.nonzero(near)
        b = found.keys.reshape(len(rows), -1)[a, column].astype(np.int64)
        a = rows[a]
        return a[a != b], b[a != b], rows[near.all(axis=1)]

    def _built(self, n: int) -> Any:
        """A graph of the first n vectors."""
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
        """[m, width] unit vectors of m rows."""
        units = self._vectors.rows[rows] / self._vectors.norms[rows, None]
        return np.asarray(units, dtype=np.float32)

    def _verified(self, a: np.ndarray, b: np.ndarray) -> NearPairs:
        """The candidates whose cosine reaches the threshold; `a` and `b` are changed in place."""
        from curate.near.kernels import cosine as kernels

        rows, norms, _ = self._vectors
        cosine = np.empty(len(a))
        n = kernels.measure(rows, norms, 0, 0, self._threshold - SLACK, a, b, cosine)
        return NearPairs(a[:n], b[:n], cosine[:n])

    def _recall(self, keys: np.ndarray) -> Recall:
        """Recall of the pairs `keys`, measured on the vectors of a sample."""
        n = self.cost.n
        some = np.sort(np.random.default_rng(2).choice(n, min(n, _SAMPLE), replace=False))
        units = self._units(some)
        found = wanted = 0
        for first in range(0, n, _BATCH):
            rows = np.arange(first, min(first + _BATCH, n))
            a, b = np.nonzero(units @ self._units(rows).T >= self._threshold - 1e-4)
            a, b = some[a].astype(np.int32), rows[b].astype(np.int32)
            different = a != b
            near = self._verified(a[different].copy(), b[different].copy())
            expected = _as_keys(near.a, near.b)
            position = np.searchsorted(keys, expected).clip(0, max(len(keys) - 1, 0))
            found += int((keys[position] == expected).sum()) if len(keys) else 0
            wanted += len(expected)
        return Recall(found, wanted)


def _as_keys(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pairs as one 64-bit key each: lower number in the high half, higher number in the low half."""
    low, high = np.minimum(a, b).astype(np.int64), np.maximum(a, b).astype(np.int64)
    return np.asarray((low << 32) | high)
