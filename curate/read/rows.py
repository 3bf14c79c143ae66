"""What passes between reading, converting and writing: raw rows, drafts, reasons."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pairwright.text.conversation import Message


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
    """An image that a row names: a path in the image folder, an address, or the bytes themselves.

    Attributes:
        stem: The path lacks its suffix, as image ids do: the usual ones are tried.
    """

    path: str | None = None
    content: bytes | None = None
    url: str | None = None
    stem: bool = False

    @property
    def key(self) -> str:
        """What the image is remembered by, until its content is known."""
        return f"url:{self.url}" if self.path is None else f"path:{self.path}"

    def inside(self, folder: str) -> ImageRef:
        """The same image, its path seen from outside of a folder."""
        return self if self.path is None else replace(self, path=str(Path(folder, self.path)))


@dataclass(slots=True, kw_only=True)
class Preference:
    """Two answers to one prompt.

    Attributes:
        chosen: The better answer; `None` where only the mistakes of the other are marked.
        rejected: The worse one.
        spans: Marked parts of the worse one, as the feedback table has them.
        by: Who marked or corrected it.
        model: Model that wrote the worse one.
        margin: Difference of the marks, where the row says it.
        chosen_spans: Changed parts of the better one, as the pairs table has them.
        rejected_spans: Changed parts of the worse one.
        corrects: The better one is the worse one corrected: what changed can be told by words.
        method: How an exported pair was made.
        control: Control that an exported pair belongs to.
    """

    chosen: str | None
    rejected: str
    chosen_score: float | None = None
    rejected_score: float | None = None
    spans: list[dict[str, Any]] | None = None
    by: str | None = None
    model: str | None = None
    margin: float | None = None
    chosen_spans: list[dict[str, Any]] | None = None
    rejected_spans: list[dict[str, Any]] | None = None
    corrects: bool = False
    method: str = "imported"
    control: str | None = None


@dataclass(slots=True, kw_only=True)
class Mark:
    """A mark that a row brings for an answer.

    Attributes:
        score: `None` where the row says there is none.
        text: The reasons given.
        label: The mark in words.
        error: Why there is no score.
    """

    rubric: str
    criterion: str
    by: str
    score: float | None
    text: str | None = None
    label: str | None = None
    error: str | None = None


@dataclass(slots=True, kw_only=True)
class Candidate:
    """One of several answers that a row has for its question."""

    text: str
    model: str
    marks: list[Mark] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """A verdict on two of the candidates, by their numbers.

    Attributes:
        winner: `first`, `second`, `tie` or `both_bad`.
        grade: How much better the first is, 2 to -2, where the row says so.
    """

    first: int
    second: int
    winner: str
    by: str
    text: str | None = None
    criterion: str | None = None
    grade: float | None = None


@dataclass(slots=True, kw_only=True)
class Claim:
    """A claim of an answer, and what people say of it.

    Attributes:
        supported: `None` where nobody said.
    """

    text: str
    supported: bool | None


@dataclass(slots=True, kw_only=True)
class Labelled:
    """An answer with what one person said of its parts.

    Attributes:
        spans: Marked parts, as the feedback table has them; `None` if parts were not looked at.
        claims: Claims; `None` if they were not looked at.
    """

    text: str
    model: str | None
    by: str
    spans: list[dict[str, Any]] | None = None
    claims: list[Claim] | None = None


@dataclass(slots=True, kw_only=True)
class Draft:
    """A row as a sample, before its images were looked at.

    Attributes:
        messages: The conversation, with as many `<image>` marks as there are images.
        images: In the order of their marks.
        source_id: Id in the source; `None` where it has none.
        has_prompt: Whether the row has a question of its own.
        preference: A better and a worse answer.
        corrections: Answers that were corrected or marked, one an annotator.
        candidates: Answers of models.
        ballots: Verdicts on them.
        marks: Marks of the conversation's own answer.
        labelled: Answers whose parts people labelled.
        once: What a second row with the same must not come for; `None`: anything may repeat.
    """

    messages: list[Message]
    images: list[ImageRef]
    source_id: str | None = None
    criteria: str | None = None
    reference: str | None = None
    license: str | None = None
    split: str | None = None
    task: str | None = None
    meta: str | None = None
    has_prompt: bool = True
    preference: Preference | None = None
    corrections: list[Preference] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    ballots: list[Ballot] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    labelled: list[Labelled] = field(default_factory=list)
    once: str | None = None


def printable(text: str, limit: int = 300) -> str:
    """Text of strangers in a form that every table and terminal takes."""
    cut = text if len(text) <= limit else text[:limit] + "..."
    return cut.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
