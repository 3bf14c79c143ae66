"""Text near-duplicates: pairwright's MinHash against datasketch's, on the same texts in one run.

    python benchmarks/dedup_text.py [--n 50000] [--threshold 0.7] [--seed 1]

Texts are seeded; a fifth of them are copies of others with words replaced, so that their exact
Jaccard coefficients are known and spread round the threshold. Both sides keep the first of every
kind and remove later texts. datasketch is used as its documentation shows: one `MinHash` a text
(with the same hash function as ours, which is faster than its default), then `MinHashLSH`, with its
own choice of bands and with ours; it does not verify what the bands propose.

What is printed: wall and processor seconds, ratio of the latter (other programs do not disturb it), rows removed, how many of them are below the threshold to every
text that the tool matched them to, and how many planted pairs at or above it are left.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import polars as pl

from curate.minhash import choose_bands, minhash_groups, shingle_hash32

NUM_PERM = 128


def make_texts(n: int, seed: int) -> tuple[list[str], list[tuple[int, int]]]:
    """Texts of 8 to 40 words, and which one each planted copy was made of."""
    generator = np.random.default_rng(seed)
    words = np.array([f"word{i}" for i in range(20_000)])
    weight = 1 / np.arange(10, len(words) + 10)
    weight /= weight.sum()
    n_copies = n // 5
    lengths = generator.integers(8, 41, n - n_copies)
    drawn = generator.choice(len(words), int(lengths.sum()), p=weight)
    originals = np.split(drawn, np.cumsum(lengths)[:-1])
    sources = generator.integers(0, len(originals), n_copies)
    copies = []
    for source in sources:
        copy = originals[source].copy()
        changes = generator.integers(0, max(2, len(copy) // 8))
        copy[generator.integers(0, len(copy), changes)] = generator.integers(0, len(words), changes)
        copies.append(copy)
    order = generator.permutation(n)
    place = np.argsort(order)
    everything = originals + copies
    texts = [" ".join(words[everything[k]]) for k in order]
    pairs = [(int(place[s]), int(place[len(originals) + k])) for k, s in enumerate(sources)]
    return texts, [(min(pair), max(pair)) for pair in pairs]


def shingles(text: str) -> set[bytes]:
    """Word triples, as both sides use them."""
    words = text.split()
    return {" ".join(words[i : i + 3]).encode() for i in range(len(words) - 2)}


def jaccard(a: set[bytes], b: set[bytes]) -> float:
    """Exact Jaccard coefficient."""
    return len(a & b) / len(a | b)


def run_ours(texts: list[str], threshold: float) -> dict[int, list[int]]:
    """Removed rows, and the row that each matched."""
    found = minhash_groups(pl.Series(texts), threshold=threshold, num_perm=NUM_PERM)
    removed = found.with_row_index("row").filter(~pl.col("kept"))
    return {row: [kept] for row, kept in zip(removed["row"], removed["kept_index"], strict=True)}


def sketch(texts: list[str]) -> list[object]:
    """Signatures by datasketch; permutations are drawn once."""
    from datasketch import MinHash

    empty = MinHash(NUM_PERM, hashfunc=shingle_hash32)
    out = []
    for text in texts:
        one = empty.copy()
        one.update_batch(shingles(text))
        out.append(one)
    return out


def run_datasketch(
    sketches: list[object], threshold: float, bands: tuple[int, int] | None
) -> dict[int, list[int]]:
    """Removed rows, and the kept rows that the index proposed for each."""
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=threshold, num_perm=NUM_PERM, params=bands)
    removed = {}
    for row, one in enumerate(sketches):
        matches = index.query(one)
        if matches:
            removed[row] = list(matches)
        else:
            index.insert(row, one, check_duplication=False)
    return removed


def timed(work: Callable[[], object]) -> tuple[object, np.ndarray]:
    """Result, and wall and processor seconds."""
    started = time.perf_counter(), time.process_time()
    result = work()
    return result, np.array([time.perf_counter() - started[0], time.process_time() - started[1]])


def main() -> None:
    """Run both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=50_000, help="texts")
    parser.add_argument("--threshold", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ours-only", action="store_true", help="for sizes datasketch is slow at")
    options = parser.parse_args()
    texts, pairs = make_texts(options.n, options.seed)
    sets = [shingles(text) for text in texts] if not options.ours_only else []
    planted = [p for p in pairs if sets and jaccard(sets[p[0]], sets[p[1]]) >= options.threshold]
    print(f"{options.n:,} texts, {len(planted):,} planted pairs at {options.threshold:g} or more")
    minhash_groups(pl.Series(texts[:100]))  # compiled once a machine, not once a run
    ours, seconds = timed(lambda: run_ours(texts, options.threshold))
    results = [("pairwright", ours, seconds)]
    if not options.ours_only:
        sketches, sketching = timed(lambda: sketch(texts))
        for bands in (None, choose_bands(options.threshold, NUM_PERM)):
            removed, matching = timed(
                lambda bands=bands: run_datasketch(sketches, options.threshold, bands)
            )
            name = (
                "datasketch, its bands" if bands is None else f"datasketch, {bands[0]} x {bands[1]}"
            )
            results.append((name, removed, sketching + matching))
    print(
        f"{'':24}{'wall s':>9}{'cpu s':>8}{'ratio':>8}{'removed':>9}{'below':>7}{'pairs left':>12}"
    )
    for name, removed, spent in results:
        below = sum(
            max(jaccard(sets[row], sets[kept]) for kept in matches) < options.threshold
            for row, matches in removed.items()
            if sets
        )
        left = sum(a not in removed and b not in removed for a, b in planted)
        print(
            f"{name:24}{spent[0]:>9.2f}{spent[1]:>8.2f}{spent[1] / seconds[1]:>7.1f}x"
            f"{len(removed):>9,}{below:>7,}{left:>12,}"
        )


if __name__ == "__main__":
    main()
