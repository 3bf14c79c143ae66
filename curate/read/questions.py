"""Rows with a question and its answer in fields of their own, or an image with a caption.

Alpaca rows have `instruction`, `input`, `output` and `history`, as LLaMA-Factory's data README
describes them.
"""

from __future__ import annotations

from typing import Any

from curate.read.conversations import all_images, is_turns, refuse_media
from curate.read.fields import (
    ANSWER,
    CAPTION,
    QUESTION,
    Naming,
    check_text,
    first_field,
    image_field,
)
from curate.read.meta import describe
from curate.read.rows import Draft, ImageRef, RowError
from curate.read.turns import (
    check_messages,
    history_turns,
    is_history,
    simple_turns,
    turns_of,
    with_system,
)
from pairwright.text.conversation import Message


def convert(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of a row with a question and perhaps an answer, or with a caption.

    `text` is the answer if the row has a question, the question if the row has an answer, and else
    a caption. The caption of an image is the answer to `--prompt`.

    Raises:
        RowError: If the row is not of that form.
    """
    refuse_media(row)
    question, answer, task = _fields(row, naming)
    inside: list[ImageRef] = []
    if question is not None and is_turns(row[question]):
        messages, inside = turns_of(row[question], question, naming)
        messages += _answer_turns(row, answer, naming)
    else:
        prompt = naming.prompt if question is None else row[question]
        prompt = with_input(row, prompt) if question == "instruction" else prompt
        messages = simple_turns(prompt, None if answer is None else row[answer], naming)
        messages = history_turns(row.get("history"), naming) + messages
    if question is not None:
        messages = with_system(messages, row.get("system"), naming)
    images = all_images(row, inside, naming)
    named = naming.no_images and image_field(row, naming) is not None
    if question is None and not images and not named:
        raise RowError("missing_field", "neither a question nor an image")
    draft = Draft(messages=check_messages(messages, len(images)), images=images, task=task)
    used = [question or "", answer or "", image_field(row, naming) or ""]
    used += ["system"] if question is not None else []
    used += ["history"] if is_history(row.get("history")) else []
    if question == "instruction":
        used += ["input", "inputs"]
    return describe(draft, row, used, naming)


def convert_prompt(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of a row without its answers; an image alone gets `--prompt` as its question.

    Raises:
        RowError: If it has neither a question nor an image.
    """
    if naming.question is not None or first_field(row, QUESTION, None) is not None:
        return convert(row, naming)
    if image_field(row, naming) is None:
        raise RowError("missing_field", "neither a question nor an image")
    return convert({**row, QUESTION[0]: naming.prompt}, naming)


def _fields(row: dict[str, Any], naming: Naming) -> tuple[str | None, str | None, str | None]:
    """Fields of question and answer, and the task if they imply it."""
    question = first_field(row, QUESTION, naming.question)
    answer = first_field(row, ANSWER, naming.answer)
    if naming.question is not None and question is None:
        raise RowError("missing_field", f"no field {naming.question}")
    if question is None and answer is not None and row.get("text") is not None:
        question = "text"
    if answer is None and naming.answer is None:
        answer = next((n for n in CAPTION if row.get(n) is not None and n != question), None)
    if question is None and naming.answer is None and answer not in CAPTION:
        raise RowError("missing_field", "neither a question nor a caption")
    return question, answer, "caption" if question is None else None


def _answer_turns(row: dict[str, Any], answer: str | None, naming: Naming) -> list[Message]:
    if answer is None:
        return []
    if is_turns(row[answer]):
        return turns_of(row[answer], answer, naming)[0]
    return simple_turns("", row[answer], naming)[1:]


def with_input(row: dict[str, Any], instruction: Any) -> Any:
    """Alpaca and M3IT: an instruction and the input that it is about."""
    extra = row.get("input") or row.get("inputs")
    if not isinstance(extra, str) or not isinstance(instruction, str):
        return instruction
    return f"{instruction}\n{check_text(extra, 'input', len(extra))}"
