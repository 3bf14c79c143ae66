"""Intervals for means and other statistics of rows that come in groups."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 2_000


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
    resamples: int = RESAMPLES,
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
        resamples: Number of resamples.
        seed: Makes the interval repeatable.
        level: Fraction of the resampled means inside the bounds.

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
    means = np.empty(resamples)
    rows = max(1, min(resamples, 4_000_000 // len(places)))
    for start in range(0, resamples, rows):
        stop = min(resamples, start + rows)
        picked = rng.integers(0, len(places), size=(stop - start, len(places)))
        means[start:stop] = sums[picked].sum(axis=1) / counts[picked].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(numbers.mean()), float(low), float(high))


def bootstrap(
    statistic: Callable[[NDArray[np.float64]], float],
    groups: Sequence[Hashable],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """A statistic of rows with a percentile bootstrap interval that resamples whole groups.

    Args:
        statistic: Its value where each row counts as often as its weight.
        groups: Which group a row belongs to (its image).
        resamples: Number of resamples.
        seed: Makes the interval repeatable.
        level: Fraction of the resampled values inside the bounds.

    Returns:
        The value with all weights one, and the bounds. Resamples for which the statistic does not
        exist (not a number) are left out; bounds are not numbers where fewer than half remain.
    """
    import numpy as np

    places: dict[Hashable, int] = {}
    member = np.array([places.setdefault(name, len(places)) for name in groups], dtype=np.int64)
    value = statistic(np.ones(member.size))
    n = len(places)
    rng = np.random.default_rng(seed)
    found = np.empty(resamples)
    for number in range(resamples):
        picked = np.bincount(rng.integers(0, n, size=n), minlength=n)
        found[number] = statistic(picked.astype(np.float64)[member])
    found = found[np.isfinite(found)]
    if found.size < resamples / 2:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))
