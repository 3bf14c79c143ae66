"""Facility location and k-center: pairwright against apricot and a plain NumPy loop.

    python benchmarks/select_rows.py [--n 5000] [--k 500] [--width 128]

Facility location selects `k` of `n` unit vectors (a mixture of 200 centers, seeded) by the same
matrix of similarities; apricot reads it (`precomputed`, lazy greedy), pairwright computes it.
k-center is compared, on ten times as many vectors, with the loop that updates all distances after
each choice. The loop of facility location is skipped if it would take minutes. Printed: CPU seconds
of the selection, the value reached (mean similarity to the nearest selected vector; largest
remaining distance) and that of a random selection. apricot is installed into a separate environment
in the temporary folder; each tool runs in a separate process with one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np
from running import keep_bytecode, peers_python

PEERS = ("apricot-select==0.6.1", "scikit-learn", "numba", "numpy")


def vectors(n: int, width: int) -> np.ndarray:
    """Unit vectors around 200 centers."""
    generator = np.random.default_rng(0)
    centers = generator.standard_normal((200, width))
    rows = centers[generator.integers(0, 200, n)] + 0.8 * generator.standard_normal((n, width))
    rows = rows.astype(np.float16).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def ours(rows: np.ndarray, k: int, goal: str) -> list[int]:
    """Our choice."""
    from curate.select.greedy import Points, facility_location, k_center

    n = len(rows)
    alone = np.arange(n + 1), np.arange(n)
    points = Points(rows.astype(np.float16), *alone, np.full(n, 0.5), np.arange(n))
    choose = facility_location if goal == "facility-location" else k_center
    return choose(points, k).rows.tolist()


def apricot(rows: np.ndarray, k: int, _: str) -> list[int]:
    """Facility location of apricot, lazy greedy."""
    from apricot import FacilityLocationSelection

    similarity = np.maximum(rows @ rows.T, 0).astype(np.float64)
    chosen = FacilityLocationSelection(k, metric="precomputed", optimizer="lazy").fit(similarity)
    return [int(i) for i in chosen.ranking]


def loop(rows: np.ndarray, k: int, goal: str) -> list[int]:
    """The definition, in numpy."""
    if goal == "k-center":
        chosen, far = [0], np.ones(len(rows)) * 2
        while len(chosen) < k:
            far = np.minimum(far, np.sqrt(np.maximum(1 - rows @ rows[chosen[-1]], 0)))
            chosen.append(int(far.argmax()))
        return chosen
    similarity = np.maximum(rows @ rows.T, 0)
    covered, chosen = np.zeros(len(rows), dtype=np.float32), []
    for _ in range(k):
        gains = np.zeros(len(rows))
        for start in range(0, len(rows), 512):
            part = similarity[start : start + 512]
            gains[start : start + 512] = np.maximum(part - covered, 0).sum(axis=1)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        np.maximum(covered, similarity[chosen[-1]], out=covered)
    return chosen


def value(rows: np.ndarray, chosen: list[int], goal: str) -> float:
    """What a choice reaches."""
    near = np.maximum(rows @ rows[chosen].T, 0).max(axis=1)
    return float(near.mean() if goal == "facility-location" else np.sqrt(1 - near.min()))


TOOLS = {"pairwright": ours, "apricot": apricot, "numpy loop": loop}


def one(tool: str, goal: str, n: int, k: int, width: int) -> None:
    """Run one tool and print what it chose and took."""
    rows = vectors(n, width)
    TOOLS[tool](rows[:300], 5, goal)  # compiles what has to be
    started = time.process_time()
    chosen = TOOLS[tool](rows, k, goal)
    print(json.dumps({"seconds": time.process_time() - started, "chosen": chosen}))


def main() -> None:
    """Run all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("n", 5000), ("k", 500), ("width", 128)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(*given.one, given.n, given.k, given.width)
        return
    keep_bytecode()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    small = given.n**2 * given.k < 2e10
    for goal, n, tools in (
        ("facility-location", given.n, ("pairwright", "apricot", "numpy loop")[: 2 + small]),
        ("k-center", 10 * given.n, ("pairwright", "numpy loop")),
    ):
        rows = vectors(n, given.width)
        random_rows = np.random.default_rng(1).choice(n, given.k, replace=False).tolist()
        print(f"{goal}: {given.k:,} of {n:,} vectors of {given.width}, one thread")
        print(f"  {'random':<12} {'':>10}   value {value(rows, random_rows, goal):.4f}")
        for tool in tools:
            python = peers_python("select", PEERS, None) if tool == "apricot" else sys.executable
            sizes = [f"--n={n}", f"--k={given.k}", f"--width={given.width}"]
            command = [python, __file__, "--one", tool, goal, *sizes]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode:
                print(f"  {tool:<12} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            reached = value(rows, found["chosen"], goal)
            print(f"  {tool:<12} {found['seconds']:8.2f} s   value {reached:.4f}")


if __name__ == "__main__":
    main()
