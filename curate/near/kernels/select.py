"""Compiled loop of facility location: updates the gains after a choice."""

from __future__ import annotations

from typing import Any

from curate.near.kernels.jit import jit


@jit
def cover(similarity: Any, weights: Any, chosen: int, covered: Any, gains: Any) -> None:
    """Choose a point: update the coverage, and the gains of the other points.

    Args:
        similarity: [n, n] symmetric, not negative.
        weights: [n] weight of each point in the coverage.
        chosen: The point.
        covered: [n] similarity of each point to its nearest chosen point.
        gains: [n] coverage that each point would add.
    """
    for i in range(covered.size):
        old, new = covered[i], similarity[chosen, i]
        if new <= old:
            continue
        covered[i] = new
        weight = weights[i]
        for j in range(gains.size):
            value = similarity[i, j]
            gains[j] -= weight * (max(value - old, 0.0) - max(value - new, 0.0))
