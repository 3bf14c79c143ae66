"""What passes between reading, converting and writing: raw rows, drafts, reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pairwright.conversation import Message


class RowError(Exception):
    """A row that cannot be used; costs that row only.

    Attributes:
        stage: What was being done: `parse`, `row`, `image` or `match`.
        reason: Short, stable name of the cause.
        detail: What to look at.
    """

    def __init__(self, reason: str, detail: str, *, stage: str = "row") -> None:
        """Keep the cause apart from the words."""
        super().__init__(f"{reason}: {detail}")
        self.stage, self.reason, self.detail = stage, reason, detail


@dataclass(slots=True)
class RawRow:
    """One row of a file, as read.

    Attributes:
        number: Its number in the file, from 1: the line, or the element of an array.
        value: The row.
        error: Why there is no value.
    """

    number: int
    value: Any = None
    error: RowError | None = None


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image that a row names: a path in the image folder, or the bytes themselves."""

    path: str | None = None
    content: bytes | None = None


@dataclass(slots=True, kw_only=True)
class Preference:
    """Two answers to one prompt.

    Attributes:
        chosen: The better answer; `None` where only the mistakes of the other are marked.
        rejected: The worse one.
        spans: Marked parts of the worse one, as the feedback table has them.
        by: Who marked or corrected it.
        model: Model that wrote the worse one.
    """

    chosen: str | None
    rejected: str
    chosen_score: float | None = None
    rejected_score: float | None = None
    spans: list[dict[str, Any]] | None = None
    by: str | None = None
    model: str | None = None


@dataclass(slots=True, kw_only=True)
class Draft:
    """A row as a sample, before its images were looked at.

    Attributes:
        messages: The conversation, with as many `<image>` marks as there are images.
        images: In the order of their marks.
        source_id: Id in the source; `None` where it has none.
        has_prompt: Whether the row has a question of its own.
    """

    messages: list[Message]
    images: list[ImageRef]
    source_id: str | None = None
    criteria: str | None = None
    reference: str | None = None
    licence: str | None = None
    split: str | None = None
    task: str | None = None
    meta: str | None = None
    preference: Preference | None = None
    has_prompt: bool = True


def printable(text: str, limit: int = 300) -> str:
    """Text of strangers in a form that every table and terminal takes."""
    cut = text if len(text) <= limit else text[:limit] + "..."
    return cut.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
