"""MinHash near-duplicates of texts: shingles, signatures, bands, and groups verified exactly.

Signatures equal those of datasketch's `MinHash` (scheme `affine32`) bit for bit, given the same
hash function; see `shingle_hash32`. Similarities are exact Jaccard coefficients of shingle sets,
never estimates.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xxhash

from curate.near.text.fold import Packed

if TYPE_CHECKING:
    import polars as pl

NGRAM = 3
SEED = 1
_CHUNK = 20_000


class Shingles(NamedTuple):
    """Sets of shingle hashes of texts, each sorted.

    Attributes:
        at: Where each text's set starts in `values`, and where the last ends.
        values: 64-bit hashes.
    """

    at: np.ndarray
    values: np.ndarray


def shingle_hash32(shingle: bytes) -> int:
    """Hash that MinHash starts from; give it to datasketch as `hashfunc` for equal signatures."""
    return xxhash.xxh3_64_intdigest(shingle) & 0xFFFFFFFF


def choose_bands(threshold: float, num_perm: int = 128, recall: float = 0.999) -> tuple[int, int]:
    """Bands and rows a band that find a share `recall` of the pairs at the threshold.

    More rows a band mean fewer candidates to verify, so the largest number that keeps the recall
    is taken. (The usual optimum of the S-curve, such as 14 x 9 at 0.7, misses half of them.)

    Args:
        threshold: Jaccard coefficient.
        num_perm: Permutations.
        recall: Least probability that a pair at the threshold shares a band.
    """
    for rows in range(num_perm, 1, -1):
        bands = num_perm // rows
        if 1 - (1 - threshold**rows) ** bands >= recall:
            return bands, rows
    return num_perm, 1


def permutations(num_perm: int, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """Parameters of datasketch's `affine32` permutations `a * h + b mod 2**32`."""
    generator = np.random.RandomState(seed)  # datasketch's own generator
    a = generator.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    b = generator.randint(0, 1 << 32, num_perm, dtype=np.uint32)
    return a, b


def shingle(texts: pl.Series | Packed, ngram: int = NGRAM) -> Shingles:
    """Word n-grams of folded texts.

    A text of fewer words stands for itself whole and for its single words, so that distinct short
    texts stay distinct.
    """
    from curate.near.kernels import text as kernels

    packed = texts if isinstance(texts, Packed) else Packed.of(texts)
    words = count_words(packed)
    room = np.where(words >= ngram, words - ngram + 1, np.where(words < 2, 1, words + 1))
    at = np.zeros(len(words) + 1, dtype=np.int64)
    np.cumsum(room, out=at[1:])
    values = np.empty(at[-1], dtype=np.uint64)
    counts = at[:-1].copy()
    most = int(words.max(initial=0))

    def work(first: int, last: int) -> None:
        kernels.fill_shingles(*packed, ngram, most, first, counts[first:last], values)

    in_threads(work, len(packed))
    n = kernels.compact(at, counts, values)
    return Shingles(at, values[:n])


def count_words(texts: Packed) -> np.ndarray:
    """Words of folded texts."""
    from curate.near.kernels import text as kernels

    words = np.empty(len(texts), dtype=np.int64)
    kernels.count_words(*texts, words)
    return words


def signatures(
    shingles: Shingles,
    *,
    items: tuple[np.ndarray, np.ndarray] | None = None,
    num_perm: int = 128,
    seed: int = SEED,
) -> np.ndarray:
    """MinHash signatures, one row a text, or a conversation.

    Args:
        shingles: Sets of the texts.
        items: Where each conversation starts, and the numbers of its texts; every text alone if
            not given. Shingles of different turns count as different.
        num_perm: Permutations.
        seed: Seed of the permutations.
    """
    from curate.near.kernels import text as kernels

    texts_at, texts = items or alone(len(shingles.at) - 1)
    a, b = permutations(num_perm, seed)
    out = np.empty((len(texts_at) - 1, num_perm), dtype=np.uint32)

    def work(first: int, last: int) -> None:
        chunk = out[first:last]
        kernels.fill_signatures(shingles.values, shingles.at, texts_at, texts, a, b, first, chunk)

    in_threads(work, len(out))
    return out


def alone(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Items of one text each."""
    return np.arange(n + 1, dtype=np.int64), np.arange(n, dtype=np.int32)


def in_threads(work: Callable[[int, int], None], n: int, chunk: int = _CHUNK) -> None:
    """Call `work(first, last)` over ranges of 0 to n; compiled loops run side by side."""
    ranges = [(first, min(first + chunk, n)) for first in range(0, n, chunk)]
    if len(ranges) < 2:
        for first, last in ranges:
            work(first, last)
        return
    with ThreadPoolExecutor(min(len(ranges), n_threads())) as pool:
        for done in [pool.submit(work, *one) for one in ranges]:
            done.result()


def n_threads() -> int:
    """Threads for compiled loops: the cores this process may use, at most 16."""
    return max(1, min(16, len(os.sched_getaffinity(0))))


def minhash_groups(
    texts: pl.Series, *, threshold: float = 0.7, num_perm: int = 128, ngram: int = NGRAM
) -> pl.DataFrame:
    """Near-duplicate texts, the first of each kind kept.

    A text is a double only of a text that is kept, at or above the threshold: chains of texts that
    are each like the next do not pull in texts that are not alike.

    Args:
        texts: Texts in order of preference, nulls taken for empty.
        threshold: Exact Jaccard coefficient of the shingle sets.
        num_perm: Permutations.
        ngram: Words a shingle.

    Returns:
        One row a text: `kept`, `kept_index` (the row that stands for it; its own if kept) and
        `similarity` to that row.
    """
    import polars as pl

    from curate.near.items import Texts
    from curate.near.spill import Spill
    from curate.near.star import Items, star

    reader = Texts(Spill(), ngram, words=False, shingles=True)
    portions = texts.fill_null("").to_frame().iter_slices(_CHUNK)
    numbers = [reader.number(portion.to_series()) for portion in portions]
    number = np.concatenate(numbers) if numbers else np.empty(0, dtype=np.int32)
    side = reader.finish()
    first = np.empty(len(side.words), dtype=np.int64)
    first[number[::-1]] = np.arange(len(number))[::-1]  # of several the last assigned stays
    found = star(Items.of_texts(len(first)), side, threshold=threshold, num_perm=num_perm)
    kept_index = first[found.kept][number]
    return pl.DataFrame(
        {
            "kept": kept_index == np.arange(len(number)),
            "kept_index": kept_index,
            "similarity": found.similarity[number],
        }
    )
