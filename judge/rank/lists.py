"""Which responses are shown together, in which orders, and how the replies become a ranking.

One token ranks a whole list: the probabilities of the letters (first-token ranking, FIRST, Reddy et
al. 2024). Each response is shown in each position equally often (permutation self-consistency,
Tang et al. 2023), so position bias affects all responses equally.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pairwright.dataset.ids import stable_id

# Above zero, because its logarithm must exist.
_FLOOR = 1e-6
_PRIOR = 0.01


def groups_of_size(
    ids: Sequence[str], *, size: int, rounds: int, sample: str, seed: int
) -> list[tuple[str, ...]]:
    """Groups of at most `size`, split differently in each round; one group if all fit into it."""
    if len(ids) <= size:
        return [_shuffled(ids, "group", seed, sample, 0)]
    groups = []
    for number in range(rounds):
        order = _shuffled(ids, "group", seed, sample, number)
        n = math.ceil(len(order) / size)
        groups += [order[start::n] for start in range(n)]
    return groups


def rotations(group: Sequence[str], orders: int | None) -> list[tuple[str, ...]]:
    """The group rotated evenly: all rotations put each response into each position once."""
    n = len(group)
    wanted = n if orders is None else orders
    shifts = [number * n // wanted if wanted < n else number % n for number in range(wanted)]
    return [(*group[shift:], *group[:shift]) for shift in shifts]


def mean_best(shown: Sequence[Sequence[str]], probs: Sequence[Sequence[float]]) -> dict[str, float]:
    """Mean over the orders of each response's probability to be the best of its group."""
    out = dict.fromkeys(shown[0], 0.0)
    for order, given in zip(shown, probs, strict=True):
        mass = sum(given)
        for one, p in zip(order, given, strict=True):
            out[one] += p / mass / len(shown)
    return out


def combined(ids: Sequence[str], groups: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """P(best of all) of every response.

    With one group these are its probabilities. Several groups are combined by Plackett-Luce:
    P(best of a group) depends on the other members, which a mean of probabilities would ignore.
    For one group both are the same.
    """
    if len(groups) == 1:
        return dict(groups[0])
    import numpy as np

    from judge.pairwise.strength import plackett_luce

    index = {one: number for number, one in enumerate(ids)}
    members = [np.array([index[one] for one in group]) for group in groups]
    choices = [np.maximum(_FLOOR, np.array(list(group.values()))) for group in groups]
    theta = plackett_luce(len(ids), members, choices, prior=_PRIOR)
    best = np.exp(theta - theta.max())
    return dict(zip(ids, (best / best.sum()).tolist(), strict=True))


def _shuffled(ids: Sequence[str], *seed: object) -> tuple[str, ...]:
    return tuple(sorted(ids, key=lambda one: stable_id(*seed, one)))
