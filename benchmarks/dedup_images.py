"""Near pairs of image embeddings: pairwright against NumPy, faiss and usearch, in one run.

    python benchmarks/dedup_images.py [--n 200000] [--width 512] [--threshold 0.92] [--decay 1.5]

The vectors resemble those of CLIP (see `vectors.py`). Each tool is a separate process that reads
them from one file and writes the pairs that it found. The peers (their versions are printed) are
installed into a separate environment in the temporary folder; `--peers` names another one. Set
OMP_NUM_THREADS=1 to count the work only: threads that wait for others use CPU time.

The pairs of the first tool, the plain product in NumPy, are the truth; pairs closer than 1e-6 to
the threshold are ignored. `--only` can skip it, because it takes longest.

Printed per tool: wall seconds, CPU seconds of the whole process (start and reading included) and
their ratio to pairwright's, peak memory, pairs found, recall, and wrong pairs. A flat range search
of faiss runs for a part of the queries and is extrapolated to all of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from running import Cost, measured, peers_python
from vectors import make

HERE = Path(__file__).resolve().parent
PEERS = ("faiss-cpu==1.15.1", "usearch==2.26.6", "numpy")
NEIGHBORS = "16"
BLOCK = 2048


def ours(source: str, target: str, threshold: str, index: str) -> None:
    """The pure function."""
    from curate.near.vectors.search import near_pairs

    rows = np.load(source)
    found = near_pairs(rows, float(threshold), index=index)  # type: ignore[arg-type]
    np.save(target, np.sort(found.a.astype(np.int64) * len(rows) + found.b))


def plain(source: str, target: str, threshold: str) -> None:
    """A blocked product of all pairs; also writes the pairs at the threshold."""
    rows, limit = np.load(source), np.float32(float(threshold))
    n, found = len(rows), []
    for first in range(0, n, BLOCK):
        for second in range(first, n, BLOCK):
            near = rows[first : first + BLOCK] @ rows[second : second + BLOCK].T
            a, b = np.nonzero(near >= limit - np.float32(1e-5))
            later = b + second > a + first
            a, b = a[later] + first, b[later] + second
            found.append(a.astype(np.int64) * n + b)
    keys = np.sort(np.concatenate(found))
    exact = np.einsum("ij,ij->i", rows[keys // n].astype(float), rows[keys % n].astype(float))
    exact /= np.linalg.norm(rows[keys // n].astype(float), axis=1)
    exact /= np.linalg.norm(rows[keys % n].astype(float), axis=1)
    np.save(target, keys[exact >= float(threshold)])
    np.save(f"{target}.edge.npy", keys[abs(exact - float(threshold)) < 1e-6])


def commands(options: argparse.Namespace, python: str, io: list[str]) -> dict[str, list[str]]:
    """What is run, by name."""
    me, peer = [sys.executable, __file__], HERE / "peers"
    faiss = [python, str(peer / "vectors_faiss.py"), *io]
    usearch = [python, str(peer / "vectors_usearch.py"), *io]
    return {
        "numpy, all pairs": [*me, "--plain", *io],
        "pairwright, exact": [*me, "--ours", *io, "exact"],
        "faiss hnsw 16, 40, 16": [*faiss, "hnsw", "16", "40", "16", NEIGHBORS],
        "faiss flat": [*faiss, "flat", str(options.queries)],
        "faiss hnsw 32, 40, 64": [*faiss, "hnsw", "32", "40", "64", NEIGHBORS],
        "pairwright, hnsw": [*me, "--ours", *io, "hnsw"],
        "usearch f16, defaults": [*usearch, "f16", NEIGHBORS],
    }


def main() -> None:
    """Run all tools and print the table."""
    if sys.argv[1:2] in (["--ours"], ["--plain"]):
        {"--ours": ours, "--plain": plain}[sys.argv[1]](*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=200_000, help="vectors")
    parser.add_argument("--width", type=int, default=512, help="dimensions")
    parser.add_argument("--threshold", type=float, default=0.92, help="min cosine")
    parser.add_argument("--decay", type=float, default=1.5, help="of the spectrum; 0 is a ball")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--queries", type=int, default=1000, help="of the flat search")
    parser.add_argument("--only", nargs="+", default=[""], help="tools whose name begins so")
    parser.add_argument("--peers", type=Path, help="environment with the peers")
    options = parser.parse_args()
    python = peers_python("images", PEERS, options.peers)
    with tempfile.TemporaryDirectory() as name:
        compare(options, python, Path(name))


def compare(options: argparse.Namespace, python: str, folder: Path) -> None:
    """Make the vectors, run the tools in turn, compare with the truth, print."""
    vectors = make(options.n, options.width, seed=options.seed, decay=options.decay)
    source, target, few = folder / "vectors.npy", folder / "pairs.npy", folder / "few.npy"
    np.save(source, vectors.rows)
    np.save(few, vectors.rows[:6000])
    planted = int((vectors.cosines >= options.threshold).sum())
    print(
        f"{options.n:,} vectors of {options.width} dimensions, decay {options.decay:g}, "
        f"{len(vectors.copies):,} planted copies, {planted:,} of them at {options.threshold:g} or more"
    )
    print(", ".join(PEERS[:2]))
    del vectors
    limit = f"{options.threshold:g}"
    measured([sys.executable, __file__, "--ours", str(few), str(target), limit, "exact"])
    truth = edge = np.empty(0, dtype=np.int64)
    base: Cost | None = None
    rows = []
    for tool, command in commands(options, python, [str(source), str(target), limit]).items():
        if not tool.startswith(tuple(options.only)):
            continue
        cost = measured(command)
        found = np.load(target)
        if tool.startswith("numpy"):
            truth, edge = found, np.load(f"{target}.edge.npy")
        elif not rows:
            truth = found
        if tool == "pairwright, exact":
            base = cost
        fraction = options.queries / options.n if tool == "faiss flat" else 1.0
        if fraction < 1:
            start = measured([*command[:-1], "1"])
            cost = Cost(
                *(s + (c - s) / fraction for s, c in zip(start[:2], cost[:2], strict=True)),
                cost.peak,
            )
        rows.append((tool, cost, fraction, *against(found, truth, edge, fraction, options)))
        print(f"  {tool}: {cost.wall:.1f} s, {cost.cpu:.1f} s of CPU", flush=True)
    table(rows, base or rows[0][1])


def against(
    found: np.ndarray,
    truth: np.ndarray,
    edge: np.ndarray,
    fraction: float,
    options: argparse.Namespace,
) -> tuple[int, float, int]:
    """Pairs found, recall, and wrong pairs."""
    if fraction < 1:
        truth = truth[truth // options.n < options.queries]
    found, truth = np.setdiff1d(found, edge), np.setdiff1d(truth, edge)
    right = int(np.isin(found, truth, assume_unique=True).sum())
    wrong = len(found) - right
    return len(found), right / max(len(truth), 1), wrong


def table(rows: list[tuple[str, Cost, float, int, float, int]], base: Cost) -> None:
    """Print what every tool took and found."""
    print(
        f"{'':24}{'wall s':>9}{'cpu s':>9}{'ratio':>8}{'peak MB':>9}{'pairs':>9}{'recall':>9}{'wrong':>7}"
    )
    for tool, cost, fraction, pairs, recall, wrong in rows:
        name = tool if fraction == 1 else f"{tool}, extrapolated"
        print(
            f"{name:24}{cost.wall:>9.1f}{cost.cpu:>9.1f}{cost.cpu / base.cpu:>7.1f}x{cost.peak:>9,.0f}"
            f"{pairs:>9,}{recall:>9.4f}{wrong:>7,}"
        )


if __name__ == "__main__":
    main()
