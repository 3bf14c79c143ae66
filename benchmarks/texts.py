"""Seeded texts with planted near-duplicates of known Jaccard similarity, for the dedup benchmarks.

    python benchmarks/texts.py --n 1000000 --out texts.parquet
    python benchmarks/texts.py --n 10000000 --dataset big/

Texts have 10 to 60 words out of 50,000, with Zipf-like frequencies. 20 % are copies of other texts
in which one run of words is replaced: d of the s word 3-grams of a text change, and
J = (s - d) / (s + d). J is spread evenly from 0.5 to 1; copies and originals are anywhere in the set.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

VOCABULARY = 50_000
NGRAM = 3
CHUNK = 250_000


class Texts(NamedTuple):
    """Texts as word numbers.

    Attributes:
        at: Where each text starts in `words`, and where the last ends.
        words: Word numbers.
        copies: Row of every planted copy.
        sources: Row that each was made of.
        planted: The Jaccard similarity of word 3-grams of each planted pair.
    """

    at: np.ndarray
    words: np.ndarray
    copies: np.ndarray
    sources: np.ndarray
    planted: np.ndarray


def make(n: int, seed: int = 1) -> Texts:
    """Sample n texts."""
    generator = np.random.default_rng(seed)
    n_copies = n // 5
    order = generator.permutation(n).astype(np.int32)
    originals, copies = order[n_copies:], order[:n_copies]
    sources = originals[generator.integers(0, len(originals), n_copies)]
    lengths = np.empty(n, dtype=np.int64)
    lengths[originals] = generator.integers(10, 61, len(originals))
    lengths[copies] = lengths[sources]
    at = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(lengths, out=at[1:])
    weight = 1 / np.arange(20, VOCABULARY + 20)
    edges = np.cumsum(weight / weight.sum())
    words = np.empty(at[-1], dtype=np.uint16)
    for first in range(0, len(words), 1 << 24):
        part = words[first : first + (1 << 24)]
        part[:] = np.searchsorted(edges, generator.random(len(part))).clip(0, VOCABULARY - 1)
    planted = np.empty(n_copies)
    wanted = generator.uniform(0.5, 1.0, n_copies)
    where = generator.random(n_copies)
    for k, (copy, source) in enumerate(zip(copies.tolist(), sources.tolist(), strict=True)):
        length = lengths[copy]
        mine = words[at[copy] : at[copy] + length]
        fresh = mine.copy()
        mine[:] = words[at[source] : at[source] + length]
        n_triples = length - NGRAM + 1
        changed = round(n_triples * (1 - wanted[k]) / (1 + wanted[k]))
        n_words = changed - (NGRAM - 1)
        if n_words < 1:  # one word at the end changes one triple, the last but one two
            n_words, start = min(changed, 1), length - changed
        else:
            start = NGRAM - 1 + int(where[k] * (length - n_words - 2 * (NGRAM - 1) + 1))
        mine[start : start + n_words] = fresh[start : start + n_words]
        planted[k] = (n_triples - changed) / (n_triples + changed)
    return Texts(at, words, copies, sources, planted)


def arrow(texts: Texts, first: int, last: int) -> pa.Array:
    """Some texts as strings."""
    vocabulary = pa.array([f"w{number:05d}" for number in range(VOCABULARY)])
    begin, end = texts.at[first], texts.at[last]
    spoken = vocabulary.take(pa.array(texts.words[begin:end]))
    lists = pa.LargeListArray.from_arrays(pa.array(texts.at[first : last + 1] - begin), spoken)
    return pc.binary_join(lists, " ").cast(pa.large_string())


def chunks(texts: Texts) -> Iterator[tuple[int, pa.Array]]:
    """All texts as strings, some at a time."""
    n = len(texts.at) - 1
    for first in range(0, n, CHUNK):
        yield first, arrow(texts, first, min(first + CHUNK, n))


def write_parquet(texts: Texts, path: Path) -> None:
    """Write `id` and `text`."""
    schema = pa.schema([("id", pa.int64()), ("text", pa.large_string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for first, strings in chunks(texts):
            ids = pa.array(np.arange(first, first + len(strings)))
            writer.write_table(pa.table([ids, strings], schema=schema))


def write_dataset(texts: Texts, path: Path) -> None:
    """Write a dataset directory whose samples are a question and the text as its answer."""
    import polars as pl

    from pairwright.dataset.store import Dataset

    dataset = Dataset.create(path)
    with dataset.write(
        "samples", "texts", step="ingest", config={}, part_rows=CHUNK, rejects=False
    ) as writer:
        for first, strings in chunks(texts):
            ids = [f"{number:032x}" for number in range(first, first + len(strings))]
            frame = pl.DataFrame({"sample_id": ids, "text": pl.from_arrow(strings)})
            writer.add(
                frame.select(
                    "sample_id",
                    image_ids=pl.lit([], dtype=pl.List(pl.String)),
                    messages=pl.concat_list(
                        _message("user", pl.lit("Describe the scene.")),
                        _message("assistant", pl.col("text")),
                    ),
                    source=pl.lit("texts"),
                    source_id="sample_id",
                )
            )


def _message(role: str, content: object) -> object:
    import polars as pl

    return pl.struct(role=pl.lit(role), content=content)


def main() -> None:
    """Write the texts or the dataset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1_000_000, help="texts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="Parquet file")
    parser.add_argument("--dataset", type=Path, help="dataset directory")
    options = parser.parse_args()
    texts = make(options.n, options.seed)
    if options.out:
        write_parquet(texts, options.out)
    if options.dataset:
        write_dataset(texts, options.dataset)


if __name__ == "__main__":
    main()
