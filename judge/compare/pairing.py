"""Which answers to one question meet: round-robin, against a baseline, or in Swiss rounds.

Pure functions of ids, a seed and results, so that a repeated run asks the same pairs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence

from pairwright.dataset.ids import stable_id

Pair = tuple[str, str]
"""Two different answers: the first is `a`, and is shown first in the first order."""

Result = float
"""Share of the win that `a` got: 1 won, 0.5 drawn, 0 lost, or anything between."""


def oriented(one: str, other: str, *, sample: str, seed: int = 0) -> Pair:
    """The two in an order that depends on nothing but ids and seed: not on who answered."""
    low, high = sorted((one, other))
    return (low, high) if int(stable_id("order", seed, sample, low, high), 16) % 2 else (high, low)


def round_robin(
    ids: Sequence[str],
    *,
    sample: str,
    seed: int = 0,
    most: int | None = None,
    never: Collection[frozenset[str]] = (),
) -> list[Pair]:
    """Every two answers once, or some of these pairs in which all answers meet equally often.

    Args:
        ids: The answers.
        sample: Whose answers they are.
        seed: Of the draw and of the orders.
        most: Most pairs.
        never: Pairs that shall not meet.
    """
    pairs = [p for p in itertools.combinations(sorted(ids), 2) if frozenset(p) not in never]
    if most is not None and most < len(pairs):
        pairs = _even(pairs, most, lambda pair: stable_id("pair", seed, sample, *pair))
    return [oriented(*pair, sample=sample, seed=seed) for pair in pairs]


def against_baseline(
    ids: Sequence[str],
    baseline: str,
    *,
    sample: str,
    seed: int = 0,
    most: int | None = None,
    never: Collection[frozenset[str]] = (),
) -> list[Pair]:
    """Every other answer against one; see `round_robin`."""
    pairs = [
        (one, baseline)
        for one in sorted(ids)
        if one != baseline and frozenset((one, baseline)) not in never
    ]
    pairs.sort(key=lambda pair: stable_id("pair", seed, sample, *pair))
    return [oriented(*pair, sample=sample, seed=seed) for pair in pairs[:most]]


def default_rounds(n: int) -> int:
    """Swiss rounds that usually order `n` answers: one more than it takes to find the best."""
    return 0 if n < 2 else math.ceil(math.log2(n)) + 1


def swiss_round(
    ids: Sequence[str],
    points: Mapping[str, float],
    met: Collection[frozenset[str]],
    *,
    number: int,
    sample: str,
    seed: int = 0,
) -> list[Pair]:
    """Pairs of one round: neighbours in points who have not met.

    With an odd number, or where all neighbours have met, an answer sits the round out.

    Args:
        ids: The answers.
        points: What they have won so far; without an entry, nothing.
        met: Pairs that have met, or never shall.
        number: Of the round, from 0.
        sample: Whose answers they are.
        seed: Of the draw among equals.
    """
    waiting = sorted(
        ids, key=lambda i: (-points.get(i, 0.0), stable_id("swiss", seed, sample, number, i))
    )
    pairs: list[Pair] = []
    idle: list[str] = []
    while waiting:
        first = waiting.pop(0)
        other = next((i for i in waiting if frozenset((first, i)) not in met), None)
        if other is None:
            idle.append(first)
            continue
        waiting.remove(other)
        pairs.append((first, other))
    _seat(idle, pairs, met)
    return [oriented(*pair, sample=sample, seed=seed) for pair in pairs]


def _seat(idle: list[str], pairs: list[Pair], met: Collection[frozenset[str]]) -> None:
    """Give two that are left and have met other partners: those of a pair that can part."""
    for one, other in zip(idle[::2], idle[1::2], strict=False):
        splits = (
            (place, (one, mine), (other, yours))
            for place in reversed(range(len(pairs)))
            for mine, yours in (pairs[place], pairs[place][::-1])
        )
        for place, *new in splits:
            if not any(frozenset(pair) in met for pair in new):
                pairs[place : place + 1] = new
                break


def swiss_rounds(
    ids: Sequence[str],
    result_of: Callable[[Pair], Result | None],
    *,
    rounds: int,
    sample: str,
    seed: int = 0,
    never: Collection[frozenset[str]] = (),
) -> list[Pair]:
    """Pairs of the last of some rounds, all earlier ones played again from their results.

    Replaying needs no record of which round a result belongs to, so a run that was killed within
    a round goes on where it was.

    Args:
        ids: The answers.
        result_of: Result of a pair, if it has one; one that has none counts as drawn.
        rounds: Rounds up to and including the wanted one.
        sample: Whose answers they are.
        seed: Of the draw among equals.
        never: Pairs that shall not meet.
    """
    points = dict.fromkeys(ids, 0.0)
    met = set(never)
    pairs: list[Pair] = []
    for number in range(rounds):
        for pair in pairs:
            share = result_of(pair)
            share = 0.5 if share is None else share
            points[pair[0]] += share
            points[pair[1]] += 1 - share
        pairs = swiss_round(ids, points, met, number=number, sample=sample, seed=seed)
        met.update(frozenset(pair) for pair in pairs)
        sitting = set(ids).difference(*pairs) if pairs else set()
        for one in sitting:  # not their fault
            points[one] += 0.5
    return pairs


def _even(pairs: list[Pair], most: int, draw: Callable[[Pair], str]) -> list[Pair]:
    """Some pairs, whose answers have met least so far first."""
    meetings = dict.fromkeys(itertools.chain.from_iterable(pairs), 0)
    left = sorted(pairs, key=draw)
    picked = []
    for _ in range(most):
        best = min(left, key=lambda pair: sorted((meetings[i] for i in pair), reverse=True))
        left.remove(best)
        picked.append(best)
        for one in best:
            meetings[one] += 1
    return picked
