"""Claims of an answer with their labels, and labelled parts of an answer.

The labels of a claim are `supported` as 1 or 0, or a word such as `yes` or `hallucinated`. Legends of
such files can be inverted (the one in FAITHSCORE's own README is).
"""

from __future__ import annotations

from typing import Any, Final

from curate.read.fields import check_text, first_field, type_name
from curate.read.rows import Claim, RowError, printable
from curate.read.spans import read_spans
from curate.read.turns import objects_of

SUPPORTED: Final = ("supported", "correct", "faithful", "verdict", "label")
TEXT: Final = ("text", "claim", "fact", "statement")
_MAX_CLAIMS: Final = 10_000
# Labels of claims that nobody judged.
_NONE: Final = ("", "n/a", "na", "none", "null", "-", "nan", "unsure", "unclear", "unknown")
_YES: Final = ("1", "1.0", "yes", "true", "supported", "correct", "right", "faithful", "entailed")
_NO: Final = (
    "0", "0.0", "no", "false", "unsupported", "not supported", "not_supported", "incorrect", "wrong",
    "hallucinated", "unfaithful", "contradicted", "refuted",
)  # fmt: skip


def read_claims(value: Any, *, inverted: bool = False) -> list[Claim]:
    """Claims of a list of objects.

    Raises:
        RowError: If the value is no list, or an object is no claim.
    """
    value = objects_of(value)
    if not isinstance(value, list) or len(value) > _MAX_CLAIMS:
        raise RowError("wrong_type", f"claims is {type_name(value)}, not a list of claims")
    return [
        read_claim(one, position, inverted=inverted) for position, one in enumerate(value, start=1)
    ]


def read_claim(one: Any, position: int, *, inverted: bool = False) -> Claim:
    """One claim and its label.

    Raises:
        RowError: If it has no text, or a label that is neither yes nor no.
    """
    if not isinstance(one, dict):
        raise RowError("wrong_type", f"claim {position} is {type_name(one)}, not an object")
    name = first_field(one, TEXT, None)
    if name is None:
        raise RowError("missing_field", f"claim {position} has no {TEXT[0]}")
    text = check_text(one[name], f"claim {position}", 1_000_000)
    if not text.strip():
        raise RowError("empty_claim", f"claim {position} has no text")
    field = next((n for n in SUPPORTED if one.get(n) is not None), None)
    verdict = None if field is None else yes_or_no(one[field], f"{field} of claim {position}")
    return Claim(text=text, supported=verdict ^ inverted if verdict is not None else None)


def yes_or_no(value: Any, what: str) -> bool | None:
    """A label; `None` for `N/A` and the like.

    Raises:
        RowError: If it is neither yes nor no.
    """
    word = str(value).strip().casefold() if isinstance(value, str | int | float) else "?"
    if word in _YES or word in _NO:
        return word in _YES
    if word in _NONE:
        return None
    raise RowError("unknown_verdict", f"{what} is {printable(str(value), 60)}, neither yes nor no")


def read_parts(answer: str, value: Any) -> list[dict[str, Any]]:
    """Labelled parts of an answer, for the feedback table.

    Raises:
        RowError: If a part is not at its offsets.
    """
    value = objects_of(value)
    if isinstance(value, list):
        value = [_part(one) if isinstance(one, dict) else one for one in value]
    return read_spans(answer, value)


def _part(one: dict[str, Any]) -> dict[str, Any]:
    """A part as `read_spans` expects it."""
    out = dict(one)
    if one.get("descriptive") is not None and one.get("kind") is None:
        is_so = yes_or_no(one["descriptive"], "descriptive")
        if is_so is not None:
            out["kind"] = "descriptive" if is_so else "analytical"
    if one.get("correct") is None and one.get("supported") is not None:
        out["correct"] = yes_or_no(one["supported"], "supported")
    return out
