"""Which responses to one question are compared: all pairs, with a baseline, or in Swiss rounds.

Pure functions of ids, a seed and results, so that a repeated run asks the same pairs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence

from pairwright.dataset.ids import stable_id

Pair = tuple[str, str]
"""Two different responses: the first is `a`, and is shown first in the first order."""

Result = float
"""The win of `a`: 1 for a win, 0.5 for a tie, 0 for a loss, or anything between."""


def oriented(one: str, other: str, *, sample: str, seed: int = 0) -> Pair:
    """The two in an order that depends on ids and seed only, not on the model."""
    low, high = sorted((one, other))
    return (low, high) if int(stable_id("order", seed, sample, low, high), 16) % 2 else (high, low)


def round_robin(
    ids: Sequence[str],
    *,
    sample: str,
    seed: int = 0,
    max_pairs: int | None = None,
    excluded: Collection[frozenset[str]] = (),
) -> list[Pair]:
    """All pairs of responses, or some of them in which all responses occur equally often.

    Args:
        ids: The responses.
        sample: The sample they belong to.
        seed: Of the choice of pairs and of the orders.
        max_pairs: Maximum number of pairs.
        excluded: Pairs that are never compared.
    """
    pairs = [p for p in itertools.combinations(sorted(ids), 2) if frozenset(p) not in excluded]
    if max_pairs is not None and max_pairs < len(pairs):
        pairs = _balanced(pairs, max_pairs, lambda pair: stable_id("pair", seed, sample, *pair))
    return [oriented(*pair, sample=sample, seed=seed) for pair in pairs]


def against_baseline(
    ids: Sequence[str],
    baseline: str,
    *,
    sample: str,
    seed: int = 0,
    max_pairs: int | None = None,
    excluded: Collection[frozenset[str]] = (),
) -> list[Pair]:
    """Every other response against one; see `round_robin`."""
    pairs = [
        (one, baseline)
        for one in sorted(ids)
        if one != baseline and frozenset((one, baseline)) not in excluded
    ]
    pairs.sort(key=lambda pair: stable_id("pair", seed, sample, *pair))
    return [oriented(*pair, sample=sample, seed=seed) for pair in pairs[:max_pairs]]


def default_rounds(n: int) -> int:
    """Swiss rounds that usually order `n` responses: one more than it takes to find the best."""
    return 0 if n < 2 else math.ceil(math.log2(n)) + 1


def swiss_round(
    ids: Sequence[str],
    points: Mapping[str, float],
    compared: Collection[frozenset[str]],
    *,
    number: int,
    sample: str,
    seed: int = 0,
) -> list[Pair]:
    """Pairs of one round: neighbors in points that were not compared yet.

    With an odd number, or where all neighbors were compared, a response is left out of the round.

    Args:
        ids: The responses.
        points: Their wins so far; 0 without an entry.
        compared: Pairs that were compared, or are excluded.
        number: Of the round, from 0.
        sample: The sample they belong to.
        seed: Of the order among equals.
    """
    waiting = sorted(
        ids, key=lambda i: (-points.get(i, 0.0), stable_id("swiss", seed, sample, number, i))
    )
    pairs: list[Pair] = []
    left_out: list[str] = []
    while waiting:
        first = waiting.pop(0)
        other = next((i for i in waiting if frozenset((first, i)) not in compared), None)
        if other is None:
            left_out.append(first)
            continue
        waiting.remove(other)
        pairs.append((first, other))
    _pair_left_out(left_out, pairs, compared)
    return [oriented(*pair, sample=sample, seed=seed) for pair in pairs]


def _pair_left_out(
    left_out: list[str], pairs: list[Pair], compared: Collection[frozenset[str]]
) -> None:
    """Pair two responses that are left out with those of a pair that can be split."""
    for one, other in zip(left_out[::2], left_out[1::2], strict=False):
        splits = (
            (index, (one, a), (other, b))
            for index in reversed(range(len(pairs)))
            for a, b in (pairs[index], pairs[index][::-1])
        )
        for index, *new in splits:
            if not any(frozenset(pair) in compared for pair in new):
                pairs[index : index + 1] = new
                break


def swiss_rounds(
    ids: Sequence[str],
    result_of: Callable[[Pair], Result | None],
    *,
    rounds: int,
    sample: str,
    seed: int = 0,
    excluded: Collection[frozenset[str]] = (),
) -> list[Pair]:
    """Pairs of the last of some rounds; all earlier rounds are replayed from their results.

    Replaying needs no record of which round a result belongs to, so a run that was killed within
    a round continues there.

    Args:
        ids: The responses.
        result_of: Result of a pair, if it has one; a pair without one counts as a tie.
        rounds: Number of rounds, the wanted one included.
        sample: The sample they belong to.
        seed: Of the order among equals.
        excluded: Pairs that are never compared.
    """
    points = dict.fromkeys(ids, 0.0)
    compared = set(excluded)
    pairs: list[Pair] = []
    for number in range(rounds):
        for pair in pairs:
            result = result_of(pair)
            result = 0.5 if result is None else result
            points[pair[0]] += result
            points[pair[1]] += 1 - result
        pairs = swiss_round(ids, points, compared, number=number, sample=sample, seed=seed)
        compared.update(frozenset(pair) for pair in pairs)
        left_out = set(ids).difference(*pairs) if pairs else set()
        for one in left_out:  # counts as a tie
            points[one] += 0.5
    return pairs


def _balanced(pairs: list[Pair], n: int, order: Callable[[Pair], str]) -> list[Pair]:
    """Some pairs, those first whose responses were used least."""
    used = dict.fromkeys(itertools.chain.from_iterable(pairs), 0)
    left = sorted(pairs, key=order)
    picked = []
    for _ in range(n):
        best = min(left, key=lambda pair: sorted((used[i] for i in pair), reverse=True))
        left.remove(best)
        picked.append(best)
        for one in best:
            used[one] += 1
    return picked
