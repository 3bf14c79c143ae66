"""Measures of agreement, each as a function of the rows' weights.

`kappa(codes, ...)` returns a `Statistic`: a function from the weight of each row to the value. So
one bootstrap (`pairwright.stats.bootstrap`) serves all of them. A measure that does not exist (all
rows of one kind) is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Statistic = Callable[[Floats], float]

Level = Literal["nominal", "ordinal", "interval"]
_NAN = float("nan")
_LARGEST_TABLE = 500_000


def mean(values: Floats) -> Statistic:
    """Weighted mean; of rows that agree, it is raw agreement."""

    def value(weights: Floats) -> float:
        return _ratio(float(weights @ values), float(weights.sum()))

    return value


def kappa(a: Ints, b: Ints, n: int, *, quadratic: bool = False) -> Statistic:
    """Cohen's kappa (1960); quadratic: Cohen's weighted kappa (1968) for ordered categories.

    Args:
        a: First rater's categories, from 0.
        b: Second rater's.
        n: Number of categories.
        quadratic: Whether a disagreement is weighted by the square of its distance.
    """
    import numpy as np

    grid = np.arange(n)
    distance = np.subtract.outer(grid, grid) ** 2 if quadratic else 1 - np.eye(n)

    def value(weights: Floats) -> float:
        table = np.bincount(a * n + b, weights=weights, minlength=n * n).reshape(n, n)
        chance = np.outer(table.sum(1), table.sum(0)) / max(table.sum(), 1e-300)
        return 1 - _ratio(float((distance * table).sum()), float((distance * chance).sum()))

    return value


def gwet_ac1(a: Ints, b: Ints, n: int) -> Statistic:
    """Gwet's AC1 (2008): chance agreement on doubtful rows only; stable for rare categories."""
    import numpy as np

    def value(weights: Floats) -> float:
        total = float(weights.sum())
        if n < 2 or total <= 0:
            return _NAN
        counts = np.bincount(a, weights, n) + np.bincount(b, weights, n)
        rate = counts / (2 * total)
        chance = float((rate * (1 - rate)).sum()) / (n - 1)
        agreed = float(weights @ (a == b)) / total
        return _ratio(agreed - chance, 1 - chance)

    return value


def alpha(ratings: Floats, level: Level) -> Statistic:
    """Krippendorff's alpha (Content Analysis, chapter 12): any number of raters, missing values.

    Args:
        ratings: One row per unit, one column per rater; NaN where a rater gave no value.
        level: How the distance of two values is measured.
    """
    import numpy as np

    known = np.isfinite(ratings)
    counts = known.sum(1).astype(np.float64)
    pairable = counts >= 2
    safe = np.maximum(counts - 1, 1)
    if level == "interval":
        x = np.where(known, ratings, 0.0)
        sums, squares = x.sum(1), (x**2).sum(1)
        spread = np.where(pairable, 2 * (counts * squares - sums**2) / safe, 0.0)
        units = pairable.astype(np.float64)
        columns = np.column_stack([spread, counts * units, sums * units, squares * units])

        def interval(weights: Floats) -> float:
            observed, n, s1, s2 = weights @ columns
            return 1 - _ratio(float((n - 1) * observed), float(2 * (n * s2 - s1**2)))

        return interval

    values = np.unique(ratings[known])
    k = values.size
    per = (ratings[:, :, None] == values).sum(1).astype(np.float64)
    pairs = per[:, :, None] * per[:, None, :] - per[:, :, None] * np.eye(k)
    pairs = np.where(pairable[:, None, None], pairs / safe[:, None, None], 0.0)
    pairs = pairs.reshape(len(pairs), k * k)

    def value(weights: Floats) -> float:
        table = (weights @ pairs).reshape(k, k)
        each = table.sum(0)
        distance = _distance(each, level)
        expected = float((np.outer(each, each) * distance).sum())
        return 1 - _ratio((float(each.sum()) - 1) * float((table * distance).sum()), expected)

    return value


def _distance(each: Floats, level: Level) -> Floats:
    import numpy as np

    k = each.size
    if level == "nominal":
        return 1 - np.eye(k)
    # Ranks between two values, with half of each end.
    middle = np.cumsum(each) - each / 2
    return np.asarray(np.subtract.outer(middle, middle) ** 2)


def pearson(x: Floats, y: Floats) -> Statistic:
    """Pearson's correlation."""
    return lambda weights: _correlation(x, y, weights)


def spearman(x: Floats, y: Floats) -> Statistic:
    """Spearman's rank correlation, ties at their mean rank."""
    first, second = _levels(x), _levels(y)
    return lambda w: _correlation(_ranks(first, w), _ranks(second, w), w)


def partial_spearman(x: Floats, y: Floats, given: Floats) -> Statistic:
    """Rank correlation of x and y with a third variable held fixed."""
    levels = [_levels(v) for v in (x, y, given)]

    def value(weights: Floats) -> float:
        a, b, c = (_ranks(one, weights) for one in levels)
        ab, ac, bc = (_correlation(p, q, weights) for p, q in ((a, b), (a, c), (b, c)))
        rest = max(0.0, 1 - ac**2) * max(0.0, 1 - bc**2)
        return _ratio(ab - ac * bc, float(rest**0.5)) if rest > 1e-12 else _NAN

    return value


def kendall(x: Floats, y: Floats) -> Statistic:
    """Kendall's tau-b (1945), from the table of both; by scipy where the table would be large."""
    import numpy as np

    few, many = sorted((_levels(x), _levels(y)), key=lambda levels: int(levels.max(initial=-1)))
    rows, columns = (int(levels.max(initial=-1)) + 1 for levels in (few, many))
    if rows * columns > _LARGEST_TABLE:
        return _kendall_of_rows(x, y)
    cells = few * columns + many

    def value(weights: Floats) -> float:
        table = np.bincount(cells, weights, rows * columns).reshape(rows, columns)
        # Of each cell: the weight in columns before it, in its row (`left`) and in rows up to it.
        left = np.cumsum(table, 1) - table
        upto = np.cumsum(left, 0)
        # Rows above and before are concordant, rows below and before are discordant.
        surplus = 2 * np.vdot(table, upto) - np.vdot(table, left) - table.sum(0) @ upto[-1]
        n = float(table.sum())
        untied = [n * n - float((table.sum(axis) ** 2).sum()) for axis in (0, 1)]
        return _ratio(2 * float(surplus), float((untied[0] * untied[1]) ** 0.5))

    return value


def _kendall_of_rows(x: Floats, y: Floats) -> Statistic:
    import warnings

    import numpy as np
    from scipy.stats import kendalltau

    def value(weights: Floats) -> float:
        rows = np.repeat(np.arange(x.size), weights.astype(np.int64))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(kendalltau(x[rows], y[rows], method="asymptotic").statistic)

    return value


def auc(scores: Floats, good: Floats) -> Statistic:
    """Area under the ROC curve: how often a good row has the higher score; ties count half."""
    import numpy as np

    levels = _levels(scores)
    n = int(levels.max()) + 1 if levels.size else 0

    def value(weights: Floats) -> float:
        positive = np.bincount(levels, weights * good, n)
        negative = np.bincount(levels, weights * (1 - good), n)
        below = np.cumsum(negative) - negative / 2
        return _ratio(float(positive @ below), float(positive.sum() * negative.sum()))

    return value


def calibration_error(p: Floats, good: Floats, *, bins: int = 10) -> Statistic:
    """Expected calibration error over bins of equal numbers of rows (Nixon et al. 2019)."""
    import numpy as np

    member = equal_mass(p, bins)
    n = int(member.max()) + 1

    def value(weights: Floats) -> float:
        gaps = np.abs(np.bincount(member, weights * (p - good), n))
        return _ratio(float(gaps.sum()), float(weights.sum()))

    return value


def equal_mass(values: Floats, bins: int) -> Ints:
    """Bin of each row: about equally many rows per bin; equal values are in the same bin."""
    import numpy as np

    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
    found = np.searchsorted(edges, values, side="left")
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


def _levels(values: Floats) -> Ints:
    import numpy as np

    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _ranks(levels: Ints, weights: Floats) -> Floats:
    import numpy as np

    each = np.bincount(levels, weights)
    return np.asarray((np.cumsum(each) - each / 2)[levels])


def _correlation(x: Floats, y: Floats, weights: Floats) -> float:
    total = float(weights.sum())
    if total <= 0:
        return _NAN
    dx, dy = x - float(weights @ x) / total, y - float(weights @ y) / total
    spread = float(weights @ dx**2) * float(weights @ dy**2)
    scale = float(weights @ x**2) * float(weights @ y**2)
    if spread <= 1e-20 * max(scale, 1e-300):
        return _NAN
    return float(weights @ (dx * dy)) / float(spread**0.5)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else _NAN
