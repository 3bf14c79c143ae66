"""Which answers are shown together, in which orders, and what the replies say of all.

One token tells a whole list: the probabilities of the letters (first-token ranking, FIRST, Reddy et
al. 2024). Each answer stands in each place as often as in any other (permutation self-consistency,
Tang et al. 2023), so a pull of a place counts for all alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pairwright.dataset.ids import stable_id

# Above no probability at all: its logarithm must exist.
_FLOOR = 1e-6
_PRIOR = 0.01


def dealt(
    ids: Sequence[str], *, size: int, rounds: int, sample: str, seed: int
) -> list[tuple[str, ...]]:
    """Groups of at most `size`, dealt anew each round; one group if all fit into it."""
    if len(ids) <= size:
        return [_drawn(ids, "group", seed, sample, 0)]
    groups = []
    for number in range(rounds):
        deck = _drawn(ids, "group", seed, sample, number)
        piles = math.ceil(len(deck) / size)
        groups += [deck[place::piles] for place in range(piles)]
    return groups


def rotations(group: Sequence[str], orders: int | None) -> list[tuple[str, ...]]:
    """The group turned round, evenly: all turns put each answer into each place once."""
    n = len(group)
    wanted = n if orders is None else orders
    turns = [number * n // wanted if wanted < n else number % n for number in range(wanted)]
    return [(*group[turn:], *group[:turn]) for turn in turns]


def mean_best(shown: Sequence[Sequence[str]], probs: Sequence[Sequence[float]]) -> dict[str, float]:
    """Mean over the orders of each answer's probability to be the best of its group."""
    out = dict.fromkeys(shown[0], 0.0)
    for order, told in zip(shown, probs, strict=True):
        mass = sum(told)
        for one, p in zip(order, told, strict=True):
            out[one] += p / mass / len(shown)
    return out


def combined(ids: Sequence[str], groups: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """P(best of all) of every answer.

    Of one group, what it says. Several are joined by Plackett-Luce: P(best of a group) depends on
    who else is in it, which means of probabilities would ignore; for one group both are the same.
    """
    if len(groups) == 1:
        return dict(groups[0])
    import numpy as np

    from judge.pairwise.strength import plackett_luce

    place = {one: number for number, one in enumerate(ids)}
    members = [np.array([place[one] for one in group]) for group in groups]
    shares = [np.maximum(_FLOOR, np.array(list(group.values()))) for group in groups]
    theta = plackett_luce(len(ids), members, shares, prior=_PRIOR)
    best = np.exp(theta - theta.max())
    return dict(zip(ids, (best / best.sum()).tolist(), strict=True))


def _drawn(ids: Sequence[str], *seed: object) -> tuple[str, ...]:
    return tuple(sorted(ids, key=lambda one: stable_id(*seed, one)))
