"""Compiled loops over texts: folding of ASCII, shingle sets, MinHash signatures, band keys.

Texts are slices of one byte buffer, folded so that one space separates words. A word n-gram is
therefore also a slice, and nothing is copied to hash it.
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
def tagged(value: Any, turn: int) -> Any:
    """Hash of a shingle in the given turn of a conversation; turn 0 leaves it unchanged."""
    if turn == 0:
        return value
    return mix(value + np.uint64(turn) * _GOLDEN)


@jit
def _among(byte: Any, characters: Any) -> bool:
    found = False
    for character in characters:
        found |= byte == character
    return found


@jit
def _spaces(word: Any) -> Any:
    """The top bit of each byte that is a space."""
    word ^= np.uint64(0x2020202020202020)
    low = np.uint64(0x7F7F7F7F7F7F7F7F)
    return ~(((word & low) + low) | word | low)


@jit
def lower(data: Any, out: Any) -> None:
    """Write the bytes to `out` with ASCII letters in lower case.

    Without branches, so that the compiler can use vector instructions.
    """
    for k in range(data.size):
        byte = data[k]
        upper = np.uint8(byte - np.uint8(65)) < np.uint8(26)
        out[k] = byte + np.uint8(32) if upper else byte


@jit
def _kind(data: Any, start: int, stop: int) -> Any:
    """Whether a text is ASCII, and whether it has control characters or repeated spaces."""
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
    """Fold n ASCII texts: lower case, single spaces, punctuation removed at both ends.

    Args:
        data: Bytes of the texts.
        start: [n] first byte of each text.
        stop: [n] one past its last byte.
        before: Characters removed at the beginning, unless nothing would remain.
        after: Characters removed at the end.
        out: The bytes in lower case (`lower`); receives the folded texts, each within its old slice.
        low: [n] receives the first byte of each folded text.
        high: [n] receives one past its last byte.
        plain: [n] receives whether the text is ASCII; other texts are not folded.
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
    """Copy slices one after another."""
    for i in range(start.size):
        for k in range(stop[i] - start[i]):
            out[ends[i] + k] = data[start[i] + k]


@jit
def count_words(data: Any, start: Any, stop: Any, words: Any) -> None:
    """Count the words of each text."""
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
    """Write the first byte of each word of a text; returns the number of words."""
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
    """Shingles of a text, repeats counted: n-grams, or for short texts the whole and its words."""
    if words >= ngram:
        return words - ngram + 1
    return 1 if words < 2 else words + 1


@jit
def fill_shingles(
    data: Any, start: Any, stop: Any, ngram: int, max_words: int, first: int, at: Any, out: Any
) -> None:
    """Write the sorted distinct shingle hashes of the texts from number `first` on.

    Args:
        data: Bytes of the texts.
        start: First byte of each text.
        stop: One past its last byte.
        ngram: Words per shingle.
        max_words: Words of the longest text.
        first: Number of the text that `at[0]` belongs to.
        at: First position of each text's shingles in `out`; replaced by their number.
        out: Room for all shingles, repeats counted.
    """
    starts = np.empty(max_words + 2, dtype=np.int64)
    room, count = np.empty(_SMALL, dtype=np.uint64), np.empty(_N_BUCKETS + 1, dtype=np.int64)
    for i in range(at.size):
        begin, end = start[first + i], stop[first + i]
        words = _word_starts(data, begin, end, starts)
        n, base = n_shingles(words, ngram), at[i]
        span = ngram if words >= ngram else 1
        for k in range(n):
            # One call only, so that it is inlined: the last shingle of a short text is the whole.
            whole = words < ngram and k == n - 1
            low = begin if whole else starts[k]
            high = end if whole else starts[k + span] - 1
            out[base + k] = xxh3(data, low, high - low)
        at[i] = _sort_distinct(out[base : base + n], room, count)


@jit
def _sort_distinct(values: Any, room: Any, count: Any) -> int:
    """Sort hashes and remove repeats; `room` and `count` are scratch space."""
    n = values.size
    if n > room.size:
        values.sort()
    else:
        # Hashes are spread evenly: sorted by their top bits they are nearly in order.
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
    """Close the gaps between the texts' shingles; `at` receives the new offsets."""
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
    """MinHash of the union of the texts' shingles, each tagged with its text's turn."""
    out[:] = _TOP
    for turn in range(texts.size):
        for k in range(at[texts[turn]], at[texts[turn] + 1]):
            h = np.uint32(tagged(shingles[k], turn))
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
    """Write the signatures of items (lists of texts) from number `first` on."""
    for i in range(out.shape[0]):
        mine = texts[texts_at[first + i] : texts_at[first + i + 1]]
        _signature(shingles, at, mine, a, b, out[i])


@jit
def fill_band_keys(
    shingles: Any, at: Any, texts_at: Any, texts: Any, groups: Any, a: Any, b: Any,
    rows: int, first: int, last: int, out: Any,
) -> None:  # fmt: skip
    """Write the 32-bit key of each band of the items `first` to `last`; includes the item's group.

    32 bits are enough: equal keys only make candidates, which are then verified.
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
