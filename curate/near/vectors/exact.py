"""Near pairs by comparing all vectors, most of them by their leading dimensions only.

The vectors are turned so that the first dimensions hold most of what tells them apart (principal
directions). For the rest of two vectors, of lengths r and s, the product is at most r s
(Cauchy-Schwarz), so that

    lead . lead + r s

is never below the cosine. With r as one more coordinate this bound is a matrix product itself, of
a few dimensions in place of all. What reaches the threshold is bounded again with more dimensions,
and what is left is measured. The rounding of 32-bit floats is allowed for, so nothing is lost. How
many dimensions lead is chosen by a sample and a short trial; where no number saves time (vectors
spread evenly over the sphere) whole vectors are multiplied.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from curate.near.text.minhash import n_threads
from curate.near.vectors.search import SLACK, Cost, NearPairs, Vectors

# A block of products should stay in the second-level cache.
_BLOCK = 512
_STRIP = 16  # blocks a task
_LEADS = (8, 12, 16, 20, 24, 32, 48, 64, 96, 128)
_MIDDLE = 96
_SAMPLE, _SPREAD = 1024, 8192
# Nanoseconds that a pair takes where it is picked and bounded again, and where it is measured.
_AGAIN, _MEASURED = 150.0, 150.0
# Pairs of many blocks take this much longer than those of a trial.
_SLOWER = 1.4
_UNIT = 2.0**-24


class _Turned(NamedTuple):
    """Vectors as the sieve takes them; `middle` is `None` where whole vectors are multiplied."""

    lead: np.ndarray
    middle: np.ndarray | None


class ExactSearch:
    """All pairs, exactly."""

    def __init__(self, vectors: Vectors, threshold: float, lead: int | None = None) -> None:
        """Choose how many dimensions lead.

        Args:
            vectors: With a direction.
            threshold: Least cosine.
            lead: Leading dimensions if they are not to be chosen.
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
        """Pairs, some at a time.

        Args:
            values: Whether cosines are wanted; else they may be missing, and pairs a little below
                the threshold may be among them.
        """
        from threadpoolctl import threadpool_limits

        from pairwright.commands.progress import Progress

        if self.cost.n < 2:
            return
        turned = self._turned(self._vectors, self._lead)
        local = threading.local()
        tasks = self._tasks()
        with (
            threadpool_limits(1, user_api="blas"),  # the threads are here
            ThreadPoolExecutor(n_threads()) as pool,
            Progress("comparing vectors", self.cost.n_pairs // 1_000_000, unit="M pairs") as bar,
        ):
            waiting: deque[tuple[int, Future[NearPairs]]] = deque()
            seen = shown = 0

            def collect() -> NearPairs:
                nonlocal seen, shown
                size, future = waiting.popleft()
                seen += size
                bar.advance(seen // 1_000_000 - shown)
                shown = seen // 1_000_000
                return future.result()

            for first, starts, size in tasks:
                job = pool.submit(self._strip, turned, first, starts, values, local)
                waiting.append((size, job))
                if len(waiting) > 2 * n_threads():
                    yield collect()
            while waiting:
                yield collect()

    def _tasks(self) -> Iterator[tuple[int, range, int]]:
        """Row block, where its column blocks start, and how many pairs they are."""
        n = self.cost.n
        for first in range(0, n, _BLOCK):
            for start in range(first, n, _BLOCK * _STRIP):
                end = min(start + _BLOCK * _STRIP, n)
                yield first, range(start, end, _BLOCK), min(_BLOCK, n - first) * (end - start)

    def _strip(
        self, turned: _Turned, first: int, starts: range, values: bool, local: Any
    ) -> NearPairs:
        """Near pairs of one block of rows and some blocks of columns."""
        from curate.near.kernels import cosine as kernels

        if not hasattr(local, "products"):
            local.products = np.empty(_BLOCK * _BLOCK, dtype=np.float32)
            local.a, local.b = np.empty((2, _BLOCK * _BLOCK), dtype=np.int32)
            local.cosine = np.empty(_BLOCK * _BLOCK)
        lead, middle = turned
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
                again = np.float32(self._threshold - _rounding(lead.shape[1] + middle.shape[1]))
                a, b = local.a[:n], local.b[:n]
                n = kernels.sieve(products, lead, middle, first, second, again, a, b)
            if n:
                found.append(self._measured(local, n, first, second, values or middle is not None))
        if not found:
            none = np.empty(0, dtype=np.int32)
            return NearPairs(none, none, np.empty(0))
        a, b, cosine = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return NearPairs(self._vectors.numbers[a], self._vectors.numbers[b], cosine)

    def _measured(self, local: Any, n: int, first: int, second: int, values: bool) -> NearPairs:
        from curate.near.kernels import cosine as kernels

        a, b = local.a[:n], local.b[:n]
        if not values:
            return NearPairs(a + first, b + second, np.full(n, np.nan))
        rows, norms, _ = self._vectors
        n = kernels.measure(rows, norms, first, second, self._threshold - SLACK, a, b, local.cosine)
        return NearPairs(a[:n].copy(), b[:n].copy(), local.cosine[:n].copy())

    def _turned(self, vectors: Vectors, lead: int) -> _Turned:
        """Coordinates along the principal directions, with the lengths of what is left out."""
        n, width = vectors.rows.shape
        whole = lead >= width
        kept = width if whole else min(width, lead + _MIDDLE)
        first = np.empty((n, width if whole else lead + 1), dtype=np.float32)
        more = None if whole else np.empty((n, kept - lead + 1), dtype=np.float32)
        for start in range(0, n, _SPREAD):
            part = vectors.rows[start : start + _SPREAD].astype(np.float64)
            part /= vectors.norms[start : start + _SPREAD, None]
            here = slice(start, start + len(part))
            if more is None:
                first[here] = part
                continue
            part = part @ self._axes[:, :kept]
            first[here, :lead], more[here, :-1] = part[:, :lead], part[:, lead:]
            first[here, -1] = _rest(part[:, :lead])
            more[here, -1] = _rest(part)
        return _Turned(first, more)

    def _choose(self) -> tuple[int, float, float]:
        """Leading dimensions, share of near pairs, and nanoseconds a pair, by a sample."""
        n, width = self._vectors.rows.shape
        generator = np.random.default_rng(0)
        some = generator.choice(n, min(n, _SAMPLE), replace=False)
        rows, norms, numbers = self._vectors
        sample = Vectors(rows[some], norms[some], numbers[some])
        if len(some) < 64:
            return width, 0.0, 10.0
        turned = (sample.rows / norms[some, None]) @ self._axes
        upper = np.triu_indices(len(some), 1)
        near = float((turned @ turned.T >= self._threshold)[upper].mean())
        best = (width, self._trial(sample, width) + near * _MEASURED)
        product, done = np.zeros((len(some), len(some))), 0
        shares: dict[int, float] = {}
        for lead in sorted({*_LEADS, *(k + _MIDDLE for k in _LEADS)}):
            if lead >= width:
                break
            product += turned[:, done:lead] @ turned[:, done:lead].T
            done, rest = lead, _rest(turned[:, :lead])
            shares[lead] = float((product + np.outer(rest, rest) >= self._threshold)[upper].mean())
        for lead in _LEADS:
            if lead not in shares or shares[lead] > 0.1:
                continue
            left = shares.get(lead + _MIDDLE, near)
            spent = self._trial(sample, lead) + shares[lead] * _AGAIN + left * _MEASURED
            if spent < best[1]:
                best = (lead, spent)
        return best[0], near, best[1]

    def _trial(self, sample: Vectors, lead: int) -> float:
        """Nanoseconds that one product of so many dimensions takes, looked through."""
        from curate.near.kernels import cosine as kernels

        coordinates = self._turned(sample, lead).lead
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
    """Directions in columns, those along which unit vectors are longest first."""
    rows, norms, _ = vectors
    generator = np.random.default_rng(1)
    n = len(rows)
    some = np.arange(n) if n <= _SPREAD else generator.choice(n, _SPREAD, replace=False)
    if n < 2:
        return np.eye(rows.shape[1])
    units = rows[some].astype(np.float64) / norms[some, None]
    _, axes = np.linalg.eigh(units.T @ units)
    return np.ascontiguousarray(axes[:, ::-1])


def _rest(known: np.ndarray) -> np.ndarray:
    """Length of the unknown rest of unit vectors, never too short."""
    left: np.ndarray = np.sqrt(np.maximum(0.0, 1.0 - np.einsum("ij,ij->i", known, known)))
    return left + 1e-7


def _rounding(terms: int) -> float:
    """Most that a product of unit vectors of so many terms is off in 32-bit floats."""
    return 2 * (terms + 16) * _UNIT + 1e-7
