"""Rows with one prompt, a better and a worse answer; and answers that were corrected.

The fields are `prompt`, `chosen` and `rejected` as text or as turns, or whole conversations in the
last two. LLaMA-Factory has the prompt in `conversations` and one turn in each of `chosen` and
`rejected`. RLHF-V keeps question, chosen and rejected as JSON in `text`, without offsets: a diff of
the words finds what was corrected. `origin_split` of RLHF-V and RLAIF-V is JSON that names the model.
Our own exports have scores, margin and spans as well, and keep them when they are read again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from curate.read.conversations import TURNS, all_images, is_turns, refuse_media
from curate.read.fields import (
    QUESTION,
    Naming,
    check_text,
    first_field,
    image_field,
    number,
    scalar_text,
)
from curate.read.meta import describe
from curate.read.questions import with_input
from curate.read.rows import Draft, ImageRef, Preference, RowError
from curate.read.spans import apply_spans, read_spans
from curate.read.turns import (
    check_messages,
    history_turns,
    objects_of,
    simple_turns,
    turns_of,
    with_answer,
    with_system,
)
from pairwright.text.conversation import Message, unescape

CHOSEN: Final = ("chosen", "corrected", "correction", "corrected_answer")
REJECTED: Final = ("rejected", "original", "response", "answer", "original_answer")
_CHOSEN_SCORE: Final = ("chosen_score", "score_chosen", "chosen_rating")
_REJECTED_SCORE: Final = ("rejected_score", "score_rejected", "rejected_rating")
_BY: Final = ("by", "annotator", "corrected_by")
_MODEL: Final = ("model", "model_id", "origin_model", "policy")
_SPANS: Final = ("chosen_spans", "rejected_spans")
# Of pairs that we exported.
_OURS: Final = ("margin", "method", "control", *_SPANS)


def unpack(row: dict[str, Any]) -> dict[str, Any]:
    """A row of RLHF-V with the fields of its JSON `text`; any other row as it is."""
    text = row.get("text")
    if not isinstance(text, str) or "chosen" in row or not text.lstrip().startswith("{"):
        return row
    try:
        inner = json.loads(text)
    except (ValueError, RecursionError):
        return row
    if not isinstance(inner, dict) or not {"chosen", "rejected"} <= inner.keys():
        return row
    return {**{k: v for k, v in row.items() if k != "text"}, **inner}


def convert(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft whose answer is the better one, together with the worse one.

    Raises:
        RowError: If the row is not of that form, or both answers are the same.
    """
    corrected = unpack(row) is not row
    row = _with_turns(unpack(row))
    refuse_media(row)
    chosen = _need(row, CHOSEN)
    rejected = _need(row, REJECTED)
    prompt_field = first_field(row, (*QUESTION, *TURNS), naming.question)
    prompt, inside = _prompt(row, prompt_field, chosen, rejected, naming)
    good = _answer(row, chosen, naming)
    bad = _answer(row, rejected, naming)
    if good == bad:
        raise RowError("same_answers", f"{chosen} and {rejected} are the same text")
    prompt = with_system(prompt, row.get("system"), naming)
    images = all_images(row, inside, naming)
    scores = [first_field(row, names, None) for names in (_CHOSEN_SCORE, _REJECTED_SCORE)]
    spans = [_our_spans(row, name, text) for name, text in zip(_SPANS, (good, bad), strict=True)]
    origin = _origin(row)
    ours = row.get("pair_id") is not None or (row.get("method") and row.get("sample_id"))
    method = (_text(row, ("method",), naming) or origin.get("method")) if ours else None
    draft = Draft(
        messages=check_messages(with_answer(prompt, good), len(images)),
        images=images,
        preference=Preference(
            chosen=good,
            rejected=bad,
            chosen_score=number(row.get(scores[0] or "")),
            rejected_score=number(row.get(scores[1] or "")),
            margin=number(row.get("margin")),
            chosen_spans=spans[0],
            rejected_spans=spans[1],
            # Our pairs that were not made by corrections have no changed words.
            corrects=corrected and method in (None, "spans"),
            model=_text(row, _MODEL, naming) or origin.get("model"),
            method=method or "imported",
            control=_text(row, ("control",), naming) if ours else None,
        ),
    )
    used = [chosen, rejected, prompt_field or "", image_field(row, naming) or "", "system"]
    used += [*(s or "" for s in scores), *(_OURS if ours else ("margin", *_SPANS))]
    return describe(draft, row, used, naming)


def convert_correction(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of an answer that was corrected, or whose mistakes are labelled.

    Raises:
        RowError: If the row is not of that form, or nothing was corrected.
    """
    row = _with_turns(unpack(row))
    rejected = _need(row, REJECTED)
    bad = _answer(row, rejected, naming)
    spans = None if row.get("spans") is None else read_spans(bad, row["spans"])
    chosen = first_field(row, CHOSEN, None)
    if chosen is None and spans is None:
        raise RowError("missing_field", f"neither {CHOSEN[1]} nor spans")
    good = apply_spans(bad, spans or []) if chosen is None else _answer(row, chosen, naming)
    if good == bad and not spans:
        raise RowError("same_answers", f"{chosen} and {rejected} are the same text")
    prompt_field = first_field(row, (*QUESTION, *TURNS), naming.question)
    inside: list[ImageRef] = []
    if prompt_field is None:
        messages = simple_turns(naming.prompt, None, naming)
    else:
        messages, inside = _prompt(row, prompt_field, rejected, rejected, naming)
    if good is not None:
        messages = with_answer(messages, good)
    images = all_images(row, inside, naming)
    correction = Preference(
        chosen=good,
        rejected=bad,
        spans=spans,
        by=_text(row, _BY, naming),
        model=_text(row, _MODEL, naming) or _origin(row).get("model"),
    )
    draft = Draft(
        messages=check_messages(messages, len(images)),
        images=images,
        has_prompt=prompt_field is not None or bool(images),
        corrections=[correction],
    )
    used = [chosen or "", rejected, "spans", prompt_field or "", image_field(row, naming) or ""]
    return describe(draft, row, used, naming)


def _with_turns(row: dict[str, Any]) -> dict[str, Any]:
    """A row with turns as lists of objects; `datasets` stores them as objects of lists."""
    found = {k: objects_of(v) for k, v in row.items() if isinstance(v, dict)}
    return {**row, **found} if found else row


def _need(row: dict[str, Any], names: Sequence[str]) -> str:
    name = first_field(row, names, None)
    if name is None:
        raise RowError("missing_field", f"no field {names[0]} (or {', '.join(names[1:])})")
    return name


def _text(row: dict[str, Any], names: Sequence[str], naming: Naming) -> str | None:
    name = first_field(row, names, None)
    return None if name is None else scalar_text(row[name], name, naming.max_text) or None


def _origin(row: dict[str, Any]) -> dict[str, str]:
    """The JSON in `origin_split` of RLHF-V and RLAIF-V: model and type; in ours the method too."""
    text = row.get("origin_split")
    if not isinstance(text, str) or not text.lstrip().startswith("{"):
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {
        key: check_text(value, "origin_split", 1000)
        for key, value in found.items()
        if isinstance(value, str) and value
    }


def _our_spans(row: dict[str, Any], what: str, answer: str) -> list[dict[str, Any]] | None:
    """Changed parts of an answer, as our exports have them.

    Raises:
        RowError: If one is not that part of the answer.
    """
    value = objects_of(row.get(what))
    if value is None:
        return None
    spans = read_spans(answer, value)
    return [{key: span[key] or "" for key in ("start", "end", "text", "kind")} for span in spans]


def _prompt(
    row: dict[str, Any], prompt_field: str | None, chosen: str, rejected: str, naming: Naming
) -> tuple[list[Message], list[ImageRef]]:
    """The prompt: a field of its own, or what both conversations begin with."""
    if prompt_field in TURNS or (prompt_field is not None and is_turns(row[prompt_field])):
        return turns_of(row[prompt_field], prompt_field, naming)
    if prompt_field is not None:
        extra = (
            with_input(row, row[prompt_field])
            if prompt_field == "instruction"
            else row[prompt_field]
        )
        return history_turns(row.get("history"), naming) + simple_turns(extra, None, naming), []
    if not is_turns(row[chosen]) or not is_turns(row[rejected]):
        raise RowError("missing_field", "no prompt")
    first, inside = turns_of(row[chosen], chosen, naming)
    second, _ = turns_of(row[rejected], rejected, naming)
    if first[:-1] != second[:-1] or len(first) < 2:
        detail = f"{chosen} and {rejected} do not begin with the same prompt"
        raise RowError("different_prompts", detail)
    return first[:-1], inside


def _answer(row: dict[str, Any], what: str, naming: Naming) -> str:
    """The last answer of a field with text or turns."""
    value = row[what]
    if isinstance(value, dict):
        value = [value]  # LLaMA-Factory: one turn
    if is_turns(value):
        row = {**row, what: value}
        last = turns_of(value, what, naming)[0][-1]
        if last["role"] != "assistant":
            raise RowError("wrong_order", f"{what} does not end with an answer")
        text = unescape(last["content"])
    else:
        text = check_text(value, what, naming.max_text)
    if not text.strip():
        raise RowError("empty_answer", f"{what} has no text")
    return text


# The tables of formats whose rows are preferences.
MAKES: Final = {"pairs": convert, "feedback": convert_correction}
