"""An answer whose claims human annotators judged, and whose parts they labelled.

The shape of the FAITHSCORE annotations: `answer`, `claims` of `{text, supported}`, and `spans` of
`{start, end, text, descriptive}`. A descriptive part describes the image, an analytical one draws
conclusions from it: neither is a mistake by itself.
"""

from __future__ import annotations

import json
from typing import Any, Final

from curate.read import questions
from curate.read.claims import SUPPORTED, read_claims, read_parts
from curate.read.fields import ANSWER, HUMAN, Naming, check_text, first_field, scalar_text
from curate.read.formats.base import Format
from curate.read.rows import Draft, Labelled, RowError
from curate.read.turns import objects_of
from pairwright.dataset.ids import stable_id

_BY: Final = ("by", "annotator", "rater", "judge")
_MODEL: Final = ("model", "model_id", "model_name")


def detect(row: dict[str, Any]) -> str | None:
    """Why a row is an answer with judged claims or labelled parts, if it is one."""
    answer = next((name for name in ANSWER if isinstance(row.get(name), str)), None)
    if answer is None:
        return None
    for name, labels in (("claims", SUPPORTED), ("spans", ("descriptive",))):
        found = objects_of(row.get(name))
        one = found[0] if isinstance(found, list) and found else None
        label = next((field for field in labels if isinstance(one, dict) and field in one), None)
        if label is not None:
            return f"have {answer} and {name} with {label}"
    return None


def has_spans(row: dict[str, Any]) -> bool:
    """Whether a row's answer has labelled parts."""
    return bool(row.get("spans"))


def convert(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of the question, with the labelled answer.

    Raises:
        RowError: If the row is not of that form, or a part is not at its offsets.
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
        by=_text(row, _BY) or naming.by or HUMAN,
        spans=None if spans is None else read_parts(answer, spans),
        claims=None if claims is None else read_claims(claims, inverted=naming.inverted),
    )
    spent = {name, "spans", "claims", *_BY, *_MODEL}
    rest = {key: value for key, value in row.items() if key not in spent}
    draft = questions.convert_prompt(rest, naming)
    draft.labelled = [labelled]
    draft.unique_key = stable_id("claims", json.dumps(row, sort_keys=True, default=str))
    return draft


def _text(row: dict[str, Any], names: tuple[str, ...]) -> str | None:
    name = first_field(row, names, None)
    return None if name is None else scalar_text(row[name], name, 1000) or None


FORMAT: Final = Format(
    name="claims",
    summary="answers with judged claims or labelled parts",
    rows=(
        "`answer` with `claims` of `{text, supported}`, or `spans` with `descriptive`; "
        "[see below](#claims)"
    ),
    makes={"claims": convert, "feedback": convert},
    detect=detect,
    also={"claims": ("feedback", has_spans)},
)
