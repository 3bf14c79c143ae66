r"""Conversations: a list of {role, content} with `<image>` where an image stands.

In our tables every unescaped `<image>` is the placeholder of the next entry of `image_ids`; the literal text
is written `\<image>`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, TypedDict

from pairwright.errors import DataError

IMAGE: Final = "<image>"
_MARK = re.compile(r"(?<!\\)<image>")


class Message(TypedDict):
    """One turn."""

    role: str
    content: str


def escape(text: str) -> str:
    """Escape a literal `<image>` in text that has no image placeholder."""
    return text.replace(IMAGE, "\\" + IMAGE)


def unescape(text: str) -> str:
    """Undo `escape`."""
    return text.replace("\\" + IMAGE, IMAGE)


def count_images(messages: Sequence[Message]) -> int:
    """Number of image placeholders."""
    return sum(len(_MARK.findall(message["content"])) for message in messages)


def plain_text(content: str) -> str:
    """Content without image placeholders, literal ones restored, outer white space dropped."""
    return unescape(_MARK.sub(" ", content)).strip()


def split_answer(messages: Sequence[Message]) -> tuple[list[Message], str]:
    """The conversation up to the last answer, and that answer.

    Raises:
        DataError: If the last turn is not the assistant's.
    """
    if not messages or messages[-1]["role"] != "assistant":
        msg = "the conversation does not end with an assistant's turn"
        raise DataError(msg)
    return list(messages[:-1]), unescape(messages[-1]["content"])


def prompt_of(messages: Sequence[Message]) -> list[Message]:
    """The conversation without a final answer, if it has one."""
    return list(messages[:-1] if messages and messages[-1]["role"] == "assistant" else messages)


def question_of(prompt: Sequence[Message]) -> str:
    """Text of the last user turn, image placeholders left out."""
    for message in reversed(prompt):
        if message["role"] == "user":
            return plain_text(message["content"])
    return ""


def content_parts(content: str) -> list[dict[str, str]]:
    r"""Content as typed parts, in order: `{"type": "image"}` and `{"type": "text", "text": ...}`.

    White space between a placeholder and the text is dropped, as the model families' own processors do
    with `<image>\n`.
    """
    parts: list[dict[str, str]] = []
    pieces = _MARK.split(content)
    for number, piece in enumerate(pieces):
        if number:
            parts.append({"type": "image"})
        text = unescape(piece)
        if number:
            text = text.lstrip("\n ")
        if number < len(pieces) - 1:
            text = text.rstrip("\n ")
        if text:
            parts.append({"type": "text", "text": text})
    return parts


def structured(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages with content lists, as chat templates and OpenAI-like servers take them."""
    return [{"role": m["role"], "content": content_parts(m["content"])} for m in messages]
