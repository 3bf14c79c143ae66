"""Compiled loop over what folded texts say in single words; the same as `text.wording`, hashed."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.near.kernels.jit import jit
from curate.near.kernels.xxh3 import xxh3

# Kinds of ASCII characters.
LETTER, DIGIT, MARK, SIGN = 0, 1, 2, 3
_SPACE, _DASH, _PLUS, _N, _QUOTE, _T = (np.uint8(ord(sign)) for sign in " -+n't")
# UTF-8 of the minus sign, which `-` before a digit stands for.
_MINUS = (np.uint8(0xE2), np.uint8(0x88), np.uint8(0x92))
_NOT = (np.uint8(ord("n")), np.uint8(ord("o")), np.uint8(ord("t")))


@jit
def _place(keys: Any, key: Any) -> int:
    """Where a key stands in a sorted array, or -1."""
    place = np.searchsorted(keys, key)
    return place if place < keys.size and keys[place] == key else -1


@jit
def _copy(source: Any, start: int, stop: int, out: Any, n: int) -> int:
    """Append a word, and a space before it unless it is the first."""
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
        Where to read on, the word's length (0 at the end), and whether the word is plain: letters
        and digits, a sign only in front of a digit.
    """
    n = 0
    while k < stop:
        byte = data[k]
        kind = kinds[byte]
        if byte == _N and k + 2 < stop and data[k + 1] == _QUOTE and data[k + 2] == _T:
            ends = k + 3 >= stop or (kinds[data[k + 3]] > DIGIT and data[k + 3] != 95)
            if ends and n:
                return k, n, True  # "n't" is read as a word of its own
            if ends:
                word[0], word[1], word[2] = _NOT
                return k + 3, 3, True
        if byte == _DASH and k + 1 < stop and kinds[data[k + 1]] == DIGIT:
            if n:
                return k, n, False
            word[0], word[1], word[2] = _MINUS
            n = 3
        elif kind == MARK:
            if n:
                return k, n, True
        elif kind == SIGN:
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
def say(
    data: Any, start: Any, stop: Any, kinds: Any, light: Any, fact_keys: Any, old: Any, new_at: Any,
    new: Any, most: int, said: Any, facts: Any, plain: Any,
) -> None:  # fmt: skip
    """Hash what texts say.

    Args:
        data: Bytes of folded texts.
        start: Where each begins.
        stop: Where each ends.
        kinds: Kind of every ASCII character; others make a text not plain.
        light: Sorted hashes of words that are left out.
        fact_keys: Sorted hashes of words that are facts.
        old: Sorted hashes of words that others stand for.
        new_at: Where the words in their place start in `new`.
        new: Those words.
        most: Bytes of the longest text.
        said: Gets the hash of all words.
        facts: Gets the hash of the words that are facts, and of numbers.
        plain: Gets whether the text could be read here.
    """
    word = np.empty(most + 8, dtype=np.uint8)
    all_words = np.empty(2 * most + 64, dtype=np.uint8)
    some = np.empty(2 * most + 64, dtype=np.uint8)
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
            if _place(light, key) >= 0:
                continue
            place = _place(old, key)
            begin = n + 1 if n else 0
            if place >= 0:
                n = _copy(new, new_at[place], new_at[place + 1], all_words, n)
            else:
                n = _copy(word, 0, length, all_words, n)
            if place >= 0:  # of several words the last may be a fact
                begin = max(begin, _last_space(all_words, begin, n) + 1)
                key = xxh3(all_words, begin, n - begin)
            first = all_words[begin]
            number = kinds[first] == DIGIT if first < 128 else True
            if number or first == _PLUS or _place(fact_keys, key) >= 0:
                m = _copy(all_words, begin, n, some, m)
        said[i], facts[i] = xxh3(all_words, 0, n), xxh3(some, 0, m)


@jit
def _last_space(data: Any, start: int, stop: int) -> int:
    for k in range(stop - 1, start - 1, -1):
        if data[k] == _SPACE:
            return k
    return -1
