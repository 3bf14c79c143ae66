"""Near-duplicate texts from Parquet to Parquet: pairwright against Daft, rensa and datasketch.

    python benchmarks/dedup_text.py [--n 1000000] [--repeat 1] [--only pairwright daft]

Each tool is a separate process that reads one Parquet file of texts (`texts.py`: 10 to 60 words,
20 % of them copies with a known Jaccard similarity) and writes the rows that it would remove: word
3-grams, 128 permutations, threshold 0.7. XXH3 hashes the n-grams except in rensa, whose hash
function is fixed. The peers (their versions are printed) are installed into a separate environment
in the temporary folder; `--peers` names another one. The runs alternate.

Printed per tool: wall seconds, CPU seconds of the whole process (start and imports included) and
their ratio to pairwright's, peak memory, rows removed, and the errors, counted exactly: `below`,
removed rows for which no kept text reaches the threshold; `left`, pairs at or above the threshold
that are both kept. The peers do not verify the candidates of their bands.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from running import Cost, measured, peers_python
from texts import Texts, make, write_dataset, write_parquet

HERE = Path(__file__).resolve().parent
THRESHOLD = 0.7
PEERS = ("daft==0.7.26", "rensa==0.5.0", "datasketch==2.0.0", "xxhash", "pyarrow", "numpy")


def ours(source: str, target: str) -> None:
    """The pure function, from Parquet to Parquet."""
    from curate.near.groups import minhash_groups

    table = pl.read_parquet(source)
    found = minhash_groups(table["text"], threshold=THRESHOLD)
    decisions = pl.concat([table.select("id"), found], how="horizontal")
    decisions.filter(~pl.col("kept")).select(
        removed="id",
        kept_id=decisions["id"].gather(decisions.filter(~pl.col("kept"))["kept_index"]),
    ).write_parquet(target)


def families(texts: Texts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of texts that were made of one another, with their exact Jaccard coefficients.

    Other texts are sampled independently and have nearly no n-gram in common.
    """
    order = np.argsort(texts.sources, kind="stable")
    source, copies = texts.sources[order], texts.copies[order]
    edges = np.flatnonzero(np.r_[True, source[1:] != source[:-1], True])
    a, b = [], []
    for start, end in pairwise(edges.tolist()):
        members = [int(source[start]), *copies[start:end].tolist()]
        for k, one in enumerate(members):
            for other in members[k + 1 :]:
                a.append(one)
                b.append(other)
    first, second = np.array(a), np.array(b)
    value = np.array([jaccard(texts, i, j) for i, j in zip(a, b, strict=True)])
    return first, second, value


def jaccard(texts: Texts, i: int, j: int) -> float:
    """Exact Jaccard similarity of the word 3-grams of two texts."""
    one, other = (ngrams(texts.words[texts.at[k] : texts.at[k + 1]]) for k in (i, j))
    return len(one & other) / len(one | other)


def ngrams(words: np.ndarray) -> set[int]:
    """3-grams of word numbers, each as one number."""
    wide = words.astype(np.int64)
    return set(((wide[:-2] << 32) | (wide[1:-1] << 16) | wide[2:]).tolist())


def errors(target: Path, n: int, pairs: tuple[np.ndarray, ...]) -> tuple[int, int, int]:
    """Rows removed, those below the threshold to every kept text, and true pairs left."""
    a, b, value = pairs
    removed = np.zeros(n, dtype=bool)
    removed[pl.read_parquet(target)["removed"].to_numpy()] = True
    near = value >= THRESHOLD - 1e-12
    covered = np.zeros(n, dtype=bool)
    covered[a[near & ~removed[b]]] = True
    covered[b[near & ~removed[a]]] = True
    left = int((near & ~removed[a] & ~removed[b]).sum())
    return int(removed.sum()), int((removed & ~covered).sum()), left


def main() -> None:
    """Run all tools and print the table."""
    if sys.argv[1:2] == ["--ours"]:
        ours(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1_000_000, help="texts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; medians are printed")
    parser.add_argument("--only", nargs="+", default=[""], help="tools whose name begins so")
    parser.add_argument("--peers", type=Path, help="environment with the peers")
    options = parser.parse_args()
    python = peers_python("text", PEERS, options.peers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compare(options, python, folder)


def compare(options: argparse.Namespace, python: str, folder: Path) -> None:
    """Make the texts, run the tools in turns, count errors, print."""
    texts = make(options.n, options.seed)
    source, target = folder / "texts.parquet", folder / "removed.parquet"
    write_parquet(texts, source)
    write_dataset(texts, folder / "data")
    pairs = families(texts)
    n_near = int((pairs[2] >= THRESHOLD).sum())
    print(
        f"{options.n:,} texts, {len(pairs[0]):,} planted pairs, {n_near:,} at {THRESHOLD} or more"
    )
    print(", ".join(PEERS[:3]), flush=True)
    peer = str(HERE / "peers")
    io = [str(source), str(target)]
    curate = shutil.which("curate", path=str(Path(sys.executable).parent)) or "curate"
    dedup = [curate, "dedup", str(folder / "data"), "--on", "text", "--replace", "--quiet"]
    tools = {
        "pairwright": [sys.executable, __file__, "--ours", *io],
        "pairwright: curate dedup": dedup,
        "daft, bands in numpy": [python, f"{peer}/text_daft.py", *io, "numpy"],
        "daft, bands in daft": [python, f"{peer}/text_daft.py", *io, "own"],
        "rensa, stream": [python, f"{peer}/text_rensa.py", *io, "stream"],
        "rensa, flags": [python, f"{peer}/text_rensa.py", *io, "flags"],
        "datasketch, its bands": [python, f"{peer}/text_datasketch.py", *io, "own"],
    }
    tools = {k: v for k, v in tools.items() if k.startswith(tuple(options.only))}
    warm = [sys.executable, __file__, "--ours", str(folder / "few.parquet"), str(target)]
    pl.read_parquet(source).head(1000).write_parquet(folder / "few.parquet")
    measured(warm)  # compiled once a machine, not once a run
    costs: dict[str, list[Cost]] = {tool: [] for tool in tools}
    found = {}
    for _ in range(options.repeat):
        for tool, command in tools.items():
            target.unlink(missing_ok=True)
            costs[tool].append(measured(command))
            if command is dedup:
                export_removed(folder / "data", target)
            found[tool] = errors(target, options.n, pairs)
    medians = {t: Cost(*map(statistics.median, zip(*c, strict=True))) for t, c in costs.items()}
    base = medians.get("pairwright", next(iter(medians.values()))).cpu
    print(
        f"{'':26}{'wall s':>8}{'cpu s':>8}{'ratio':>8}{'peak MB':>9}{'removed':>10}{'below':>9}"
        f"{'left':>9}{'left %':>9}"
    )
    for tool, cost in medians.items():
        removed, below, left = found[tool]
        print(
            f"{tool:26}{cost.wall:>8.1f}{cost.cpu:>8.1f}{cost.cpu / base:>7.2f}x{cost.peak:>9,.0f}"
            f"{removed:>10,}{below:>9,}{left:>9,}{100 * left / max(n_near, 1):>8.3f}%"
        )


def export_removed(data: Path, target: Path) -> None:
    """Rows that `curate dedup` removed, as numbers."""
    removed = pl.scan_parquet(data / "decisions/dedup/*.parquet").filter(~pl.col("kept"))
    number = pl.col("sample_id").str.to_integer(base=16).alias("removed")
    removed.select(number).collect().write_parquet(target)


if __name__ == "__main__":
    main()
