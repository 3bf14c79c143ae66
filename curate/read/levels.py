"""Graded verdicts in words: `X is marginally better`, `Neutral`, `B is much worse`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from curate.read.rows import RowError, printable

_STRONG: Final = (
    "substantially", "much", "significantly", "considerably", "clearly", "strongly", "far", "a lot",
    "definitely", "way",
)  # fmt: skip
_WEAK: Final = ("marginally", "slightly", "somewhat", "a little", "a bit", "barely", "probably", "")
_NEUTRAL: Final = (
    "neutral", "tie", "same", "equal", "equally good", "about the same", "no preference", "both",
)  # fmt: skip
_BOTH_BAD: Final = ("both bad", "both_bad", "bothbad", "neither", "tie (bothbad)")
# "IIW-Human is substantially better", "B much worse", "model a: slightly better".
_LEVEL = re.compile(r"(?P<who>.+?)(?:\s+is|:)?\s+(?P<how>(?:\S+\s+){0,2}?)(?P<what>better|worse)")
_STRENGTH: Final = {**dict.fromkeys(_STRONG, 2.0), **dict.fromkeys(_WEAK, 1.0)}
_PLAIN: Final = (
    ("a", "1", "model a", "model_a", "answer a", "response a", "text a", "first", "left"),
    ("b", "2", "model b", "model_b", "answer b", "response b", "text b", "second", "right"),
)


@dataclass(frozen=True, slots=True)
class Level:
    """A graded verdict.

    Attributes:
        winner: `first`, `second`, `tie` or `both_bad`.
        grade: How much better the first one is: 2 to -2; `None` if both are bad.
    """

    winner: str
    grade: float | None


def read_level(text: str, first: str, second: str) -> Level:
    """A verdict in words on two answers.

    Args:
        text: The verdict.
        first: Name of the first answer's author.
        second: Name of the second's.

    Raises:
        RowError: If the words are unknown, or name neither answer, or could name both.
    """
    words = " ".join(text.split()).rstrip(".!").casefold()
    if words in _NEUTRAL:
        return Level("tie", 0.0)
    if words in _BOTH_BAD:
        return Level("both_bad", None)
    found = _LEVEL.fullmatch(words)
    if found is None:
        raise RowError("unknown_verdict", printable(text, 100))
    strength = _STRENGTH.get(found["how"].strip())
    if strength is None:
        detail = f"{printable(text, 100)}: how much is {found['how'].strip()!r:.40}?"
        raise RowError("unknown_verdict", detail)
    grade = strength if found["what"] == "better" else -strength
    if not _is_first(found["who"], first.casefold(), second.casefold(), text):
        grade = -grade
    return Level("first" if grade > 0 else "second", grade)


def _is_first(who: str, first: str, second: str, text: str) -> bool:
    """Whether a verdict names the first answer: exactly, by position, or by the longer prefix.

    Files name one author in two ways: `IIW` in a column, `IIW-Human` in the verdict, while another
    author is called `IIW-P5B`.
    """
    for names in ((first, second), *zip(*_PLAIN, strict=True)):
        if who in names:
            return who == names[0]
    lengths = [len(name) if _begins(who, name) else 0 for name in (first, second)]
    if lengths[0] == lengths[1]:
        detail = f"{printable(text, 100)} names neither {first!r:.60} nor {second!r:.60}"
        raise RowError("unknown_verdict", detail)
    return lengths[0] > lengths[1]


def _begins(who: str, name: str) -> bool:
    return bool(name) and who.startswith(name) and not who[len(name) : len(name) + 1].isalnum()
