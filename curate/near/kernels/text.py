"""Compiled loops over texts: shingle sets, MinHash signatures, band keys.

Texts are slices of one byte buffer, folded so that one space stands between words. A word n-gram
is therefore a slice as well, and nothing is copied to hash it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.near.kernels.jit import jit
from curate.near.kernels.xxh3 import read64, xxh3

_SPACE = np.uint8(32)
_GOLDEN, _MIX1, _MIX2 = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
)
_FMIX1, _FMIX2 = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)
_TOP = np.uint32(0xFFFFFFFF)
# Sets up to this size are sorted through 64 buckets.
_SMALL, _N_BUCKETS, _BUCKET_SHIFT = 256, 64, np.uint64(58)


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
def _among(byte: Any, signs: Any) -> bool:
    found = False
    for sign in signs:
        found |= byte == sign
    return found


@jit
def _spaces(word: Any) -> Any:
    """The top bit of every byte that is a space."""
    word ^= np.uint64(0x2020202020202020)
    low = np.uint64(0x7F7F7F7F7F7F7F7F)
    return ~(((word & low) + low) | word | low)


@jit
def lower(data: Any, out: Any) -> None:
    """Write bytes with ASCII letters in lower case.

    Over the whole array and without branches, so that the compiler makes wide instructions of it.
    """
    for k in range(data.size):
        byte = data[k]
        upper = np.uint8(byte - np.uint8(65)) < np.uint8(26)
        out[k] = byte + np.uint8(32) if upper else byte


@jit
def _kind(data: Any, start: int, stop: int) -> Any:
    """Whether a text is ASCII, and whether it has control characters or spaces in a row."""
    top = np.uint64(0x8080808080808080)
    high, odd, before = np.uint64(0), np.uint64(0), np.uint64(0)
    k = start
    while k + 8 <= stop:
        word = read64(data, k)
        high |= word
        odd |= (word - np.uint64(0x2020202020202020)) & ~word & top  # a byte below 32
        found = _spaces(word)
        odd |= found & ((found << np.uint64(8)) | before)
        before = found >> np.uint64(56)
        k += 8
    while k < stop:
        byte = data[k]
        high |= np.uint64(byte)
        odd |= np.uint64(byte < 32)
        odd |= np.uint64(byte == _SPACE and k > start and data[k - 1] == _SPACE)
        k += 1
    return (high & top) == 0, odd != 0


@jit
def fold_ascii(
    data: Any, start: Any, stop: Any, before: Any, after: Any, out: Any, low: Any, high: Any,
    plain: Any,
) -> None:  # fmt: skip
    """Fold texts of ASCII: lower case, single spaces, signs dropped at both ends.

    Args:
        data: Bytes of the texts.
        start: Where each begins.
        stop: Where each ends.
        before: Signs dropped in front, unless nothing would be left.
        after: Signs dropped behind.
        out: The bytes in lower case (`lower`); gets the folded texts, each within its old place.
        low: Gets where each folded text begins.
        high: Gets where each ends.
        plain: Gets whether each is ASCII; others are not folded.
    """
    for i in range(start.size):
        plain[i], odd = _kind(data, start[i], stop[i])
        first, last = start[i], stop[i]
        if odd:
            last = first
            for k in range(start[i], stop[i]):
                blank = out[k] == _SPACE or 9 <= out[k] <= 13
                if blank and last > first and out[last - 1] == _SPACE:
                    continue
                out[last] = _SPACE if blank else out[k]
                last += 1
        while first < last and out[first] == _SPACE:
            first += 1
        while last > first and out[last - 1] == _SPACE:
            last -= 1
        low[i], high[i] = first, last
        while first < last and _among(out[first], before):
            first += 1
        while last > first and _among(out[last - 1], after):
            last -= 1
        if first < last:
            low[i], high[i] = first, last


@jit
def gather_bytes(data: Any, start: Any, stop: Any, ends: Any, out: Any) -> None:
    """Copy slices one after the other."""
    for i in range(start.size):
        for k in range(stop[i] - start[i]):
            out[ends[i] + k] = data[start[i] + k]


@jit
def count_words(data: Any, start: Any, stop: Any, words: Any) -> None:
    """Words of every text."""
    for i in range(words.size):
        k, end = start[i], stop[i]
        n: Any = 1 if end > k else 0
        while k + 8 <= end:
            found = _spaces(read64(data, k)) >> np.uint64(7)
            n += np.int64((found * np.uint64(0x0101010101010101)) >> np.uint64(56))
            k += 8
        while k < end:
            n += data[k] == _SPACE
            k += 1
        words[i] = n


@jit
def _word_starts(data: Any, begin: int, end: int, out: Any) -> int:
    """Where the words of a text begin, and one past where the last ends; the number of words."""
    out[0] = begin
    k = begin
    words = 1 if end > begin else 0
    while k + 8 <= end:
        found = _spaces(read64(data, k))
        while found != 0:
            lowest = (found & (~found + np.uint64(1))) >> np.uint64(7)
            out[words] = k + 1 + np.int64((lowest * np.uint64(0x0001020304050607)) >> np.uint64(56))
            words += 1
            found &= found - np.uint64(1)
        k += 8
    while k < end:
        if data[k] == _SPACE:
            out[words] = k + 1
            words += 1
        k += 1
    out[words] = end + 1  # as if a space followed
    return words


@jit
def n_shingles(words: int, ngram: int) -> int:
    """Shingles of a text, doubles counted: n-grams, or for short texts the whole and its words."""
    if words >= ngram:
        return words - ngram + 1
    return 1 if words < 2 else words + 1


@jit
def fill_shingles(
    data: Any, start: Any, stop: Any, ngram: int, most_words: int, first: int, at: Any, out: Any
) -> None:
    """Sorted distinct shingle hashes of texts from number `first` on.

    Args:
        data: Bytes of the texts.
        start: Where each begins.
        stop: Where each ends.
        ngram: Words a shingle.
        most_words: Words of the longest text.
        first: Number of the text that `at[0]` belongs to.
        at: Where each text's shingles start in `out`; the number of distinct ones replaces it.
        out: Room for all shingles, doubles counted.
    """
    starts = np.empty(most_words + 2, dtype=np.int64)
    room, count = np.empty(_SMALL, dtype=np.uint64), np.empty(_N_BUCKETS + 1, dtype=np.int64)
    for i in range(at.size):
        begin, end = start[first + i], stop[first + i]
        words = _word_starts(data, begin, end, starts)
        n, base = n_shingles(words, ngram), at[i]
        span = ngram if words >= ngram else 1
        for k in range(n):
            # One call only, so that it is inlined: of short texts the last shingle is the whole.
            whole = words < ngram and k == n - 1
            low = begin if whole else starts[k]
            high = end if whole else starts[k + span] - 1
            out[base + k] = xxh3(data, low, high - low)
        at[i] = _sort_distinct(out[base : base + n], room, count)


@jit
def _sort_distinct(values: Any, room: Any, count: Any) -> int:
    """Sort hashes and drop doubles; `room` and `count` are scratch space."""
    n = values.size
    if n > room.size:
        values.sort()
    else:
        # Hashes spread evenly: by their top bits they are nearly in order.
        count[:] = 0
        for i in range(n):
            count[(values[i] >> _BUCKET_SHIFT) + np.uint64(1)] += 1
        for bucket in range(1, count.size):
            count[bucket] += count[bucket - 1]
        for i in range(n):
            bucket = values[i] >> _BUCKET_SHIFT
            room[count[bucket]] = values[i]
            count[bucket] += 1
        for i in range(n):
            value, k = room[i], i - 1
            while k >= 0 and values[k] > value:
                values[k + 1] = values[k]
                k -= 1
            values[k + 1] = value
    distinct = 1
    for i in range(1, n):
        if values[i] != values[distinct - 1]:
            values[distinct] = values[i]
            distinct += 1
    return distinct


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
            h = groups[i]
            for r in range(rows):
                h = (h ^ np.uint64(signature[band * rows + r])) * _MIX1
                h ^= h >> np.uint64(32)
            out[band, i] = np.uint32((h * _MIX2) >> np.uint64(32))
