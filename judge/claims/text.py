"""From responses to claims: the list that a model writes, or sentences by rule."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from pairwright.errors import DataError

MAX_CHARS = 2_000
_FENCED = re.compile(r"```[A-Za-z]*\n(.*?)```", re.DOTALL)
_ITEM = re.compile(r"^\s*(?:\d{1,3}[.):]|[-*\u2022])\s+(?P<text>\S.*)$")
_NOTHING = re.compile(r"(?:none|no claims?|nothing|n/a|\[\]|\(none\))\.?", re.IGNORECASE)
# Looks like the end of a sentence, but is not.
_SHORT = re.compile(
    r"\b(?:mr|mrs|ms|dr|prof|st|vs|etc|approx|no|fig|e\.g|i\.e|cf|jr|sr|inc|ltd|a\.m|p\.m|u\.s)\.$"
    r"|\b[A-Z]\.$|^\s*\d{1,3}\.$",
    re.IGNORECASE,
)
_END = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])[\"')\]]*\s+|(?<=[\u3002\uff01\uff1f])|\n+")
# A new clause: a conjunction before a subject and a verb. "a hat and a coat is there" has no second
# clause, so a subject with "a" counts only after a comma.
_SUBJECT = r"(?:the|it|they|he|she|there|this|that|these|those|his|her|their|its)\b"
_NEW = r"(?:an?|some|two|one)\b"
_VERB = r"(?:is|are|was|were|has|have|can|holds?|wears?|sits?|stands?|looks?|seems?|appears?|shows?|contains?)\b"
_THEN = rf"(?:\s+[\w-]+){{0,4}}?\s+{_VERB}"
_CONJUNCTION = r"(?:and|but|while|whereas)\s+"
_NEW_CLAUSE = re.compile(
    rf"(?:;\s+|,\s+{_CONJUNCTION})(?=(?:{_SUBJECT}|{_NEW}){_THEN})|\s+{_CONJUNCTION}(?={_SUBJECT}{_THEN})",
    re.IGNORECASE,
)


class Claim(NamedTuple):
    """One claim, and its yes/no question if the model gave one."""

    text: str
    question: str | None = None


def read_claims(reply: str, max_claims: int) -> list[Claim]:
    """Claims in a model's reply: JSON, fenced or not, otherwise a list with numbers or dashes.

    Raises:
        DataError: If it is neither; plain text is not read as claims.
    """
    text = reply.replace("\0", "").strip()
    if not text:
        msg = "the reply is empty"
        raise DataError(msg)
    raw = _json_in(text)
    if raw is not None:
        return _tidy(_of_json(raw), max_claims)
    if _NOTHING.fullmatch(text):
        return []
    items = [match.group("text") for line in text.splitlines() if (match := _ITEM.match(line))]
    if not items:
        msg = f"no list of claims in the reply: {text[:80]!r}"
        raise DataError(msg)
    return _tidy([Claim(item) for item in items], max_claims)


def sentences(answer: str, max_claims: int) -> list[Claim]:
    """Sentences of a response, split where a new clause with its own subject begins.

    Questions and pieces without a letter or digit contain no claim and are left out.
    """
    pieces: list[str] = []
    for piece in _END.split(answer.replace("\0", "")):
        if pieces and _SHORT.search(pieces[-1]):
            pieces[-1] = f"{pieces[-1]} {piece}"
        else:
            pieces.append(piece)
    clauses: list[Claim] = []
    for piece in pieces:
        clean = re.sub(r"^\s*(?:\d{1,3}[.)]|[-*\u2022#>]+)\s+", "", piece).strip()
        if clean.endswith(("?", "\uff1f")):
            continue
        clauses += [Claim(clause) for clause in _NEW_CLAUSE.split(clean)]
    return _tidy(clauses, max_claims)


def as_question(claim: str) -> str:
    """The claim as a yes/no question, by rule."""
    return f"Is it true of the image that: {claim}"


def _json_in(text: str) -> Any:
    """The first JSON object or list in a text that could be a list of claims."""
    decoder = json.JSONDecoder()
    for whole in (*_FENCED.findall(text), text):
        stripped = whole.strip()
        if not stripped.startswith(("{", "[")):
            start = stripped.find('{"claims"')
            if start < 0:
                continue
            stripped = stripped[start:]
        try:
            return decoder.raw_decode(stripped)[0]
        except (ValueError, RecursionError):
            continue
    return None


def _of_json(raw: Any) -> list[Claim]:
    """Claims of a JSON value.

    Raises:
        DataError: If it contains no list of texts.
    """
    listed = raw.get("claims") if isinstance(raw, dict) else raw
    if not isinstance(listed, list):
        msg = "the reply is JSON, but has no list of claims"
        raise DataError(msg)
    claims: list[Claim] = []
    for entry in listed:
        text, question = entry, None
        if isinstance(entry, dict):
            text, question = entry.get("claim", entry.get("text")), entry.get("question")
        if not isinstance(text, str) or not isinstance(question, str | None):
            msg = f"a claim is no text: {str(entry)[:80]!r}"
            raise DataError(msg)
        claims.append(Claim(text, question))
    return claims


def _tidy(claims: list[Claim], max_claims: int) -> list[Claim]:
    """Claims in one line each, without duplicates and empty ones, at most `max_claims`."""
    found: dict[str, Claim] = {}
    for claim in claims:
        # A lone surrogate of a \ud800 in JSON cannot be stored as UTF-8.
        text, question = (_one_line(part) for part in (claim.text, claim.question or ""))
        if any(char.isalnum() for char in text):
            found.setdefault(text.casefold(), Claim(text, question or None))
        if len(found) == max_claims:
            break
    return list(found.values())


def _one_line(text: str) -> str:
    clean = text.encode("utf-8", "replace").decode().replace("\0", "")
    return " ".join(clean.split())[:MAX_CHARS]
