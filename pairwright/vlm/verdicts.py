"""Reading a label from a written verdict, where a server returns no probabilities.

A wrong reading is worse than none: what is ambiguous has no label.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from pairwright.vlm.types import label_names

# Emphasis, quotes, brackets and backticks around a verdict mean nothing.
_DECORATION = re.compile(r"[*_`\"'\u2018\u2019\u201c\u201d\[\](){}<>#$\\]+|\bboxed\b")
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL | re.IGNORECASE)
# "Rating: 4", "the score is 4", "I would give it a 4"
_SAID = (
    r"(?:rating|score|mark|grade|verdict|answer|judge?ment|label|choice|result|output)"
    r"(?:\s+(?:of|for|on)\s+[\w ]{1,40}?)?\s*(?:is|:|=|->|would be|should be)+\s*(?:an?\s+)?"
    r"|\b(?:give|rate|score|mark|grade|assign|award|choose|pick)d?\s+"
    r"(?:(?:it|this|that|the|answer|response|an?|as|with|at|score|rating|mark|grade|of)\s+){0,6}"
)
_UNCLEAR = ""
_SHARE = r"\s*(?:/|out\s+of)\s*"
_UNIT = r"\s*(?:stars?|points?)"


def label_in_text(text: str, labels: Sequence[str]) -> str | None:
    """The label that a verdict names, by its first spelling; nothing if none or several are named.

    Recognised are a lone label, a label followed by punctuation or a line break ("5.", "yes,
    ..."), a fraction of the scale ("4/5"), and a statement ("Rating: 4").

    Args:
        text: The verdict.
        labels: Labels; spellings of one label are joined by `|`.
    """
    spellings = {
        spelling: name
        for name, label in zip(label_names(tuple(labels)), labels, strict=True)
        for spelling in label.split("|")
    }
    plain = _plain(text)
    if plain is None:
        return None
    named = {_lone(plain, spellings), *_leading(plain, spellings), *_said(plain, spellings)}
    *_, last = plain.split("\n")
    named.add(_lone(last, spellings))
    named.discard(None)
    return (named.pop() or None) if len(named) == 1 else None


def label_shares(texts: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """How often each label is named, among all verdicts."""
    named = [label_in_text(text, labels) for text in texts]
    return {name: named.count(name) / len(texts) for name in label_names(tuple(labels))}


def _plain(text: str) -> str | None:
    """Text without thoughts and decoration, or nothing if it ends within a thought."""
    text = _THOUGHT.sub("", unicodedata.normalize("NFKC", text))
    if re.search(r"<think>", text, re.IGNORECASE):
        return None
    # Direction and zero-width characters.
    text = "".join(c for c in text if c == "\n" or unicodedata.category(c)[0] != "C")
    lines = (" ".join(_DECORATION.sub(" ", line).split()) for line in text.split("\n"))
    return re.sub(r"^- ", "", "\n".join(line for line in lines if line))


def _lone(text: str, spellings: dict[str, str]) -> str | None:
    """The label, if nothing but punctuation follows it."""
    text = re.sub(r"\s*[.,:;!]+$", "", text.strip())
    found = {spellings[text]} if text in spellings else set()
    found = found or {n for s, n in spellings.items() if s.lower() == text.lower()}
    return found.pop() if len(found) == 1 else None


def _leading(text: str, spellings: dict[str, str]) -> set[str | None]:
    """The label that the text starts with, if what follows shows that it is the verdict."""
    label = re.match(_one_of(spellings), text, re.IGNORECASE)
    if label is None or not (name := _name_of(label.group(), spellings)):
        return set()
    return {name} if _is_over(text[label.end() :], label.group(), spellings) else set()


def _said(text: str, spellings: dict[str, str]) -> set[str | None]:
    """All labels that statements name; one that is no label makes the verdict unreadable."""
    found: set[str | None] = set()
    for said in re.finditer(f"(?:{_SAID})({_one_of(spellings)})", text, re.IGNORECASE):
        rest = text[said.end() :]
        is_over = _is_over(rest, said.group(1), spellings)
        is_over = is_over or re.match(r" (?:for|on|because|as)\b", rest) is not None
        found.add(_name_of(said.group(1), spellings) if is_over else _UNCLEAR)
    return found


def _is_over(rest: str, label: str, spellings: dict[str, str]) -> bool:
    """Whether a label ends here: no decimals, no range, no other scale, no second label, no list."""
    if label.isdigit():
        share = re.match(rf"{_SHARE}(\d+)\b", rest)
        if share:
            if share.group(1) != max((s for s in spellings if s.isdigit()), key=int):
                return False
            rest = rest[share.end() :]
        rest = re.sub(rf"^{_UNIT}\b", "", rest)
        if label == "1" and re.match(r"[.)] *\w", rest):
            return False  # the start of a list
    elif len(label) > 1 and re.match(r" [a-z]", rest) and not re.match(r" (?:and|or)\b", rest):
        return True  # "yes it is"
    if re.match(
        rf"(?:\s*(?:[.,:;!/|&-]|\b(?:and|or|to)\b)+\s*|\s+){_one_of(spellings)}", rest, re.I
    ):
        return False
    return re.match(r"$|\n|\s*[,.:;!](?!\d)|\s+-+\s+(?!\d)|\s*\u2014", rest) is not None


def _name_of(spelling: str, spellings: dict[str, str]) -> str | None:
    if spelling in spellings:
        return spellings[spelling]
    found = {n for s, n in spellings.items() if s.lower() == spelling.lower()}
    return found.pop() if len(found) == 1 else None


def _one_of(spellings: dict[str, str]) -> str:
    longest_first = sorted(map(re.escape, spellings), key=len, reverse=True)
    return rf"(?:{'|'.join(longest_first)})(?!\w)"
