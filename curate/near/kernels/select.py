"""Compiled loops of selection: gains of facility location, kept up to date."""

from __future__ import annotations

from typing import Any

from curate.near.kernels.jit import jit


@jit
def cover(likeness: Any, weights: Any, chosen: int, covered: Any, gains: Any) -> None:
    """Choose a point: raise what it covers, lower what others would still add.

    Args:
        likeness: Symmetric, not negative.
        weights: Of each point as one that is to be covered.
        chosen: The point.
        covered: Likeness of each point to the nearest chosen one.
        gains: What each point would add.
    """
    for i in range(covered.size):
        old, new = covered[i], likeness[chosen, i]
        if new <= old:
            continue
        covered[i] = new
        weight = weights[i]
        for j in range(gains.size):
            like = likeness[i, j]
            gains[j] -= weight * (max(like - old, 0.0) - max(like - new, 0.0))
