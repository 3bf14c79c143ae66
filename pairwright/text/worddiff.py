"""What changed between two answers: spans of whole words, in code points.

Words are compared, and the white space between two words that stayed is compared as well, so that
the text outside the spans is the same on both sides, character for character.
"""

from __future__ import annotations

import difflib
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final, TypedDict


class Span(TypedDict):
    """A changed part of a text; `text` is the slice `[start:end]`."""

    start: int
    end: int
    text: str
    kind: str


# Pairs of equal words that difflib may look at: about one second. Texts of thousands of equal words
# would take hours; what was not looked at counts as changed.
_MAX_WORK: Final = 4_000_000
_ASCII_TOKEN = re.compile(r"[A-Za-z0-9_]+(?:['-][A-Za-z0-9_]+)*|[^\sA-Za-z0-9_]")
# Scripts that are written without spaces: a character is a word.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # CJK radicals
    (0x3005, 0x3007),
    (0x3040, 0x30FF),  # kana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # half-width kana
    (0x20000, 0x3FFFF),
)
_JOINERS = "'\u2019-"
_ZERO_WIDTH_JOINER = "\u200d"

Token = tuple[int, int]


def diff_spans(original: str, corrected: str) -> tuple[list[Span], list[Span]]:
    """The parts of two answers that differ.

    Args:
        original: The rejected answer.
        corrected: The chosen answer.

    Returns:
        Spans of `original` and spans of `corrected`, in order. A `replace` is on both sides, an
        `insert` the corrected one only, a `delete` the original one only. Without its spans, each
        side is the same text.
    """
    removed: list[Span] = []
    added: list[Span] = []
    for (a_start, a_end), (b_start, b_end) in _gaps(original, corrected):
        before, after = original[a_start:a_end], corrected[b_start:b_end]
        if before == after:
            continue
        # The white space in front belongs to a changed word, as in the tokens of language models:
        # so the end is trimmed first.
        tail = _common_space(before[::-1], after[::-1])
        before, after = before[: len(before) - tail], after[: len(after) - tail]
        head = _common_space(before, after)
        before, after = before[head:], after[head:]
        kind = "replace" if before and after else "delete" if before else "insert"
        if before:
            removed.append(_span(a_start + head, before, kind))
        if after:
            added.append(_span(b_start + head, after, kind))
    return removed, added


def words(text: str) -> list[Token]:
    """Start and end of every word and punctuation character, white space left out.

    A combining character belongs to the character before it; in scripts without spaces every character
    is a word; `don't` and `man-made` are one word.
    """
    if text.isascii():
        return [match.span() for match in _ASCII_TOKEN.finditer(text)]
    out: list[Token] = []
    previous = "space"
    for place, char in enumerate(text):
        kind = _kind(char)
        if kind == "space":
            previous = kind
            continue
        glued = (
            (previous != "space" and (kind == "combining" or text[place - 1] == _ZERO_WIDTH_JOINER))
            or (kind == "word" and previous == "word")
            or _joins(text, place, previous)
        )
        if glued:
            out[-1] = (out[-1][0], place + 1)
            previous = "word" if kind == "word" or char in _JOINERS else previous
        else:
            out.append((place, place + 1))
            previous = "other" if kind == "combining" else kind
    return out


def _joins(text: str, place: int, previous: str) -> bool:
    """Whether an apostrophe or hyphen stands inside a word."""
    return (
        text[place] in _JOINERS
        and previous == "word"
        and text[place - 1] not in _JOINERS
        and place + 1 < len(text)
        and _kind(text[place + 1]) == "word"
    )


def _kind(char: str) -> str:
    if char.isspace():
        return "space"
    code = ord(char)
    category = unicodedata.category(char)
    if category[0] == "M" or category == "Cf":
        return "combining"
    if any(low <= code <= high for low, high in _UNSPACED):
        return "unspaced"
    return "word" if char.isalnum() or char == "_" else "other"


def _gaps(original: str, corrected: str) -> list[tuple[Token, Token]]:
    """What stands between words that stayed, on both sides."""
    a, b = words(original), words(corrected)
    matched = _matches([original[s:e] for s, e in a], [corrected[s:e] for s, e in b])
    gaps: list[tuple[Token, Token]] = []
    a_done = b_done = 0
    for i, j in matched:
        gaps.append(((a_done, a[i][0]), (b_done, b[j][0])))
        a_done, b_done = a[i][1], b[j][1]
    gaps.append(((a_done, len(original)), (b_done, len(corrected))))
    return gaps


def _matches(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Positions of equal words, in order."""
    shorter = min(len(a), len(b))
    head = next((k for k in range(shorter) if a[k] != b[k]), shorter)
    rest = shorter - head
    tail = next((k for k in range(rest) if a[-1 - k] != b[-1 - k]), rest)
    out = [(k, k) for k in range(head)]
    for i, j, size in _blocks(a[head : len(a) - tail], b[head : len(b) - tail]):
        out += [(head + i + k, head + j + k) for k in range(size)]
    out += [(len(a) - k, len(b) - k) for k in range(tail, 0, -1)]
    return out


def _blocks(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int, int]]:
    """What difflib's `get_matching_blocks` finds, within a bound on the work."""
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    count = Counter(b)
    work = list(itertools.accumulate((count[word] for word in a), initial=0))
    budget = _MAX_WORK
    windows, found = [(0, len(a), 0, len(b))], []
    while windows:
        a_low, a_high, b_low, b_high = windows.pop()
        budget -= work[a_high] - work[a_low]
        if budget < 0:
            break
        i, j, size = matcher.find_longest_match(a_low, a_high, b_low, b_high)
        if size:
            found.append((i, j, size))
            windows += [(a_low, i, b_low, j), (i + size, a_high, j + size, b_high)]
    return sorted(found)


def _common_space(a: str, b: str) -> int:
    """Length of the white space that both start with."""
    length = 0
    for x, y in zip(a, b, strict=False):
        if x != y or not x.isspace():
            break
        length += 1
    return length


def _span(start: int, text: str, kind: str) -> Span:
    return Span(start=start, end=start + len(text), text=text, kind=kind)
