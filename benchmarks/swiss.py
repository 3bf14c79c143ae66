"""How well a number of comparisons orders N responses: Swiss rounds against all pairs.

    python benchmarks/swiss.py

Simulated judges: responses with normally distributed strengths (`spread`, in log-odds), and a position
bias (`bias`, in log-odds) that asking both orders averages out. Each judge has its own
opinion of each pair (`noise`, in log-odds), which asking again would not change.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable

import numpy as np
from scipy.stats import kendalltau

from judge.compare.pairing import Pair, default_rounds, round_robin, swiss_rounds
from judge.pairwise.strength import bradley_terry

Judge = Callable[[Pair], float]


def make_judge(truth: dict[str, float], rng: random.Random, noise: float, bias: float) -> Judge:
    """The win of a, as the mean of both orders."""
    seen: dict[Pair, float] = {}

    def judge(pair: Pair) -> float:
        if pair not in seen:
            gap = truth[pair[0]] - truth[pair[1]] + rng.gauss(0, noise)
            first, second = (1 / (1 + math.exp(-gap - shift)) for shift in (bias, -bias))
            seen[pair] = (first + second) / 2
        return seen[pair]

    return judge


def quality(truth: dict[str, float], pairs: list[Pair], judge: Judge) -> tuple[float, bool]:
    """Kendall's tau of the fitted strengths with the true ones, and whether the best is found."""
    names = list(truth)
    first, second = (np.array([names.index(pair[side]) for pair in pairs]) for side in (0, 1))
    wins = np.array([judge(pair) for pair in pairs])
    counts = np.column_stack([wins, 1 - wins, np.zeros(len(pairs))])
    theta = bradley_terry(len(names), first, second, counts, ties=False).theta
    true = list(truth.values())
    is_found = int(np.argmax(theta)) == int(np.argmax(true))
    return float(kendalltau(true, theta).statistic), is_found


def pairs_of(scheme: str, ids: list[str], judge: Judge, sample: str) -> list[Pair]:
    """The pairs that a scheme asks about."""
    rounds = default_rounds(len(ids))
    played = [
        pair
        for number in range(1, rounds + 1)
        for pair in swiss_rounds(ids, judge, rounds=number, sample=sample)
    ]
    if scheme == "swiss":
        return played
    return round_robin(ids, sample=sample, max_pairs=None if scheme == "all" else len(played))


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--spread", type=float, default=1.5)
    parser.add_argument("--noise", type=float, default=1.5)
    parser.add_argument("--bias", type=float, default=1.0)
    options = parser.parse_args()
    write = sys.stdout.write
    write(
        "| responses | pairing | comparisons | Kendall's tau | best found |\n|--:|---|--:|--:|--:|\n"
    )
    for n in (4, 8, 16, 32):
        rng = random.Random(n)
        found: dict[str, list[tuple[float, bool]]] = {"all": [], "swiss": [], "random": []}
        asked = dict.fromkeys(found, 0)
        for trial in range(options.trials):
            truth = {f"r{i}": rng.gauss(0, options.spread) for i in range(n)}
            judge = make_judge(truth, rng, options.noise, options.bias)
            for scheme, results in found.items():
                pairs = pairs_of(scheme, list(truth), judge, f"{n}/{trial}")
                results.append(quality(truth, pairs, judge))
                asked[scheme] += len(pairs)
        for scheme, results in found.items():
            mean, best = np.mean(results, axis=0)
            per = asked[scheme] / options.trials
            write(f"| {n} | {scheme} | {per:.0f} | {mean:.3f} | {100 * best:.0f} % |\n")


if __name__ == "__main__":
    main()
