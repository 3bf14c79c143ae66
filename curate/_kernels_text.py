"""Compiled loops over texts: shingle sets, MinHash signatures, band keys.

Texts are slices of one byte buffer, folded so that one space stands between words. A word n-gram
is therefore a slice as well, and nothing is copied to hash it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from curate._jit import jit
from curate._kernels_xxh3 import xxh3

_SPACE = np.uint8(32)
_GOLDEN, _MIX1, _MIX2 = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
)
_FMIX1, _FMIX2 = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)
_TOP = np.uint32(0xFFFFFFFF)


@jit
def mix(value: Any) -> Any:
    """A bijection of 64-bit words that spreads their bits (splitmix64)."""
    value = (value ^ (value >> np.uint64(30))) * _MIX1
    value = (value ^ (value >> np.uint64(27))) * _MIX2
    return value ^ (value >> np.uint64(31))


@jit
def tagged(value: Any, place: int) -> Any:
    """Hash of a shingle at the given turn of a conversation; turn 0 leaves it as it is."""
    if place == 0:
        return value
    return mix(value + np.uint64(place) * _GOLDEN)


@jit
def count_words(data: Any, ends: Any, words: Any) -> None:
    """Words of every text."""
    for i in range(words.size):
        n = 1 if ends[i + 1] > ends[i] else 0
        for k in range(ends[i], ends[i + 1]):
            n += data[k] == _SPACE
        words[i] = n


@jit
def n_shingles(words: int, ngram: int) -> int:
    """Shingles of a text, doubles counted: n-grams, or for short texts the whole and its words."""
    if words >= ngram:
        return words - ngram + 1
    return 1 if words < 2 else words + 1


@jit
def fill_shingles(
    data: Any, ends: Any, ngram: int, most_words: int, first: int, at: Any, out: Any
) -> None:
    """Sorted distinct shingle hashes of texts from number `first` on.

    Args:
        data: Bytes of the texts.
        ends: Where each begins and ends.
        ngram: Words a shingle.
        most_words: Words of the longest text.
        first: Number of the text that `at[0]` belongs to.
        at: Where each text's shingles start in `out`; the number of distinct ones replaces it.
        out: Room for all shingles, doubles counted.
    """
    starts = np.empty(most_words + 2, dtype=np.int64)
    for i in range(at.size):
        begin, end = ends[first + i], ends[first + i + 1]
        words = 0
        for k in range(begin, end):
            if k == begin or data[k - 1] == _SPACE:
                starts[words] = k
                words += 1
        starts[words] = end + 1  # as if a space followed
        n, base = n_shingles(words, ngram), at[i]
        span = ngram if words >= ngram else 1
        for k in range(n):
            # One call only, so that it is inlined: of short texts the last shingle is the whole.
            whole = words < ngram and k == n - 1
            low = begin if whole else starts[k]
            high = end if whole else starts[k + span] - 1
            out[base + k] = xxh3(data, low, high - low)
        at[i] = _sort_distinct(out[base : base + n])


@jit
def _sort_distinct(values: Any) -> int:
    if values.size <= 48:
        for i in range(1, values.size):
            value, k = values[i], i - 1
            while k >= 0 and values[k] > value:
                values[k + 1] = values[k]
                k -= 1
            values[k + 1] = value
    else:
        values.sort()
    n = 1
    for i in range(1, values.size):
        if values[i] != values[n - 1]:
            values[n] = values[i]
            n += 1
    return n


@jit
def compact(at: Any, counts: Any, values: Any) -> int:
    """Close the gaps between the texts' shingles; `at` gets the new starts."""
    n = 0
    for i in range(counts.size):
        start = at[i]
        at[i] = n
        for k in range(counts[i]):
            values[n + k] = values[start + k]
        n += counts[i]
    at[counts.size] = n
    return n


@jit
def _signature(shingles: Any, at: Any, texts: Any, a: Any, b: Any, out: Any) -> None:
    """MinHash of the union of the texts' shingles, each tagged with its text's place."""
    out[:] = _TOP
    for place in range(texts.size):
        for k in range(at[texts[place]], at[texts[place] + 1]):
            h = np.uint32(tagged(shingles[k], place))
            h ^= h >> np.uint32(16)
            h = np.uint32(h * _FMIX1)
            h ^= h >> np.uint32(13)
            h = np.uint32(h * _FMIX2)
            h ^= h >> np.uint32(16)
            for p in range(out.size):
                value = np.uint32(np.uint32(a[p] * h) + b[p])
                out[p] = min(out[p], value)


@jit
def fill_signatures(
    shingles: Any, at: Any, texts_at: Any, texts: Any, a: Any, b: Any, first: int, out: Any
) -> None:
    """Signatures of items (lists of texts) from number `first` on."""
    for i in range(out.shape[0]):
        mine = texts[texts_at[first + i] : texts_at[first + i + 1]]
        _signature(shingles, at, mine, a, b, out[i])


@jit
def fill_band_keys(
    shingles: Any, at: Any, texts_at: Any, texts: Any, groups: Any, a: Any, b: Any,
    rows: int, first: int, last: int, out: Any,
) -> None:  # fmt: skip
    """32-bit key of every band of items `first` to `last`, the item's group included.

    32 bits suffice: equal keys only make candidates, and those are verified.
    """
    signature = np.empty(a.size, dtype=np.uint32)
    for i in range(first, last):
        mine = texts[texts_at[i] : texts_at[i + 1]]
        _signature(shingles, at, mine, a, b, signature)
        for band in range(out.shape[0]):
            h = mix(groups[i] + np.uint64(band + 1) * _GOLDEN)
            for r in range(rows):
                h = mix(h ^ np.uint64(signature[band * rows + r])) + _GOLDEN
            out[band, i] = np.uint32(mix(h) >> np.uint64(32))
