"""Question and answer in fields of their own, or captions."""

from __future__ import annotations

from typing import Any, Final

from curate.read import questions
from curate.read.fields import ANSWER, CAPTION, QUESTION, has
from curate.read.formats.base import Format


def detect(row: dict[str, Any]) -> str | None:
    """Why a row has a question or a caption, if it has."""
    text = "text" if row.get("text") is not None else None
    question, answer = has(row, QUESTION), has(row, ANSWER)
    caption = has(row, CAPTION)
    if question is None and caption is None:
        return None  # an answer to an unknown question
    names = dict.fromkeys(
        n for n in (question or (text if answer else None), answer or caption) if n
    )
    return f"have {' and '.join(names)}"


FORMAT: Final = Format(
    name="qa",
    summary="question and answer, or captions",
    rows=(
        "`question`, `prompt`, `instruction` + `input`, `query` or `problem`, and `answer`, "
        "`response`, `output`, `completion` or `label`"
    ),
    makes={"samples": questions.convert},
    detect=detect,
)
