"""Intervals for means of rows that come in groups."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

DRAWS = 2_000


class Interval(NamedTuple):
    """A mean and the bounds of its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """In per cent, as `71.6 % (69.2 to 74.0)`."""
        return f"{100 * self.mean:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f})"


def bootstrap_mean(
    values: Sequence[float],
    groups: Sequence[Hashable] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Mean of the values with a percentile bootstrap interval that resamples whole groups.

    Questions about one image are right or wrong together, so resampling questions makes intervals
    too narrow; resampling images does not. For the difference of two models on the same items,
    give the differences.

    Args:
        values: One number an item; booleans count as 0 and 1.
        groups: Which group an item belongs to (its image); without it, every item is its own.
        draws: Number of resamples.
        seed: Makes the interval repeatable.
        level: Share of the resampled means inside the bounds.

    Raises:
        ValueError: If there are no values, or as many groups as values are not given.
    """
    import numpy as np

    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size == 0:
        msg = "no values to take the mean of"
        raise ValueError(msg)
    names = range(numbers.size) if groups is None else groups
    if len(names) != numbers.size:
        msg = f"{numbers.size} values in {len(names)} groups: give one group a value"
        raise ValueError(msg)
    places: dict[Hashable, int] = {}
    member = np.array([places.setdefault(name, len(places)) for name in names])
    sums = np.bincount(member, weights=numbers)
    counts = np.bincount(member).astype(np.float64)
    rng = np.random.default_rng(seed)
    means = np.empty(draws)
    rows = max(1, min(draws, 4_000_000 // len(places)))
    for start in range(0, draws, rows):
        stop = min(draws, start + rows)
        picked = rng.integers(0, len(places), size=(stop - start, len(places)))
        means[start:stop] = sums[picked].sum(axis=1) / counts[picked].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(numbers.mean()), float(low), float(high))
