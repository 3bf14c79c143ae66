"""Conversations of any shape as our messages, with one placeholder per image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from curate.read.fields import Naming, check_text, scalar_text, type_name
from curate.read.refs import as_ref
from curate.read.rows import ImageRef, RowError, printable
from pairwright.text.conversation import IMAGE, Message, count_images, escape, plain_text

_ROLES: Final = {
    "human": "user",
    "user": "user",
    "question": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "answer": "assistant",
    "system": "system",
    # The output of a tool is read as a user's turn, a call as the model's.
    "observation": "user",
    "tool": "user",
    "tool_response": "user",
    "function_response": "user",
    "function_call": "assistant",
    "tool_call": "assistant",
    "function": "assistant",
}
# Roles without an equivalent in our messages.
TOOLS: Final = frozenset(role for role in _ROLES if "tool" in role or "func" in role) | {
    "observation"
}
_PLAIN: Final = frozenset(("human", "gpt", "user", "assistant", "system"))
_MAX_TURNS: Final = 10_000


def turns_of(value: Any, what: str, naming: Naming) -> tuple[list[Message], list[ImageRef]]:
    """Messages of a field, and the images inside of them.

    Args:
        value: A list of `{from, value}` or `{role, content}`, or that list as JSON text; content
            is text or a list of typed parts.
        what: Name of the field.
        naming: How the user wants rows to be read.

    Raises:
        RowError: If it is of another shape, or empty.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise RowError("wrong_type", f"{what} is text, not a list of turns") from error
    value = _laid_out(value)
    if not isinstance(value, list):
        raise RowError("wrong_type", f"{what} is {type_name(value)}, not a list of turns")
    if not value:
        raise RowError("empty_conversation", f"{what} is an empty list")
    if len(value) > _MAX_TURNS:
        raise RowError("too_many_turns", f"{len(value):,} turns, the limit is {_MAX_TURNS:,}")
    typed = any(_has_image_part(turn) for turn in value)
    messages: list[Message] = []
    inside: list[ImageRef] = []
    for number, turn in enumerate(value, start=1):
        message, refs = _turn(turn, f"turn {number}", typed, naming)
        messages.append(message)
        inside += refs
    return messages, inside


def _laid_out(value: Any) -> Any:
    """Turns as a list of objects, one per turn.

    `datasets` stores a sequence of objects as an object of lists; ms-swift writes a question and its
    answer as one `{human, assistant}`.
    """
    if isinstance(value, dict):
        return objects_of(value)
    if not isinstance(value, list) or not all(_is_exchange(turn) for turn in value):
        return value
    turns = []
    for turn in value:
        turns.append({"role": "user", "content": turn["human"]})
        if turn.get("assistant") is not None:
            turns.append({"role": "assistant", "content": turn["assistant"]})
    return turns


def _is_exchange(turn: Any) -> bool:
    return isinstance(turn, dict) and "human" in turn and turn.keys() <= {"human", "assistant"}


def objects_of(value: Any) -> Any:
    """An object of lists of one length as a list of objects; anything else as it is."""
    if not isinstance(value, dict) or not value:
        return value
    columns = list(value.values())
    if not all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns):
        return value
    return [dict(zip(value, items, strict=True)) for items in zip(*columns, strict=True)]


def tool_roles(value: Any) -> list[str] | None:
    """The source's own roles if some are tools, which our messages have no role for."""
    turns = _laid_out(value)
    if not isinstance(turns, list):
        return None
    roles = [turn.get("from") or turn.get("role") for turn in turns if isinstance(turn, dict)]
    if _PLAIN.issuperset(roles):
        return None
    names = [role if isinstance(role, str) else "" for role in roles]
    return names if any(name.lower() in TOOLS for name in names) else None


def history_turns(value: Any, naming: Naming) -> list[Message]:
    """Earlier turns as Alpaca and ms-swift store them: a list of `[question, answer]`.

    Args:
        value: Value of the field; anything but a list of lists is no history.
        naming: How the user wants rows to be read.

    Raises:
        RowError: If an exchange is not of that form.
    """
    if not is_history(value):
        return []
    if len(value) > _MAX_TURNS:
        raise RowError("too_many_turns", f"{len(value):,} exchanges, the limit is {_MAX_TURNS:,}")
    messages: list[Message] = []
    for number, exchange in enumerate(value, start=1):
        if not isinstance(exchange, list | tuple) or len(exchange) != 2:
            raise RowError("wrong_type", f"exchange {number} of history is no question and answer")
        messages += simple_turns(exchange[0], exchange[1], naming)
    return messages


def is_history(value: Any) -> bool:
    """Whether a field has earlier exchanges."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], list | tuple)


def with_system(messages: list[Message], system: Any, naming: Naming) -> list[Message]:
    """Messages after the system text of a field of its own.

    Raises:
        RowError: If it is a text that cannot be used.
    """
    if not isinstance(system, str) or messages[0]["role"] == "system":
        return messages
    text = as_content(check_text(system, "system", naming.max_text), literal=True, naming=naming)
    return [{"role": "system", "content": text}, *messages]


def _content_of(turn: Any) -> Any:
    return _either(turn, "value", "content") if isinstance(turn, dict) else None


def _either(turn: dict[str, Any], first: str, second: str) -> Any:
    return turn.get(second) if turn.get(first) is None else turn[first]


def _is_image_part(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in ("image", "image_url")


def _has_image_part(turn: Any) -> bool:
    content = _content_of(turn)
    return isinstance(content, list) and any(_is_image_part(part) for part in content)


def _turn(turn: Any, what: str, typed: bool, naming: Naming) -> tuple[Message, list[ImageRef]]:
    if not isinstance(turn, dict):
        raise RowError("wrong_type", f"{what} is {type_name(turn)}, not an object")
    role = _either(turn, "from", "role")
    if role is None:
        raise RowError("missing_field", f"{what} has no role")
    known = (_ROLES.get(role) or _ROLES.get(role.lower())) if isinstance(role, str) else None
    if known is None:
        raise RowError("unknown_role", f"{what} has the role {printable(repr(role), 60)}")
    content = _content_of(turn)
    if content is None:
        raise RowError("missing_field", f"{what} has no content")
    if isinstance(content, list):
        text, refs = _parts(content, what, typed or known == "assistant", naming)
        return {"role": known, "content": text}, refs
    text = check_text(content, what, naming.max_text)
    # With images as typed parts, `<image>` in a text is just text.
    return {"role": known, "content": as_content(text, typed or known == "assistant", naming)}, []


def _parts(
    parts: list[Any], what: str, literal: bool, naming: Naming
) -> tuple[str, list[ImageRef]]:
    pieces: list[str] = []
    refs: list[ImageRef] = []
    for part in parts:
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        if _is_image_part(part):
            if naming.no_images:
                continue
            pieces.append(IMAGE)
            names = ("image", "image_url", "url", "path")
            inside = next((part[name] for name in names if part.get(name)), None)
            if inside is not None:
                refs.append(as_ref(inside, naming))
        elif isinstance(part, dict) and part.get("type", "text") == "text":
            text = check_text(part.get("text"), what, naming.max_text)
            pieces.append(as_content(text, literal, naming))
        else:
            kind = part.get("type") if isinstance(part, dict) else type_name(part)
            raise RowError("unsupported_part", f"{what} has a part of type {kind!r:.60}")
    return "\n".join(piece for piece in pieces if piece), refs


def as_content(text: str, literal: bool, naming: Naming) -> str:
    r"""Text of a source as ours: `<image>` is a placeholder, `\<image>` is just text.

    A backslash before it is the source's own: ours is added, so that none is lost.
    """
    if literal or naming.no_images:
        return escape(text)
    return text.replace("\\" + IMAGE, "\\\\" + IMAGE)


def simple_turns(question: Any, answer: Any, naming: Naming) -> list[Message]:
    """A conversation of one question and, if there is one, its answer.

    Raises:
        RowError: If one is neither text nor a number.
    """
    limit = naming.max_text
    prompt = as_content(scalar_text(question, "the question", limit), False, naming)
    messages: list[Message] = [{"role": "user", "content": prompt}]
    if answer is None:
        return messages
    return with_answer(messages, scalar_text(answer, "the answer", limit))


def with_answer(messages: list[Message], answer: str) -> list[Message]:
    """A prompt and its answer, as the source has it, as one conversation."""
    return [*messages, {"role": "assistant", "content": escape(answer)}]


def check_messages(messages: Sequence[Message], n_images: int) -> list[Message]:
    """Check the order of the roles and the number of placeholders.

    Placeholders are those in the turns of the user (and system); in an answer the text `<image>` is
    just text. If there are none, the images belong to the start of the first question.

    Raises:
        RowError: If the order is wrong, a text is empty, or the numbers of placeholders and images
            differ.
    """
    turns = [m for m in messages if m["role"] != "system" or m["content"].strip()]
    _check_order(turns)
    found = count_images([turn for turn in turns if IMAGE in turn["content"]])
    if n_images and not found:
        first = next(m for m in turns if m["role"] == "user")
        first["content"] = f"{IMAGE}\n" * n_images + first["content"]
    elif found != n_images:
        hint = "" if n_images else "; --no-images reads rows as text"
        detail = f"{found} <image> placeholders, {n_images} images{hint}"
        raise RowError("image_placeholder_mismatch", detail)
    return turns


def _check_order(turns: Sequence[Message]) -> None:
    roles = [m["role"] for m in turns]
    if roles and roles[0] == "system":
        roles = roles[1:]
    if not roles:
        raise RowError("empty_conversation", "no turn of a user")
    wanted = ["user", "assistant"]
    for number, role in enumerate(roles):
        if role != wanted[number % 2]:
            detail = f"turn {number + 1} is the {role}'s; user and assistant must take turns"
            raise RowError("wrong_order", detail)
    for turn in turns:
        content = turn["content"]
        if not (plain_text(content) if IMAGE in content else content.strip()):
            reason = "empty_answer" if turn["role"] == "assistant" else "empty_question"
            raise RowError(reason, f"a turn of the {turn['role']} has no text")
