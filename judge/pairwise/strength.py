"""Strengths from comparisons: Bradley-Terry with ties (Davidson 1970), and Plackett-Luce.

Both are logit models and concave, so Newton's method finds the one best fit. Counts may be
probabilities. A weak prior (a normal distribution around zero) keeps a response that won or lost
everything at a finite strength, and centers the strengths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

PRIOR = 0.1
"""Precision of the prior: a standard deviation of 3.2 in log-odds."""

_STEPS = 100
_CLOSE = 1e-10


class Strengths(NamedTuple):
    """A fit.

    Attributes:
        theta: Log-strength of each; their mean is 0.
        tie: Log-weight of a tie between equals; minus infinity where ties do not exist.
    """

    theta: Floats
    tie: float


def bradley_terry(
    n: int, first: Ints, second: Ints, counts: Floats, *, ties: bool = True, prior: float = PRIOR
) -> Strengths:
    """Strengths of `n` items that were compared two at a time.

    P(i beats j) is in proportion to exp(theta_i), P(tie) to exp(tie + (theta_i + theta_j) / 2).

    Args:
        n: Number of items.
        first: Index of the first item, for each row.
        second: Index of the second item.
        counts: Wins of the first, wins of the second, ties: one row each.
        ties: Whether ties are part of the model; otherwise a tie is half a win for each.
        prior: Precision of the prior on the strengths (and 10 % of it on the ties).
    """
    size = n + ties
    design = np.zeros((len(first), 2 + ties, size))
    rows = np.arange(len(first))
    design[rows, 0, first] = 1
    design[rows, 1, second] = 1
    if ties:
        design[rows, 2, first] += 0.5
        design[rows, 2, second] += 0.5
        design[rows, 2, n] = 1
        weights = counts
    else:
        weights = counts[:, :2] + counts[:, 2:] / 2
    penalty = np.full(size, prior)
    if ties:
        penalty[n] = prior / 10
    found = _newton(design, weights, penalty)
    return Strengths(found[:n] - found[:n].mean(), float(found[n]) if ties else -np.inf)


def plackett_luce(n: int, groups: list[Ints], choices: list[Floats], *, prior: float) -> Floats:
    """Log-strengths of `n` items from first choices out of groups; their mean is 0.

    P(i is chosen out of a group) is in proportion to exp(theta_i). For one group that holds all,
    without a prior, these are the logarithms of `choices`.

    Args:
        n: Number of items.
        groups: Indices of the items in each group.
        choices: How often each of them was chosen; may be probabilities.
        prior: Precision of the prior on the strengths.
    """
    widest = max(map(len, groups))
    design = np.zeros((len(groups), widest, n))
    weights = np.zeros((len(groups), widest))
    absent = np.zeros((len(groups), widest))
    for row, (members, chosen) in enumerate(zip(groups, choices, strict=True)):
        design[row, np.arange(len(members)), members] = 1
        weights[row, : len(members)] = chosen
        absent[row, len(members) :] = -np.inf
    found = _newton(design, weights, np.full(n, prior), absent)
    return np.asarray(found - found.mean())


def win_rates(fit: Strengths) -> Floats:
    """For each item its expected win rate against one of the others."""
    n = len(fit.theta)
    if n < 2:
        return np.full(n, 0.5)
    # Differences only, clipped: exp must not overflow.
    gap = np.clip(fit.theta[:, None] - fit.theta[None, :], -500, 500)
    tie = np.exp(fit.tie)
    up, down = np.exp(gap / 2), np.exp(-gap / 2)
    rate = (up + tie / 2) / (up + down + tie)
    np.fill_diagonal(rate, 0)
    return np.asarray(rate.sum(axis=1) / (n - 1))


def _newton(
    design: Floats, weights: Floats, penalty: Floats, offset: Floats | float = 0.0
) -> Floats:
    """Coefficients of a multinomial logit with a ridge penalty."""
    x = np.zeros(len(penalty))
    totals = weights.sum(axis=1)

    def objective(x: Floats) -> tuple[float, Floats]:
        utility = design @ x + offset
        top = utility.max(axis=1, keepdims=True)
        p = np.exp(utility - top)
        total = p.sum(axis=1, keepdims=True)
        log_p = np.where(np.isfinite(utility), utility - top - np.log(total), 0.0)
        return float((weights * log_p).sum() - (penalty * x * x).sum() / 2), p / total

    value, p = objective(x)
    for _ in range(_STEPS):
        gradient = np.einsum("rk,rkp->p", weights - totals[:, None] * p, design) - penalty * x
        step = np.linalg.solve(_curvature(design, p, totals, penalty), gradient)
        x, value, p = _ascend(objective, x, step, value)
        if np.abs(step).max(initial=0.0) < _CLOSE:
            break
    return x


def _curvature(design: Floats, p: Floats, totals: Floats, penalty: Floats) -> Floats:
    mean = np.einsum("rk,rkp->rp", p, design)
    spread = np.einsum("r,rk,rkp,rkq->pq", totals, p, design, design, optimize=True)
    spread -= np.einsum("r,rp,rq->pq", totals, mean, mean, optimize=True)
    # Added to the diagonal: without a prior, strengths are known up to a constant only.
    return np.asarray(spread + np.diag(penalty + 1e-9))


def _ascend(
    objective: Callable[[Floats], tuple[float, Floats]], x: Floats, step: Floats, value: float
) -> tuple[Floats, float, Floats]:
    """The step, halved until the objective does not fall."""
    for _ in range(40):
        reached, p = objective(x + step)
        if reached >= value - 1e-12:
            return x + step, reached, p
        step = step / 2
    return x, *objective(x)
