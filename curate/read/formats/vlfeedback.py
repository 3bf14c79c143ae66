"""VLFeedback: an instruction, four models' answers, and GPT-4V's ratings of them on three aspects.

The card of MMInstruction/VLFeedback gives `id`, `prompt`, `models`, `img_path` and `completions` with
`model`, `response` and `annotations` (`Helpfulness`, `Ethical Considerations`, `Visual Faithfulness`,
each a `Rating` and a `Rationale`, both text). A rating of `N/A` is no score, never zero.
`datasets` keeps `completions` as an object of lists.
"""

from __future__ import annotations

from typing import Any, Final

from curate.read import questions
from curate.read.fields import Naming, check_text, number, scalar_text, type_name
from curate.read.formats.base import Format
from curate.read.rows import Candidate, Draft, RowError, Score
from curate.read.turns import objects_of

RUBRIC: Final = "vlfeedback"
JUDGE: Final = "gpt-4v"
_MAX_COMPLETIONS: Final = 1000


def detect(row: dict[str, Any]) -> str | None:
    """Why a row is one of VLFeedback, if it is."""
    found = objects_of(row.get("completions"))
    if not isinstance(found, list) or not found or not isinstance(found[0], dict):
        return None
    known = {"annotations", "response"} & found[0].keys()
    return "have completions with responses and annotations" if len(known) == 2 else None


def convert(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of the prompt, with the answers and their scores.

    Raises:
        RowError: If the row is not of that form.
    """
    completions = objects_of(row.get("completions"))
    if not isinstance(completions, list) or not completions:
        detail = f"completions is {type_name(completions)}, not a list of answers"
        raise RowError("wrong_type", detail)
    if len(completions) > _MAX_COMPLETIONS:
        raise RowError("too_many_answers", f"{len(completions):,} completions")
    rest = {k: v for k, v in row.items() if k not in ("completions", "models")}
    draft = questions.convert(rest, naming)
    draft.candidates = [
        _candidate(one, position, naming) for position, one in enumerate(completions, start=1)
    ]
    return draft


def _candidate(one: Any, position: int, naming: Naming) -> Candidate:
    if not isinstance(one, dict):
        raise RowError("wrong_type", f"completion {position} is {type_name(one)}, not an object")
    text = check_text(one.get("response"), f"completion {position}", naming.max_text)
    if not text.strip():
        raise RowError("empty_answer", f"completion {position} has no text")
    model = scalar_text(one.get("model"), f"the model of completion {position}", 1000)
    annotations = one.get("annotations")
    if annotations is not None and not isinstance(annotations, dict):
        detail = f"annotations of completion {position} is {type_name(annotations)}"
        raise RowError("wrong_type", detail)
    scores = [_score(name, value, naming) for name, value in (annotations or {}).items()]
    return Candidate(text=text, model=model, scores=scores)


def _score(aspect: Any, value: Any, naming: Naming) -> Score:
    rating = value.get("Rating") if isinstance(value, dict) else value
    reason = value.get("Rationale") if isinstance(value, dict) else None
    found = number(rating)
    return Score(
        rubric=RUBRIC,
        criterion=check_text(str(aspect), "an aspect", 200).strip().lower(),
        by=JUDGE,
        value=found,
        rationale=check_text(reason, "a rationale", naming.max_text) if reason else None,
        error=None if found is not None else f"no rating: {str(rating)[:100]}",
    )


FORMAT: Final = Format(
    name="vlfeedback",
    summary="VLFeedback (several answers with ratings)",
    rows=(
        "`prompt`, `img_path`, `completions` with `annotations`; ratings become scores, `N/A` is no "
        "score and never zero"
    ),
    makes={"responses": convert},
    detect=detect,
)
