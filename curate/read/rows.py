"""Rows as they are read, as drafts, and as errors."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pairwright.text.conversation import Message


class RowError(Exception):
    """A row that cannot be used; it costs that row only.

    Attributes:
        stage: Step that failed: `parse`, `row`, `image` or `match`.
        reason: Short, stable name of the cause.
        detail: What is wrong, in words.
    """

    def __init__(self, reason: str, detail: str, *, stage: str = "row") -> None:
        """Keep the cause separate from the words."""
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
        """Key of the image until its content is known."""
        return f"url:{self.url}" if self.path is None else f"path:{self.path}"

    def inside(self, folder: str) -> ImageRef:
        """The same image, with a path that starts outside of a folder."""
        return self if self.path is None else replace(self, path=str(Path(folder, self.path)))


@dataclass(slots=True, kw_only=True)
class Preference:
    """A better and a worse answer to one prompt.

    Attributes:
        chosen: The better answer; `None` if only the mistakes of the other one are labelled.
        rejected: The worse one.
        spans: Labelled parts of the worse one, as the feedback table has them.
        by: Who labelled or corrected it.
        model: Model that wrote the worse one.
        margin: Difference of the scores, if the row has it.
        chosen_spans: Changed parts of the better one, as the pairs table has them.
        rejected_spans: Changed parts of the worse one.
        corrects: The better one is the worse one corrected, so a word diff finds what changed.
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
class Score:
    """A score that a row has for an answer.

    Attributes:
        value: `None` if the row states that there is none.
        rationale: The reasons given.
        label: The score in words.
        error: Why there is no value.
    """

    rubric: str
    criterion: str
    by: str
    value: float | None
    rationale: str | None = None
    label: str | None = None
    error: str | None = None


@dataclass(slots=True, kw_only=True)
class Candidate:
    """One of several answers that a row has for its question."""

    text: str
    model: str
    scores: list[Score] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A verdict on two of the candidates, by their indices.

    Attributes:
        winner: `first`, `second`, `tie` or `both_bad`.
        grade: How much better the first one is, 2 to -2, if the row has it.
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
    """A claim of an answer with its label.

    Attributes:
        supported: `None` if nobody judged it.
    """

    text: str
    supported: bool | None


@dataclass(slots=True, kw_only=True)
class Labelled:
    """An answer with the labels of one annotator.

    Attributes:
        spans: Labelled parts, as the feedback table has them; `None` if parts were not labelled.
        claims: Claims; `None` if claims were not judged.
    """

    text: str
    model: str | None
    by: str
    spans: list[dict[str, Any]] | None = None
    claims: list[Claim] | None = None


@dataclass(slots=True, kw_only=True)
class Draft:
    """A row as a sample, before its images are decoded.

    Attributes:
        messages: The conversation, with as many `<image>` placeholders as there are images.
        images: In the order of their placeholders.
        source_id: Id in the source; `None` if it has none.
        has_prompt: Whether the row has a question of its own.
        preference: A better and a worse answer.
        corrections: Answers that were corrected or labelled, one per annotator.
        candidates: Responses of models.
        verdicts: Verdicts on them.
        scores: Scores of the conversation's own answer.
        labelled: Answers whose parts or claims were labelled.
        unique_key: Key that two rows must not share; `None`: rows may repeat.
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
    verdicts: list[Verdict] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    labelled: list[Labelled] = field(default_factory=list)
    unique_key: str | None = None


def printable(text: str, limit: int = 300) -> str:
    """Foreign text in a form that every table and terminal can show."""
    short = text if len(text) <= limit else text[:limit] + "..."
    return short.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
