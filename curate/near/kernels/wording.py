"""Compiled loop that hashes the wording and the facts of texts, as `text.wording` defines them."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.near.kernels.jit import jit
from curate.near.kernels.xxh3 import xxh3

# Kinds of ASCII characters.
LETTER, DIGIT, SEPARATOR, OTHER = 0, 1, 2, 3
_SPACE, _DASH, _PLUS, _N, _QUOTE, _T = (np.uint8(ord(character)) for character in " -+n't")
# UTF-8 of the minus sign, which replaces `-` before a digit.
_MINUS = (np.uint8(0xE2), np.uint8(0x88), np.uint8(0x92))
_NOT = (np.uint8(ord("n")), np.uint8(ord("o")), np.uint8(ord("t")))


@jit
def _find(keys: Any, key: Any) -> int:
    """Position of a key in a sorted array, or -1."""
    position = np.searchsorted(keys, key)
    return position if position < keys.size and keys[position] == key else -1


@jit
def _copy(source: Any, start: int, stop: int, out: Any, n: int) -> int:
    """Append a word to `out`, after a space unless it is the first word."""
    if n:
        out[n] = _SPACE
        n += 1
    for k in range(start, stop):
        out[n] = source[k]
        n += 1
    return n


@jit
def _next(data: Any, k: int, stop: int, kinds: Any, word: Any) -> Any:
    """Read a word.

    Returns:
        The next position to read, the word's length (0 at the end), and whether the word is plain:
        letters and digits, other characters only before a digit.
    """
    n = 0
    while k < stop:
        byte = data[k]
        kind = kinds[byte]
        if byte == _N and k + 2 < stop and data[k + 1] == _QUOTE and data[k + 2] == _T:
            ends = k + 3 >= stop or (kinds[data[k + 3]] > DIGIT and data[k + 3] != 95)
            if ends and n:
                return k, n, True  # "n't" is read as a separate word
            if ends:
                word[0], word[1], word[2] = _NOT
                return k + 3, 3, True
        if byte == _DASH and k + 1 < stop and kinds[data[k + 1]] == DIGIT:
            if n:
                return k, n, False
            word[0], word[1], word[2] = _MINUS
            n = 3
        elif kind == SEPARATOR:
            if n:
                return k, n, True
        elif kind == OTHER:
            if n or byte != _PLUS or k + 1 >= stop or kinds[data[k + 1]] != DIGIT:
                return k, n, False
            word[n] = byte
            n += 1
        else:
            word[n] = byte
            n += 1
        k += 1
    return k, n, True


@jit
def hash_wording(
    data: Any, start: Any, stop: Any, kinds: Any, light: Any, fact_keys: Any, old: Any, new_at: Any,
    new: Any, max_bytes: int, wording: Any, facts: Any, plain: Any,
) -> None:  # fmt: skip
    """Hash the wording and the facts of n texts.

    Args:
        data: Bytes of folded texts.
        start: [n] first byte of each text.
        stop: [n] one past its last byte.
        kinds: Kind of each ASCII character; any other character makes a text not plain.
        light: Sorted hashes of words that are omitted.
        fact_keys: Sorted hashes of words that are facts.
        old: Sorted hashes of words that are replaced.
        new_at: Offsets of the replacements in `new`.
        new: Bytes of the replacements.
        max_bytes: Bytes of the longest text.
        wording: [n] receives the hash of all words.
        facts: [n] receives the hash of the words that are facts, and of numbers.
        plain: [n] receives whether the text could be read by this loop.
    """
    word = np.empty(max_bytes + 8, dtype=np.uint8)
    all_words = np.empty(2 * max_bytes + 64, dtype=np.uint8)
    fact_words = np.empty(2 * max_bytes + 64, dtype=np.uint8)
    for i in range(start.size):
        k, n, m = start[i], 0, 0
        plain[i] = True
        while k < stop[i]:
            k, length, clean = _next(data, k, stop[i], kinds, word)
            if not clean:
                plain[i] = False
                break
            if not length:
                break
            key = xxh3(word, 0, length)
            if _find(light, key) >= 0:
                continue
            found = _find(old, key)
            begin = n + 1 if n else 0
            if found >= 0:
                n = _copy(new, new_at[found], new_at[found + 1], all_words, n)
            else:
                n = _copy(word, 0, length, all_words, n)
            if found >= 0:  # of several words the last may be a fact
                begin = max(begin, _last_space(all_words, begin, n) + 1)
                key = xxh3(all_words, begin, n - begin)
            first = all_words[begin]
            number = kinds[first] == DIGIT if first < 128 else True
            if number or first == _PLUS or _find(fact_keys, key) >= 0:
                m = _copy(all_words, begin, n, fact_words, m)
        wording[i], facts[i] = xxh3(all_words, 0, n), xxh3(fact_words, 0, m)


@jit
def _last_space(data: Any, start: int, stop: int) -> int:
    for k in range(stop - 1, start - 1, -1):
        if data[k] == _SPACE:
            return k
    return -1
