"""MinHash of texts: shingles, signatures and the number of bands.

Signatures equal those of datasketch's `MinHash` (scheme `affine32`) bit for bit, given the same
hash function: `shingle_hash32`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xxhash

from curate.near.lists import offsets
from curate.near.text.packed import Packed
from curate.near.threads import in_threads

if TYPE_CHECKING:
    import polars as pl

NGRAM = 3
SEED = 1


class Shingles(NamedTuple):
    """Sets of shingles (word n-grams) of n texts, as hashes.

    Attributes:
        at: [n + 1] offsets; the set of text i is `values[at[i] : at[i + 1]]`.
        values: 64-bit hashes, distinct and sorted within each text.
    """

    at: np.ndarray
    values: np.ndarray


def shingle_hash32(shingle: bytes) -> int:
    """The hash that MinHash starts from; as `hashfunc` of datasketch it gives equal signatures."""
    return xxhash.xxh3_64_intdigest(shingle) & 0xFFFFFFFF


def choose_bands(threshold: float, num_perm: int = 128, recall: float = 0.999) -> tuple[int, int]:
    """Number of bands and of rows per band that find the fraction `recall` of pairs.

    More rows per band mean fewer candidates to verify, so the largest number that keeps the recall
    is taken. (The usual optimum of the S-curve, such as 14 x 9 at 0.7, misses half of the pairs.)

    Args:
        threshold: Jaccard similarity of the pairs.
        num_perm: Permutations.
        recall: Min probability that a pair at the threshold shares a band.
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

    A text with fewer words has itself and its single words as shingles, so that different short
    texts remain different.
    """
    from curate.near.kernels import text as kernels

    packed = texts if isinstance(texts, Packed) else Packed.of(texts)
    words = count_words(packed)
    at = offsets(np.where(words >= ngram, words - ngram + 1, np.where(words < 2, 1, words + 1)))
    values = np.empty(at[-1], dtype=np.uint64)
    counts = at[:-1].copy()
    max_words = int(words.max(initial=0))

    def work(first: int, last: int) -> None:
        kernels.fill_shingles(*packed, ngram, max_words, first, counts[first:last], values)

    in_threads(work, len(packed))
    n = kernels.compact(at, counts, values)
    return Shingles(at, values[:n])


def count_words(texts: Packed) -> np.ndarray:
    """[n] numbers of words of n folded texts."""
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
    """[n, num_perm] MinHash signatures of n texts, or of n conversations.

    Args:
        shingles: Shingles of the texts.
        items: For conversations: [n + 1] offsets and the numbers of their texts. Equal shingles in
            different turns count as different. By default each text is an item.
        num_perm: Permutations.
        seed: Seed of the permutations.
    """
    from curate.near.kernels import text as kernels

    texts_at, texts = items or one_text_each(len(shingles.at) - 1)
    a, b = permutations(num_perm, seed)
    out = np.empty((len(texts_at) - 1, num_perm), dtype=np.uint32)

    def work(first: int, last: int) -> None:
        chunk = out[first:last]
        kernels.fill_signatures(shingles.values, shingles.at, texts_at, texts, a, b, first, chunk)

    in_threads(work, len(out))
    return out


def one_text_each(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and numbers of n items that consist of one text each."""
    return np.arange(n + 1, dtype=np.int64), np.arange(n, dtype=np.int32)
