"""From a rubric and a row to a prompt."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from judge.rubric import scales
from judge.rubric.rubric import Criterion, Rubric
from judge.rubric.template import NOTHING as NOTHING
from judge.rubric.template import fill, shows
from pairwright.dataset.ids import stable_id
from pairwright.text.conversation import Message, content_parts, plain_text
from pairwright.vlm.prompt import disarm
from pairwright.vlm.types import Part, Turn

_CLOSING_TAG = re.compile(r"</([A-Za-z][\w-]*)>")
Asks = Literal["score", "reasons"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A response to be judged.

    Attributes:
        target_id: sample_id or response_id.
        sample_id: The sample whose question it answers.
        model: The model that wrote it, if it is one of `responses`.
        image_ids: Images of the conversation.
        prompt: The conversation before the response.
        answer: Its text, which the prompt shows as `{answer}`.
        criteria: The source's criteria for this row.
        reference: The source's reference answer.
        turn: Which of the assistant's turns is judged, from 0, if all are.
    """

    target_id: str
    image_ids: tuple[str, ...]
    prompt: Sequence[Message]
    answer: str
    sample_id: str | None = None
    model: str | None = None
    criteria: str | None = None
    reference: str | None = None
    turn: int | None = None


def render(
    rubric: Rubric, criterion: Criterion, target: Target, *, asks: Asks = "score"
) -> tuple[Turn, ...]:
    """The prompt: what all rows share first, then the images, then what is asked.

    Placeholders are filled in one pass, so braces in row text stay as they are. Row text cannot
    close the tags that the rubric puts around it, nor contain a model's special tokens.

    Args:
        rubric: What is asked.
        criterion: By which criterion.
        target: The response.
        asks: For the score, or for reasons first; `follow_up` then asks for the score.
    """
    tags = tags_of(rubric.system, rubric.preamble, rubric.prompt)

    def row(text: str | None) -> str:
        return fence(text, tags) if text and text.strip() else ""

    earlier, question = question_of(target.prompt, numbered=len(target.image_ids) > 1)
    reply = _reply(rubric, criterion, asks)
    values = {
        "question": row(question),
        "answer": row(target.answer),
        "conversation": row(earlier),
        "reference": row(target.reference),
        "criteria": row(target.criteria),
        "criterion": criterion.name,
        "description": criterion.description,
        "levels": "\n".join(f"{name} = {text}" for name, text in rubric.levels_of(criterion)),
        "scale": scales.in_words(rubric.labels_of(criterion)),
        "reply": reply,
    }
    text = fill(rubric.prompt, values)
    if asks == "reasons" and not shows(rubric.prompt, "reply"):
        text = f"{text}\n{reply}"
    return assemble(rubric.system, rubric.preamble, target.image_ids, text)


def assemble(system: str, preamble: str, image_ids: Sequence[str], text: str) -> Turns:
    """Turns of a prompt: what all rows share, the images (numbered if several), the text."""
    parts: list[Part] = []
    if preamble:
        parts.append({"type": "text", "text": preamble})
    for number, image_id in enumerate(image_ids, start=1):
        if len(image_ids) > 1:
            parts.append({"type": "text", "text": f"Image {number}:"})
        parts.append({"type": "image", "image_id": image_id})
    parts.append({"type": "text", "text": text})
    user = Turn(role="user", parts=tuple(parts))
    return (_turn("system", system), user) if system else (user,)


def follow_up(turns: Turns, reasons: str, rubric: Rubric, criterion: Criterion) -> Turns:
    """The conversation after the judge gave its reasons: it asks for the score."""
    asked = f"Now the mark. {_reply(rubric, criterion, 'score')}"
    return (*turns, _turn("assistant", disarm(reasons)), _turn("user", asked))


def ask_why(turns: Turns, verdict: str) -> Turns:
    """The conversation after the judge gave its score: it asks for the reasons."""
    asked = "Why? Give the reasons for this mark in one or two sentences."
    return (*turns, _turn("assistant", disarm(verdict)), _turn("user", asked))


Turns = tuple[Turn, ...]


def _turn(role: str, text: str) -> Turn:
    return Turn(role=role, parts=({"type": "text", "text": text},))


def _reply(rubric: Rubric, criterion: Criterion, asks: Asks) -> str:
    if asks == "reasons":
        return (
            "First say in two or three sentences what speaks for and against the answer on this "
            "point. Do not give the mark yet."
        )
    return f"Reply with {scales.in_words(rubric.labels_of(criterion))} only."


def tags_of(*texts: str) -> set[str]:
    """Names of the tags that a prompt puts around row text."""
    return {name for text in texts for name in _CLOSING_TAG.findall(text)}


def fence(text: str, tags: set[str]) -> str:
    """Row text that can neither open nor close one of the tags, nor contain special tokens."""
    text = disarm(text)
    if not tags:
        return text
    names = "|".join(sorted(re.escape(tag) for tag in tags))
    return re.sub(rf"<(?=\s*/?\s*(?:{names})\b)", "&lt;", text, flags=re.IGNORECASE)


def question_of(prompt: Sequence[Message], *, numbered: bool) -> tuple[str, str]:
    """The turns before the last question, and the question.

    Args:
        prompt: The conversation before the response.
        numbered: Whether `(image 2)` replaces the placeholder of the second image.
    """
    turns: list[tuple[str, str]] = []
    seen = 0
    for message in prompt:
        text = plain_text(message["content"])
        if numbered:
            pieces = []
            for part in content_parts(message["content"]):
                seen += part["type"] == "image"
                pieces.append(part.get("text", f"(image {seen})"))
            text = " ".join(pieces).strip()
        turns.append((message["role"], text))
    last = max((i for i, (role, _) in enumerate(turns) if role == "user"), default=None)
    earlier = [turn for i, turn in enumerate(turns) if i != last]
    question = "" if last is None else turns[last][1]
    return "\n".join(f"{role}: {text}" for role, text in earlier), question


def prompt_hash(turns: Sequence[Turn]) -> str:
    """Hash of a rendered prompt."""
    return stable_id(*(json.dumps([t.role, t.parts], ensure_ascii=False) for t in turns))
