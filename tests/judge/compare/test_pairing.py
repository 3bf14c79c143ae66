import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from judge.compare.pairing import (
    against_baseline,
    default_rounds,
    oriented,
    round_robin,
    swiss_round,
    swiss_rounds,
)


def ids_of(n):
    return [f"r{number:02}" for number in range(n)]


def unordered(pairs):
    return [frozenset(pair) for pair in pairs]


def test_round_robin_has_every_pair_once():
    pairs = round_robin(ids_of(5), sample="s")
    assert len(pairs) == 10
    assert set(unordered(pairs)) == {frozenset(p) for p in itertools.combinations(ids_of(5), 2)}
    assert pairs == round_robin(reversed(ids_of(5)), sample="s")


def test_a_limited_round_robin_uses_all_equally_often():
    pairs = round_robin(ids_of(6), sample="s", max_pairs=6)
    assert len(set(unordered(pairs))) == 6
    meetings = [sum(one in pair for pair in pairs) for one in ids_of(6)]
    assert meetings == [2] * 6
    assert pairs != round_robin(ids_of(6), sample="s", max_pairs=6, seed=1)


def test_the_first_shown_does_not_depend_on_the_order_given():
    assert oriented("x", "y", sample="s") == oriented("y", "x", sample="s")
    first = [oriented("x", "y", sample=f"s{n}")[0] for n in range(1000)]
    assert 440 < first.count("x") < 560  # within 3.8 standard deviations of half


def test_a_baseline_is_compared_with_all_others_once():
    pairs = against_baseline(ids_of(4), "r02", sample="s", excluded=[frozenset(("r02", "r03"))])
    assert sorted(map(sorted, pairs)) == [["r00", "r02"], ["r01", "r02"]]
    assert len(against_baseline(ids_of(9), "r02", sample="s", max_pairs=3)) == 3


@pytest.mark.parametrize(("n", "rounds"), [(0, 0), (1, 0), (2, 2), (4, 3), (5, 4), (8, 4), (16, 5)])
def test_default_rounds(n, rounds):
    assert default_rounds(n) == rounds


def test_neighbors_in_points_are_compared_once():
    points = {"w": 2.0, "x": 2.0, "y": 1.0, "z": 0.0}
    met = {frozenset("wx")}
    pairs = swiss_round("wxyz", points, met, number=1, sample="s")
    # One of w and x comes first and cannot meet the other: it meets y; who is left meets z.
    found = {frozenset(p) for p in pairs}
    assert found in ({frozenset("wy"), frozenset("xz")}, {frozenset("xy"), frozenset("wz")})
    assert swiss_round("wx", points, met, number=1, sample="s") == []


@settings(max_examples=60, deadline=None)
@given(n=st.integers(2, 12), rounds=st.integers(1, 14), seed=st.integers(0, 5))
def test_swiss_rounds_never_repeat_a_pair_and_replay_the_same(n, rounds, seed):
    strengths = {one: number for number, one in enumerate(ids_of(n))}

    def result_of(pair):
        return float(strengths[pair[0]] > strengths[pair[1]])

    met = []
    for number in range(1, rounds + 1):
        pairs = swiss_rounds(ids_of(n), result_of, rounds=number, sample="s", seed=seed)
        again = swiss_rounds(ids_of(n)[::-1], result_of, rounds=number, sample="s", seed=seed)
        assert pairs == again
        assert len({one for pair in pairs for one in pair}) == 2 * len(pairs)
        met += unordered(pairs)
    assert len(met) == len(set(met))
    assert len(met) <= n * (n - 1) // 2


def test_results_of_a_round_do_not_change_that_round():
    ids, results = ids_of(8), {}
    first = swiss_rounds(ids, results.get, rounds=1, sample="s")
    results[first[0]] = 1.0  # a run that was killed within the round
    assert swiss_rounds(ids, results.get, rounds=1, sample="s") == first


def test_swiss_comes_close_to_round_robin_with_a_fraction_of_the_comparisons():
    rng = random.Random(0)
    n, rounds, taus, asked = 16, 6, {"swiss": [], "all": []}, 0
    for trial in range(60):
        truth = {one: rng.gauss(0, 2) for one in ids_of(n)}
        seen = {}

        def judge(pair, truth=truth, seen=seen):
            if pair not in seen:
                seen[pair] = float(
                    rng.random() < 1 / (1 + math.exp(truth[pair[1]] - truth[pair[0]]))
                )
            return seen[pair]

        sample = f"s{trial}"
        for kind in taus:
            if kind == "swiss":
                played = [
                    pair
                    for number in range(1, rounds + 1)
                    for pair in swiss_rounds(ids_of(n), judge, rounds=number, sample=sample)
                ]
                asked += len(played)
            else:
                played = round_robin(ids_of(n), sample=sample)
            taus[kind].append(_tau(truth, played, judge))
    swiss, full = (sum(found) / len(found) for found in (taus["swiss"], taus["all"]))
    assert asked == 60 * rounds * n // 2  # 48 of 120 pairs
    assert full > 0.7
    assert swiss > full - 0.12


def _tau(truth, pairs, judge):
    import numpy as np

    from judge.pairwise.strength import bradley_terry

    names = list(truth)
    first, second = (np.array([names.index(p[k]) for p in pairs]) for k in (0, 1))
    wins = np.array([judge(pair) for pair in pairs])
    counts = np.column_stack([wins, 1 - wins, np.zeros(len(pairs))])
    theta = bradley_terry(len(names), first, second, counts, ties=False).theta
    return kendalltau(list(truth.values()), theta).statistic
