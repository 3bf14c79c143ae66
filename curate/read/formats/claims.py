"""An answer whose claims people judged, and whose parts they labelled.

The shape of the FAITHSCORE annotations: `answer`, `claims` of `{text, supported}`, and `spans` of
`{start, end, text, descriptive}`, where a descriptive part says what is in the picture and an
analytical one what to make of it: neither is a mistake by itself. Legends of such files can be the
wrong way round (FAITHSCORE's own README has it so): `--inverted` reads 1 as not supported.
"""

from __future__ import annotations

import json
from typing import Any, Final

from curate.read.fields import (
    ANSWER,
    HUMAN,
    Naming,
    check_text,
    first_field,
    scalar_text,
    type_name,
)
from curate.read.formats import qa
from curate.read.rows import Claim, Draft, Labelled, RowError, printable
from curate.read.spans import read_spans
from curate.read.turns import objects_of
from pairwright.dataset.ids import stable_id

SUPPORTED: Final = ("supported", "correct", "faithful", "verdict", "label")
TEXT: Final = ("text", "claim", "fact", "statement")
BY: Final = ("by", "annotator", "rater", "judge")
_MODEL: Final = ("model", "model_id", "model_name")
_MAX_CLAIMS: Final = 10_000
# What is said where nobody judged.
_NONE: Final = ("", "n/a", "na", "none", "null", "-", "nan", "unsure", "unclear", "unknown")
_YES: Final = ("1", "1.0", "yes", "true", "supported", "correct", "right", "faithful", "entailed")
_NO: Final = (
    "0", "0.0", "no", "false", "unsupported", "not supported", "not_supported", "incorrect", "wrong",
    "hallucinated", "unfaithful", "contradicted", "refuted",
)  # fmt: skip


def tell(row: dict[str, Any]) -> str | None:
    """Why a row is an answer with judged claims or labelled parts, if it is one."""
    answer = next((name for name in ANSWER if isinstance(row.get(name), str)), None)
    if answer is None:
        return None
    for name, fields in (("claims", SUPPORTED), ("spans", ("descriptive",))):
        found = objects_of(row.get(name))
        one = found[0] if isinstance(found, list) and found else None
        mark = next((field for field in fields if isinstance(one, dict) and field in one), None)
        if mark is not None:
            return f"have {answer} and {name} with {mark}"
    return None


def has_spans(row: dict[str, Any]) -> bool:
    """Whether a row's answer has labelled parts."""
    return bool(row.get("spans"))


def convert(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of the question, with the labelled answer beside it.

    Raises:
        RowError: If the row is not of that form, or a part is not where it says.
    """
    name = first_field(row, ANSWER, naming.answer)
    if name is None:
        raise RowError("missing_field", "no answer whose claims or parts these are")
    answer = check_text(row[name], name, naming.max_text)
    if not answer.strip():
        raise RowError("empty_answer", f"{name} has no text")
    spans, claims = row.get("spans"), row.get("claims")
    if spans is None and claims is None:
        raise RowError("missing_field", "neither claims nor spans")
    labelled = Labelled(
        text=answer,
        model=_text(row, _MODEL),
        by=_text(row, BY) or naming.by or HUMAN,
        spans=None if spans is None else read_parts(answer, spans),
        claims=None if claims is None else read_claims(claims, inverted=naming.inverted),
    )
    spent = {name, "spans", "claims", *BY, *_MODEL}
    rest = {key: value for key, value in row.items() if key not in spent}
    draft = qa.convert_asked(rest, naming)
    draft.labelled = [labelled]
    draft.once = stable_id("claims", json.dumps(row, sort_keys=True, default=str))
    return draft


def read_claims(value: Any, *, inverted: bool = False) -> list[Claim]:
    """Claims of a list of objects.

    Raises:
        RowError: If it is none, or an object is no claim.
    """
    value = objects_of(value)
    if not isinstance(value, list) or len(value) > _MAX_CLAIMS:
        raise RowError("wrong_type", f"claims is {type_name(value)}, not a list of claims")
    return [read_claim(one, place, inverted=inverted) for place, one in enumerate(value, start=1)]


def read_claim(one: Any, place: int, *, inverted: bool = False) -> Claim:
    """One claim and what people say of it.

    Raises:
        RowError: If it has no text, or a verdict that is neither yes nor no.
    """
    if not isinstance(one, dict):
        raise RowError("wrong_type", f"claim {place} is {type_name(one)}, not an object")
    name = first_field(one, TEXT, None)
    if name is None:
        raise RowError("missing_field", f"claim {place} has no {TEXT[0]}")
    text = check_text(one[name], f"claim {place}", 1_000_000)
    if not text.strip():
        raise RowError("empty_claim", f"claim {place} has no text")
    field = next((n for n in SUPPORTED if one.get(n) is not None), None)
    verdict = None if field is None else yes_or_no(one[field], f"{field} of claim {place}")
    return Claim(text=text, supported=verdict ^ inverted if verdict is not None else None)


def yes_or_no(value: Any, what: str) -> bool | None:
    """A verdict; `None` for `N/A` and its like.

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
        RowError: If a part is not where it says.
    """
    value = objects_of(value)
    if isinstance(value, list):
        value = [_part(one) if isinstance(one, dict) else one for one in value]
    return read_spans(answer, value)


def _part(one: dict[str, Any]) -> dict[str, Any]:
    """A part in the words of `read_spans`."""
    out = dict(one)
    if one.get("descriptive") is not None and one.get("kind") is None:
        is_so = yes_or_no(one["descriptive"], "descriptive")
        if is_so is not None:
            out["kind"] = "descriptive" if is_so else "analytical"
    if one.get("correct") is None and one.get("supported") is not None:
        out["correct"] = yes_or_no(one["supported"], "supported")
    return out


def _text(row: dict[str, Any], names: tuple[str, ...]) -> str | None:
    name = first_field(row, names, None)
    return None if name is None else scalar_text(row[name], name, 1000) or None
