"""Exact search: compares all vectors, most of them by their leading dimensions only.

The unit vectors are rotated to their principal axes, so that the first dimensions contain most of
the variance. If r and s are the norms of the remaining dimensions of two vectors, their product is
at most r s (Cauchy-Schwarz), so that

    lead . lead + r s

is an upper bound of the cosine. With r as one more coordinate the bound itself is a matrix product
of a few dimensions. Pairs whose bound reaches the threshold are bounded again with more dimensions,
and the cosine of the remaining pairs is computed. The limits include the rounding of 32-bit floats,
so no pair is lost. The number of leading dimensions is chosen by a sample and a short trial; if no
number saves time (vectors spread evenly over the sphere), all dimensions are used.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from curate.near.threads import n_threads
from curate.near.vectors.base import SLACK, Cost, NearPairs, Vectors

# A block of products should fit into the second-level cache.
_BLOCK = 512
_STRIP = 16  # blocks per task
_LEADS = (8, 12, 16, 20, 24, 32, 48, 64, 96, 128)
_MIDDLE = 96
_SAMPLE, _PCA_SAMPLE = 1024, 8192
# Nanoseconds per pair for the second bound, and for the cosine.
_BOUND_NS, _COSINE_NS = 150.0, 150.0
# A pair of a full search takes this much longer than a pair of a trial.
_SLOWER = 1.4
_UNIT = 2.0**-24


class _Rotated(NamedTuple):
    """Vectors on their principal axes.

    Attributes:
        lead: [n, lead + 1] leading coordinates and the norm of the rest; all coordinates if
            `middle` is None.
        middle: [n, k + 1] the next coordinates and the norm of what then remains.
    """

    lead: np.ndarray
    middle: np.ndarray | None


class ExactSearch:
    """Finds all pairs that reach the threshold."""

    def __init__(self, vectors: Vectors, threshold: float, lead: int | None = None) -> None:
        """Choose the number of leading dimensions and estimate the cost.

        Args:
            vectors: The vectors.
            threshold: Min cosine.
            lead: Leading dimensions; chosen by default.
        """
        self._vectors, self._threshold = vectors, threshold
        n, width = vectors.rows.shape
        self._axes = _principal(vectors)
        self._lead, near, nanoseconds = self._choose() if lead is None else (lead, 0.0, 1.0)
        self._lead = min(self._lead, width)
        n_pairs = n * (n - 1) // 2
        kept = width if self._lead == width else min(width, self._lead + _MIDDLE) + 2
        scratch = n_threads() * (_BLOCK * _BLOCK * 20 + 2 * _STRIP * _BLOCK * 16)
        self.cost = Cost(
            "exact", n, width, self._lead, n_pairs, round(near * n_pairs),
            _SLOWER * n_pairs * nanoseconds / 1e9, n * kept * 4 + scratch,
        )  # fmt: skip

    def pairs(self, values: bool = True) -> Iterator[NearPairs]:
        """Yield the pairs in batches.

        Args:
            values: Whether cosines are needed; if not, they may be missing, and pairs slightly
                below the threshold may be included.
        """
        from threadpoolctl import threadpool_limits

        from pairwright.commands.progress import Progress

        if self.cost.n < 2:
            return
        rotated = self._rotated(self._vectors, self._lead)
        local = threading.local()
        tasks = self._tasks()
        with (
            threadpool_limits(1, user_api="blas"),  # this pool has the threads
            ThreadPoolExecutor(n_threads()) as pool,
            Progress("comparing vectors", self.cost.n_pairs // 1_000_000, unit="M pairs") as bar,
        ):
            running: deque[tuple[int, Future[NearPairs]]] = deque()
            compared = shown = 0

            def collect() -> NearPairs:
                nonlocal compared, shown
                size, future = running.popleft()
                compared += size
                bar.advance(compared // 1_000_000 - shown)
                shown = compared // 1_000_000
                return future.result()

            for first, starts, size in tasks:
                job = pool.submit(self._strip, rotated, first, starts, values, local)
                running.append((size, job))
                if len(running) > 2 * n_threads():
                    yield collect()
            while running:
                yield collect()

    def _tasks(self) -> Iterator[tuple[int, range, int]]:
        """First row of a block of rows, first rows of its blocks of columns, and number of pairs."""
        n = self.cost.n
        for first in range(0, n, _BLOCK):
            for start in range(first, n, _BLOCK * _STRIP):
                end = min(start + _BLOCK * _STRIP, n)
                yield first, range(start, end, _BLOCK), min(_BLOCK, n - first) * (end - start)

    def _strip(
        self, rotated: _Rotated, first: int, starts: range, values: bool, local: Any
    ) -> NearPairs:
        """Near pairs of one block of rows with several blocks of columns.

        Args:
            rotated: All vectors.
            first: First row of the block of rows.
            starts: First row of each block of columns.
            values: Whether cosines are needed.
            local: Scratch arrays of this thread.
        """
        from curate.near.kernels import cosine as kernels

        if not hasattr(local, "products"):
            local.products = np.empty(_BLOCK * _BLOCK, dtype=np.float32)
            local.a, local.b = np.empty((2, _BLOCK * _BLOCK), dtype=np.int32)
            local.cosine = np.empty(_BLOCK * _BLOCK)
        lead, middle = rotated
        limit = np.float32(self._threshold - _rounding(lead.shape[1]))
        found = []
        rows = lead[first : first + _BLOCK]
        for second in starts:
            columns = lead[second : second + _BLOCK]
            flat = local.products[: len(rows) * len(columns)]
            products = flat.reshape(len(rows), len(columns))
            np.matmul(rows, columns.T, out=products)
            n = kernels.reaching(flat, len(columns), limit, first == second, local.a, local.b)
            if n and middle is not None:
                limit2 = np.float32(self._threshold - _rounding(lead.shape[1] + middle.shape[1]))
                a, b = local.a[:n], local.b[:n]
                n = kernels.sieve(products, lead, middle, first, second, limit2, a, b)
            if n:
                found.append(self._verified(local, n, first, second, values or middle is not None))
        if not found:
            none = np.empty(0, dtype=np.int32)
            return NearPairs(none, none, np.empty(0))
        a, b, cosine = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return NearPairs(self._vectors.numbers[a], self._vectors.numbers[b], cosine)

    def _verified(self, local: Any, n: int, first: int, second: int, values: bool) -> NearPairs:
        """The candidates in `local.a` and `local.b` whose cosine reaches the threshold."""
        from curate.near.kernels import cosine as kernels

        a, b = local.a[:n], local.b[:n]
        if not values:
            return NearPairs(a + first, b + second, np.full(n, np.nan))
        rows, norms, _ = self._vectors
        n = kernels.measure(rows, norms, first, second, self._threshold - SLACK, a, b, local.cosine)
        return NearPairs(a[:n].copy(), b[:n].copy(), local.cosine[:n].copy())

    def _rotated(self, vectors: Vectors, lead: int) -> _Rotated:
        """Coordinates on the principal axes, with the norms of the remaining coordinates."""
        n, width = vectors.rows.shape
        whole = lead >= width
        kept = width if whole else min(width, lead + _MIDDLE)
        first = np.empty((n, width if whole else lead + 1), dtype=np.float32)
        more = None if whole else np.empty((n, kept - lead + 1), dtype=np.float32)
        for start in range(0, n, _PCA_SAMPLE):
            part = vectors.rows[start : start + _PCA_SAMPLE].astype(np.float64)
            part /= vectors.norms[start : start + _PCA_SAMPLE, None]
            here = slice(start, start + len(part))
            if more is None:
                first[here] = part
                continue
            part = part @ self._axes[:, :kept]
            first[here, :lead], more[here, :-1] = part[:, :lead], part[:, lead:]
            first[here, -1] = _rest(part[:, :lead])
            more[here, -1] = _rest(part)
        return _Rotated(first, more)

    def _choose(self) -> tuple[int, float, float]:
        """Leading dimensions, rate of near pairs, and nanoseconds per pair, from a sample."""
        n, width = self._vectors.rows.shape
        generator = np.random.default_rng(0)
        some = generator.choice(n, min(n, _SAMPLE), replace=False)
        rows, norms, numbers = self._vectors
        sample = Vectors(rows[some], norms[some], numbers[some])
        if len(some) < 64:
            return width, 0.0, 10.0
        rotated = (sample.rows / norms[some, None]) @ self._axes
        upper = np.triu_indices(len(some), 1)
        near = float((rotated @ rotated.T >= self._threshold)[upper].mean())
        best = (width, self._trial(sample, width) + near * _COSINE_NS)
        product, done = np.zeros((len(some), len(some))), 0
        rates: dict[int, float] = {}  # of pairs whose bound reaches the threshold, by dimensions
        for lead in sorted({*_LEADS, *(k + _MIDDLE for k in _LEADS)}):
            if lead >= width:
                break
            product += rotated[:, done:lead] @ rotated[:, done:lead].T
            done, rest = lead, _rest(rotated[:, :lead])
            rates[lead] = float((product + np.outer(rest, rest) >= self._threshold)[upper].mean())
        for lead in _LEADS:
            if lead not in rates or rates[lead] > 0.1:
                continue
            left = rates.get(lead + _MIDDLE, near)
            spent = self._trial(sample, lead) + rates[lead] * _BOUND_NS + left * _COSINE_NS
            if spent < best[1]:
                best = (lead, spent)
        return best[0], near, best[1]

    def _trial(self, sample: Vectors, lead: int) -> float:
        """Nanoseconds per pair for a product of `lead` dimensions and the search in its result."""
        from curate.near.kernels import cosine as kernels

        coordinates = self._rotated(sample, lead).lead
        half = len(coordinates) // 2
        one, other = coordinates[:half], coordinates[half : 2 * half]
        products = np.empty(half * half, dtype=np.float32)
        a = b = np.empty(0, dtype=np.int32)
        kernels.reaching(products[:0], 1, np.float32(9), False, a, b)
        spent = []
        for _ in range(3):
            started = time.thread_time()
            np.matmul(one, other.T, out=products.reshape(half, half))
            kernels.reaching(products, half, np.float32(9), False, a, b)
            spent.append(time.thread_time() - started)
        return min(spent) / (half * half) * 1e9


def _principal(vectors: Vectors) -> np.ndarray:
    """[width, width] principal axes of the unit vectors in columns, largest variance first."""
    rows, norms, _ = vectors
    generator = np.random.default_rng(1)
    n = len(rows)
    some = np.arange(n) if n <= _PCA_SAMPLE else generator.choice(n, _PCA_SAMPLE, replace=False)
    if n < 2:
        return np.eye(rows.shape[1])
    units = rows[some].astype(np.float64) / norms[some, None]
    _, axes = np.linalg.eigh(units.T @ units)
    return np.ascontiguousarray(axes[:, ::-1])


def _rest(known: np.ndarray) -> np.ndarray:
    """Norm of the unknown coordinates of unit vectors, rounded up."""
    left: np.ndarray = np.sqrt(np.maximum(0.0, 1.0 - np.einsum("ij,ij->i", known, known)))
    return left + 1e-7


def _rounding(terms: int) -> float:
    """Max rounding error of a product of unit vectors with so many terms in 32-bit floats."""
    return 2 * (terms + 16) * _UNIT + 1e-7
