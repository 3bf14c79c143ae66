"""Diverse subsets of vectors: facility location and k-center, each with a weight for quality.

Points are distinct vectors. A point has one or more rows, which are selected one at a time, the
best row first. Both methods are exact greedy algorithms: only work is avoided, the choices are
those of the plain algorithm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from curate.near.vectors.base import unit

_BATCH = 32_768
_POOL = 4096
# Smaller gains are rounding errors.
_MIN_GAIN = 1e-6
# Distance of opposite vectors.
_MAX_DISTANCE = 2**0.5


@dataclass(frozen=True, slots=True)
class Points:
    """n distinct vectors and the rows that have them.

    The rows of point p are `rows[at[p] : at[p + 1]]`, in the order in which they are selected.

    Attributes:
        vectors: [n, width] unit vectors, 16-bit floats.
        at: [n + 1] offsets.
        rows: Row numbers.
        quality: Quality of each row from 0 to 1, by row number.
        tie: [n] rank of each point, which decides ties.
    """

    vectors: np.ndarray
    at: np.ndarray
    rows: np.ndarray
    quality: np.ndarray
    tie: np.ndarray

    def __len__(self) -> int:
        """Number of points."""
        return len(self.at) - 1

    def take(self, chosen: np.ndarray) -> Points:
        """Some of the points, with all their rows."""
        lengths = np.diff(self.at)[chosen]
        at = np.r_[0, np.cumsum(lengths)].astype(np.int64)
        positions = np.arange(at[-1]) + np.repeat(self.at[chosen] - at[:-1], lengths)
        rows = self.rows[positions]
        return Points(self.vectors[chosen], at, rows, self.quality, self.tie[chosen])

    def dense(self, chosen: np.ndarray | slice) -> np.ndarray:
        """[k, width] unit vectors of some points, 32-bit floats."""
        return unit(self.vectors[chosen])


class Picks(NamedTuple):
    """Selected rows in the order of selection, and the gain of each when it was selected."""

    rows: np.ndarray
    gains: np.ndarray


def facility_location(
    points: Points, budget: int, *, quality: float = 0.0, floor: float = 0.0,
    of: tuple[int, int] | None = None,
) -> Picks:  # fmt: skip
    """Select rows that represent all: maximize the similarity of each row to its nearest selected.

    The greedy choice reaches at least 1 - 1/e (63 %) of the best value of the objective
    `(1 - quality) * coverage + quality * mean quality`, which is monotone and submodular. The
    matrix of all similarities is in memory.

    Args:
        points: The points.
        budget: Rows to select.
        quality: Weight of the quality.
        floor: Cosine that counts as similarity 0.
        of: If these are a part of all points: number of all rows, and the whole budget.
    """
    from curate.near.kernels import select as kernels

    similarity = _similarity(points, floor)
    weights = np.diff(points.at).astype(np.float64)
    total, whole = of or (weights.sum(), budget)
    scale = (1 - quality) / total
    covered = np.zeros(len(points), dtype=np.float32)
    gains = np.concatenate(
        [similarity[s : s + 512].astype(np.float64) @ weights for s in range(0, len(points), 512)]
    )
    taken = points.at[:-1].copy()
    bonus = quality / whole * points.quality[points.rows[taken]]
    rows: list[int] = []
    values: list[float] = []
    for _ in range(min(budget, len(points.rows))):
        value = np.where(gains > _MIN_GAIN, gains, 0.0) * scale + bonus
        ties = np.flatnonzero(value == value.max())
        p = int(ties[np.argmin(points.tie[ties])])
        rows.append(int(points.rows[taken[p]]))
        values.append(float(value[p]))
        kernels.cover(similarity, weights, p, covered, gains)
        taken[p] += 1  # the other rows of the point add nothing but their quality
        left = taken[p] < points.at[p + 1]
        bonus[p] = quality / whole * points.quality[points.rows[taken[p]]] if left else -np.inf
    return Picks(np.array(rows, dtype=np.int64), np.array(values))


def _similarity(points: Points, floor: float) -> np.ndarray:
    """[n, n] similarities: 0 for a cosine at the floor or below, 1 for equal vectors."""
    dense = points.dense(slice(None))
    similarity: np.ndarray = dense @ dense.T
    similarity -= np.float32(floor)
    np.maximum(similarity, 0, out=similarity)
    similarity /= np.float32(1 - floor)
    np.fill_diagonal(similarity, np.any(dense, axis=1))  # exactly 1, so that ties are ties
    return similarity


def proportional(sizes: np.ndarray, total: int) -> np.ndarray:
    """[n] whole parts of a total in proportion to n sizes, none above its size."""
    exact = sizes * min(1.0, total / max(1, sizes.sum()))
    whole: np.ndarray = np.floor(exact).astype(np.int64)
    order = np.lexsort((np.arange(len(sizes)), whole - exact))
    whole[order[: min(total, int(sizes.sum())) - whole.sum()]] += 1
    return whole


def k_center(
    points: Points, budget: int, *, quality: float = 0.0, pool: int = _POOL,
    advance: Callable[[int], None] = lambda rows: None,
) -> Picks:  # fmt: skip
    """Select rows so that no row is far from a selected one: the farthest row comes next.

    With `quality` 0 the largest remaining distance is at most twice the smallest possible one.
    Otherwise the row with the largest `(1 - quality) * distance + quality * quality of the row`
    comes next. The distance is that of the unit vectors, divided by that of orthogonal vectors.

    A pass over all points updates all distances. Between two passes only a pool of the points with
    the largest values is updated. Values never increase, so a choice from the pool is right while
    its value is above the largest value outside the pool at the last pass.

    Args:
        points: The points.
        budget: Rows to select.
        quality: Weight of the quality.
        pool: Min size of the pool.
        advance: Called with the number of rows selected since the last call.
    """
    state = _FarthestFirst(points, quality)
    budget, size = min(budget, len(points.rows)), pool
    while len(state.rows) < budget:
        n_selected = state.update_all()
        if n_selected:
            advance(n_selected)
            # A pass costs much more than a choice: with few choices per pass the pool grows.
            grown = min(2 * size, len(points) // 16)
            size = max(grown if n_selected < size // 64 else size // 2, pool)
        state.select_from_pool(min(size, len(points)), budget)
    advance(len(state.pending))
    return Picks(np.array(state.rows, dtype=np.int64), np.array(state.gains))


class _FarthestFirst:
    """The state of `k_center`.

    Attributes:
        rows: Selected rows.
        gains: Value of each selected row when it was selected.
        pending: Points selected since the last pass over all points.
    """

    def __init__(self, points: Points, quality: float) -> None:
        self._points, self._quality = points, quality
        self._next = points.at[:-1].copy()  # position of the next row of each point
        self._distance = np.full(len(points), _MAX_DISTANCE, dtype=np.float32)
        self._row_quality = points.quality[points.rows[self._next]].astype(np.float32)
        self._used_up = np.zeros(len(points), dtype=bool)
        self.rows: list[int] = []
        self.gains: list[float] = []
        self.pending: list[int] = []

    def update_all(self) -> int:
        """Update the distance of all points to the pending ones; returns their number."""
        n = len(self.pending)
        if n:
            self._measure(np.unique(self.pending))
            self.pending.clear()
        return n

    def select_from_pool(self, size: int, budget: int) -> None:
        """Select rows of the `size` most valuable points while the choice is certain."""
        tie = self._points.tie
        pool, limit = _largest(self._values(slice(None)), tie, size)
        dense = self._points.dense(pool)
        while len(self.rows) < budget:
            values = self._values(pool)
            best = float(values.max())
            if self.pending and best <= limit:
                return
            ties = np.flatnonzero(values == best)
            chosen = int(ties[np.argmin(tie[pool[ties]])])
            self._select(int(pool[chosen]), best)
            near = _distance(dense @ dense[chosen])
            near[chosen] = 0.0
            self._distance[pool] = np.minimum(self._distance[pool], near)

    def _values(self, which: np.ndarray | slice) -> np.ndarray:
        """Value of the next row of some points; -inf if all rows are selected."""
        distance, quality = self._distance[which], self._row_quality[which]
        value = (1 - self._quality) * distance + self._quality * quality
        return np.where(self._used_up[which], -np.inf, value)

    def _select(self, p: int, gain: float) -> None:
        points = self._points
        self.rows.append(int(points.rows[self._next[p]]))
        self.gains.append(gain)
        self.pending.append(p)
        self._next[p] += 1
        if self._next[p] < points.at[p + 1]:
            self._row_quality[p] = points.quality[points.rows[self._next[p]]]
        else:
            self._used_up[p] = True

    def _measure(self, chosen: np.ndarray) -> None:
        """Lower each point's distance to that of the nearest of the chosen points."""
        centers = self._points.dense(chosen).T
        for start in range(0, len(self._points), _BATCH):
            part = slice(start, start + _BATCH)
            dense = self._points.dense(part)
            near = np.full(len(dense), -1.0, dtype=np.float32)
            for column in range(0, centers.shape[1], 1024):
                np.maximum(near, (dense @ centers[:, column : column + 1024]).max(axis=1), out=near)
            self._distance[part] = np.minimum(self._distance[part], _distance(near))
        self._distance[chosen] = 0.0


def _largest(values: np.ndarray, tie: np.ndarray, size: int) -> tuple[np.ndarray, float]:
    """The points with the largest values, and the largest value of the others."""
    if size >= len(values):
        return np.arange(len(values)), -np.inf
    order = np.argpartition(-values, size)
    some, limit = order[:size], float(values[order[size]])
    if float(values[some].max()) == limit:  # one value fills the pool: the ties decide
        same = np.flatnonzero(values == limit)
        some = same[np.argsort(tie[same], kind="stable")[:size]]
    return np.sort(some), limit


def _distance(cosine: np.ndarray) -> np.ndarray:
    """Distances of unit vectors; 1 for orthogonal vectors."""
    distance: np.ndarray = np.sqrt(np.maximum(1 - cosine, 0))
    return distance
