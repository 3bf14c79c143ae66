"""A rubric and a row become a prompt."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from judge.rubric import PLACEHOLDERS, Criterion, Rubric
from pairwright.conversation import Message, plain_text
from pairwright.ids import stable_id
from pairwright.vlm.prompt import disarm
from pairwright.vlm.types import Part, Turn

NOTHING = "(none)"
_PLACEHOLDER = re.compile(r"\{(" + "|".join(PLACEHOLDERS) + r")\}")
_CLOSING_TAG = re.compile(r"</([A-Za-z][\w-]*)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An answer to be judged.

    Attributes:
        target_id: sample_id or response_id.
        sample_id: The sample whose question is answered.
        model: Who answered, if it is a response.
        image_ids: Images of the conversation.
        prompt: The conversation up to the answer.
        answer: The answer.
        criteria: The source's criteria for this row.
        reference: The source's reference answer.
    """

    target_id: str
    image_ids: tuple[str, ...]
    prompt: Sequence[Message]
    answer: str
    sample_id: str | None = None
    model: str | None = None
    criteria: str | None = None
    reference: str | None = None


def render(rubric: Rubric, criterion: Criterion, target: Target) -> tuple[Turn, ...]:
    """The prompt: what all rows share first, then the images, then what is asked.

    Placeholders are filled in one pass, so that braces in row text stay what they are. Row text
    cannot close the tags that the rubric puts round it, nor hold a model's special tokens.
    """
    tags = set(_CLOSING_TAG.findall(rubric.system + rubric.preamble + rubric.prompt))

    def row(text: str | None) -> str:
        return fence(text, tags) if text and text.strip() else NOTHING

    earlier, question = _question(target.prompt)
    values = {
        "question": row(question),
        "answer": row(target.answer),
        "conversation": row(earlier),
        "reference": row(target.reference),
        "criteria": row(target.criteria),
        "criterion": criterion.name,
        "description": criterion.description,
    }
    text = _PLACEHOLDER.sub(lambda match: values[match.group(1)], rubric.prompt)
    parts: list[Part] = []
    if rubric.preamble:
        parts.append({"type": "text", "text": rubric.preamble})
    parts += [{"type": "image", "image_id": image_id} for image_id in target.image_ids]
    parts.append({"type": "text", "text": text})
    user = Turn(role="user", parts=tuple(parts))
    if not rubric.system:
        return (user,)
    return (Turn(role="system", parts=({"type": "text", "text": rubric.system},)), user)


def fence(text: str, tags: set[str]) -> str:
    """Row text that can neither open nor close one of the tags, nor speak the model's own marks."""
    text = disarm(text)
    if not tags:
        return text
    names = "|".join(sorted(re.escape(tag) for tag in tags))
    return re.sub(rf"<(?=\s*/?\s*(?:{names})\b)", "&lt;", text, flags=re.IGNORECASE)


def _question(prompt: Sequence[Message]) -> tuple[str, str]:
    """The turns before the last question, and the question."""
    turns = [(m["role"], plain_text(m["content"])) for m in prompt]
    last = max((i for i, (role, _) in enumerate(turns) if role == "user"), default=None)
    earlier = [turn for i, turn in enumerate(turns) if i != last]
    question = "" if last is None else turns[last][1]
    return "\n".join(f"{role}: {text}" for role, text in earlier), question


def prompt_hash(turns: Sequence[Turn]) -> str:
    """Hash of a rendered prompt."""
    return stable_id(*(json.dumps([t.role, t.parts], ensure_ascii=False) for t in turns))
