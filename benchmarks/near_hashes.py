"""How the search of near 64-bit hashes scales: random hashes, clusters, hashes of few bits.

    python benchmarks/near_hashes.py [--n 100000 300000 1000000] [--distance 8]

Printed: distinct hashes, number of segments chosen, CPU seconds to index and to list all near
pairs, number of pairs, and peak memory so far (pairs come in batches and are not kept).
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from curate.near.images.hamming import HashIndex


def random_hashes(n: int, generator: np.random.Generator) -> np.ndarray:
    return generator.integers(0, 2**64, n, dtype=np.uint64)


def in_clusters(n: int, size: int, generator: np.random.Generator) -> np.ndarray:
    """Half random, half in clusters whose hashes differ from the center in at most 4 bits."""
    hashes = np.repeat(random_hashes(n // (2 * size), generator), size)
    for _ in range(4):
        hashes ^= np.uint64(1) << generator.integers(0, 64, len(hashes), dtype=np.uint64)
    return np.r_[hashes, random_hashes(n - len(hashes), generator)]


def in_few_bits(n: int, generator: np.random.Generator) -> np.ndarray:
    """Only 40 bits vary, as for flat images or pages of one form."""
    mask = np.uint64(0x00FF00FFFFFFFF00)
    return random_hashes(n, generator) & mask


def main() -> None:
    """Search and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--distance", type=int, default=8)
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    for _ in HashIndex(random_hashes(100, generator), options.distance).pairs():
        pass  # compiled once per machine
    print(f"{'':26}{'hashes':>11}{'segments':>10}{'cpu s':>8}{'pairs':>13}{'peak MB':>9}")
    for n in options.n:
        kinds = {
            "random": random_hashes(n, generator),
            "clusters of 5": in_clusters(n, 5, generator),
            "clusters of 100": in_clusters(n, 100, generator),
        }
        if n <= 300_000:
            kinds["in 40 bits"] = in_few_bits(n, generator)
        for kind, hashes in kinds.items():
            distinct = np.unique(hashes)
            started = time.process_time()
            index = HashIndex(distinct, options.distance)
            pairs = sum(len(a) for a, _ in index.pairs())
            spent = time.process_time() - started
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{kind:26}{len(distinct):>11,}{index.segments:>10}{spent:>8.1f}{pairs:>13,}"
                f"{peak:>9,.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
