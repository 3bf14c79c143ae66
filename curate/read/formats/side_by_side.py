"""Two answers in one row and the verdicts on them, one per criterion, in graded words.

The shape of the ImageInWords side-by-side file: `text_a`, `text_b`, their authors in `a` and `b`, and
`metrics`, an object of criterion and level (`IIW-P5B is marginally better`, `Neutral`). A row with one
`verdict` instead is read too. If a row states the sum of its grades, it must be their sum: this
finds a legend that is inverted.
"""

from __future__ import annotations

import json
from typing import Any, Final

from curate.read import questions
from curate.read.fields import (
    HUMAN,
    Naming,
    check_text,
    first_field,
    number,
    scalar_text,
    type_name,
)
from curate.read.formats.base import Format
from curate.read.levels import Level, read_level
from curate.read.rows import Candidate, Draft, RowError, Verdict
from curate.read.votes import MEANING
from pairwright.dataset.ids import stable_id

_TEXTS: Final = tuple(
    (f"{word}_{a}", f"{word}_{b}")
    for word in ("text", "response", "answer", "output", "completion", "caption", "description")
    for a, b in (("a", "b"), ("1", "2"))
)
_LEVELS: Final = ("metrics", "levels", "preferences", "verdicts")
_VERDICT: Final = ("verdict", "winner", "preference", "level", "label")
_NAMES: Final = (("model_a", "model_b"), ("model_1", "model_2"), ("a", "b"), ("name_a", "name_b"))
_BY: Final = ("by", "annotator", "rater", "judge")
_WHY: Final = ("rationale", "reason", "explanation", "comment")
_SUM: Final = "sum_score_a_minus_b"
_MAX_CRITERIA: Final = 100


def detect(row: dict[str, Any]) -> str | None:
    """Why a row has two answers side by side, if it has."""
    found = _texts(row)
    levels = next((name for name in _LEVELS if isinstance(row.get(name), dict)), None)
    verdict = next((name for name in _VERDICT if row.get(name) is not None), None)
    if found is None or not (levels or verdict):
        return None
    return f"have {found[0]}, {found[1]} and {levels or verdict}"


def convert(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of the question, with both answers and one verdict per criterion.

    Raises:
        RowError: If the row is not of that form, or one of its verdicts is unknown.
    """
    found = _texts(row)
    if found is None:
        raise RowError("missing_field", f"no two answers such as {_TEXTS[0][0]} and {_TEXTS[0][1]}")
    texts = [_text(row, name, naming) for name in found]
    if texts[0] == texts[1]:
        raise RowError("same_answers", f"{found[0]} and {found[1]} are the same text")
    fields, names = _authors(row)
    by_field = first_field(row, _BY, None)
    by = naming.by if by_field is None else scalar_text(row[by_field], by_field, 1000)
    verdicts, used = _verdicts(row, names)
    why = first_field(row, _WHY, None)
    reasons = None if why is None else check_text(row[why], why, naming.max_text) or None
    spent = {*found, *fields, *used, *_BY, *_WHY, _SUM}
    rest = {key: value for key, value in row.items() if key not in spent}
    draft = questions.convert_prompt(rest, naming)
    draft.candidates = [Candidate(text=texts[n], model=names[n]) for n in (0, 1)]
    draft.verdicts = [
        Verdict(
            first=0, second=1, winner=level.winner, by=by or HUMAN, text=reasons,
            criterion=criterion, grade=level.grade,
        )
        for criterion, level in verdicts
    ]  # fmt: skip
    draft.unique_key = stable_id("side-by-side", json.dumps(row, sort_keys=True, default=str))
    return draft


def _texts(row: dict[str, Any]) -> tuple[str, str] | None:
    return next((pair for pair in _TEXTS if all(isinstance(row.get(n), str) for n in pair)), None)


def _text(row: dict[str, Any], name: str, naming: Naming) -> str:
    text = check_text(row[name], name, naming.max_text)
    if not text.strip():
        raise RowError("empty_answer", f"{name} has no text")
    return text


def _authors(row: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, str]]:
    """Fields that name the authors, and their names; `a` and `b` if there are none."""
    for pair in _NAMES:
        if all(row.get(name) is not None for name in pair):
            first, second = (scalar_text(row[name], name, 1000).strip() for name in pair)
            return pair, (first or "a", second or "b")
    return (), ("a", "b")


def _verdicts(
    row: dict[str, Any], names: tuple[str, str]
) -> tuple[list[tuple[str | None, Level]], set[str]]:
    """Criteria with their verdicts, and the fields they were read from."""
    field = next((name for name in _LEVELS if isinstance(row.get(name), dict)), None)
    if field is None:
        name = first_field(row, _VERDICT, None)
        if name is None:
            raise RowError("missing_field", f"neither {_LEVELS[0]} nor {_VERDICT[0]}")
        return [(None, _level(row[name], name, names))], {name}
    given = {key: value for key, value in row[field].items() if value is not None}
    if not given or len(given) > _MAX_CRITERIA:
        raise RowError("wrong_type", f"{field} has {len(given):,} criteria")
    found = [
        (check_text(key, "a criterion", 200).strip(), _level(value, f"{field}.{key}", names))
        for key, value in given.items()
    ]
    stated, grades = number(row.get(_SUM)), [level.grade for _, level in found]
    if stated is not None and None not in grades and stated != sum(g or 0.0 for g in grades):
        total = sum(g or 0.0 for g in grades)
        raise RowError("wrong_sum", f"{_SUM} is {stated:g}, its verdicts sum up to {total:g}")
    return list(found), {field}


def _level(value: Any, what: str, names: tuple[str, str]) -> Level:
    if not isinstance(value, str):
        raise RowError("unknown_verdict", f"{what} is {type_name(value)}, not words")
    text = check_text(value, what, 1000)
    plain = MEANING.get(text.strip().casefold())
    if plain in ("first", "second"):
        return Level(plain, None)  # which one is better, but not by how much
    return read_level(text, *names)


FORMAT: Final = Format(
    name="side-by-side",
    summary="two answers side by side with verdicts of human annotators",
    rows=(
        "`text_a`, `text_b` (or `response_a`, `answer_1`, ...), their authors in `a`, `b`, and "
        "`metrics` of criterion and level, or one `verdict`; [see below](#graded-verdicts)"
    ),
    makes={"comparisons": convert},
    detect=detect,
)
