"""Diverse subsets of vectors: facility location, and k-center by lazy farthest-first.

Both add a weight for quality. Points are different vectors; each stands for some rows, of which
one is taken at a time, the best first. Both are exact greedy: what is skipped is work, never a
better choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_ROWS = 32_768
_POOL = 4096
# Gains below are what rounding leaves of none.
_NOTHING = 1e-6
# Distance of opposite vectors.
_FARTHEST = 2**0.5


@dataclass(frozen=True, slots=True)
class Points:
    """Different vectors and the rows that have them.

    Attributes:
        vectors: Unit vectors as 16-bit floats, one a point.
        at: Where each point's rows start in `rows`, and where the last ends.
        rows: Row numbers, point after point, in the order in which they are to be taken.
        quality: Mark of each row, 0 to 1, by row number.
        tie: Rank of each point that settles ties.
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
        places = np.arange(at[-1]) + np.repeat(self.at[chosen] - at[:-1], lengths)
        return Points(self.vectors[chosen], at, self.rows[places], self.quality, self.tie[chosen])

    def dense(self, chosen: np.ndarray | slice) -> np.ndarray:
        """Unit vectors of some points as 32-bit floats."""
        return unit(self.vectors[chosen])


class Picks(NamedTuple):
    """Rows in the order of choice, and what each was worth when it was chosen."""

    rows: np.ndarray
    gains: np.ndarray


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1 as 32-bit floats; zero stays zero."""
    dense: np.ndarray = vectors.astype(np.float32)
    dense /= np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)
    return dense


def facility_location(
    points: Points, budget: int, *, quality: float = 0.0, floor: float = 0.0,
    of: tuple[int, int] | None = None,
) -> Picks:  # fmt: skip
    """Rows that stand for all: the sum over all rows of the likeness to the nearest chosen one.

    Greedy choice reaches at least 1 - 1/e (63 %) of the best possible value of the objective
    `(1 - quality) * coverage + quality * mean mark`, which is monotone and submodular. Takes the
    matrix of all likenesses into memory.

    Args:
        points: The points.
        budget: Rows to choose.
        quality: Weight of the marks.
        floor: Cosine that counts as no likeness.
        of: Where these are a part of all: the number of all rows, and the whole budget.
    """
    from curate.near.kernels import select as kernels

    likeness = _likeness(points, floor)
    weights = np.diff(points.at).astype(np.float64)
    total, whole = of or (weights.sum(), budget)
    scale = (1 - quality) / total
    covered = np.zeros(len(points), dtype=np.float32)
    gains = np.concatenate(
        [likeness[s : s + 512].astype(np.float64) @ weights for s in range(0, len(points), 512)]
    )
    taken = points.at[:-1].copy()
    marks = quality / whole * points.quality[points.rows[taken]]
    rows: list[int] = []
    worth: list[float] = []
    for _ in range(min(budget, len(points.rows))):
        value = np.where(gains > _NOTHING, gains, 0.0) * scale + marks
        ties = np.flatnonzero(value == value.max())
        p = int(ties[np.argmin(points.tie[ties])])
        rows.append(int(points.rows[taken[p]]))
        worth.append(float(value[p]))
        kernels.cover(likeness, weights, p, covered, gains)
        taken[p] += 1  # its other rows add nothing but their marks
        left = taken[p] < points.at[p + 1]
        marks[p] = quality / whole * points.quality[points.rows[taken[p]]] if left else -np.inf
    return Picks(np.array(rows, dtype=np.int64), np.array(worth))


def _likeness(points: Points, floor: float) -> np.ndarray:
    """Cosines of all pairs, 0 at the floor and below, 1 for the same."""
    dense = points.dense(slice(None))
    likeness: np.ndarray = dense @ dense.T
    likeness -= np.float32(floor)
    np.maximum(likeness, 0, out=likeness)
    likeness /= np.float32(1 - floor)
    np.fill_diagonal(likeness, np.any(dense, axis=1))  # exactly, so that ties are ties
    return likeness


def proportional(sizes: np.ndarray, total: int) -> np.ndarray:
    """Whole parts of a total in proportion to sizes, none above its size."""
    exact = sizes * min(1.0, total / max(1, sizes.sum()))
    whole: np.ndarray = np.floor(exact).astype(np.int64)
    order = np.lexsort((np.arange(len(sizes)), whole - exact))
    whole[order[: min(total, int(sizes.sum())) - whole.sum()]] += 1
    return whole


def k_center(
    points: Points, budget: int, *, quality: float = 0.0, pool: int = _POOL,
    advance: Callable[[int], None] = lambda rows: None,
) -> Picks:  # fmt: skip
    """Rows so that none is far from a chosen one: always the farthest next.

    Without a weight for quality the largest distance left is at most twice the least possible.
    With one, the next is the row with the largest `(1 - quality) * distance + quality * mark`.
    Distance is that of the unit vectors, divided by that of two at right angles.

    Only the rows with the largest values are kept up to date; values never grow, so that the next
    choice is certain as long as the best of them is above what all others had at the last pass.

    Args:
        points: The points.
        budget: Rows to choose.
        quality: Weight of the marks.
        pool: Least number of points that are kept up to date between passes over all.
        advance: Is told of rows that have been chosen.
    """
    taken = points.at[:-1].copy()
    far = np.full(len(points), _FARTHEST, dtype=np.float32)
    marks = points.quality[points.rows[taken]].astype(np.float32)
    used_up = np.zeros(len(points), dtype=bool)
    rows: list[int] = []
    gains: list[float] = []
    waiting: list[int] = []

    def worth(which: np.ndarray | slice) -> np.ndarray:
        value = (1 - quality) * far[which] + quality * marks[which]
        return np.where(used_up[which], -np.inf, value)

    def take(p: int, gain: float) -> None:
        rows.append(int(points.rows[taken[p]]))
        gains.append(gain)
        waiting.append(p)
        taken[p] += 1
        if taken[p] < points.at[p + 1]:
            marks[p] = points.quality[points.rows[taken[p]]]
        else:
            used_up[p] = True

    budget, size = min(budget, len(points.rows)), pool
    while len(rows) < budget:
        if waiting:
            _update(far, points, np.unique(waiting))
            advance(len(waiting))
            # A pass costs much more than a choice: with few choices a pass, a larger pool is cheaper.
            size = min(2 * size, len(points) // 16) if len(waiting) < size // 64 else size // 2
            size = max(size, pool)
            waiting.clear()
        some, limit = _best(worth(slice(None)), points.tie, min(size, len(points)))
        dense = points.dense(some)
        while len(rows) < budget:
            now = worth(some)
            best = float(now.max())
            if waiting and best <= limit:
                break
            ties = np.flatnonzero(now == best)
            place = int(ties[np.argmin(points.tie[some[ties]])])
            take(int(some[place]), best)
            near = _distance(dense @ dense[place])
            near[place] = 0.0
            far[some] = np.minimum(far[some], near)
    advance(len(waiting))
    return Picks(np.array(rows, dtype=np.int64), np.array(gains))


def _best(worth: np.ndarray, tie: np.ndarray, size: int) -> tuple[np.ndarray, float]:
    """The points of most worth, and the most that any other has."""
    if size >= len(worth):
        return np.arange(len(worth)), -np.inf
    order = np.argpartition(-worth, size)
    some, limit = order[:size], float(worth[order[size]])
    if float(worth[some].max()) == limit:  # one value fills the pool: the ties decide
        same = np.flatnonzero(worth == limit)
        some = same[np.argsort(tie[same], kind="stable")[:size]]
    return np.sort(some), limit


def _distance(cosine: np.ndarray) -> np.ndarray:
    """Distance of unit vectors, 1 at right angles."""
    distance: np.ndarray = np.sqrt(np.maximum(1 - cosine, 0))
    return distance


def _update(far: np.ndarray, points: Points, chosen: np.ndarray) -> None:
    """Lower each point's distance to that of the nearest of the newly chosen."""
    centres = points.dense(chosen).T
    for start in range(0, len(points), _ROWS):
        part = slice(start, start + _ROWS)
        dense = points.dense(part)
        near = np.full(len(dense), -1.0, dtype=np.float32)
        for column in range(0, centres.shape[1], 1024):
            np.maximum(near, (dense @ centres[:, column : column + 1024]).max(axis=1), out=near)
        far[part] = np.minimum(far[part], _distance(near))
    far[chosen] = 0.0
