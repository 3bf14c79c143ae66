"""What the shared pieces of a page show: thumbnails of a row, and the words that differ in two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from pairwright.text.htmltext import data_uri, plain
from pairwright.text.worddiff import Span, diff_spans

IMAGES_A_SAMPLE: Final = 3
_LONG: Final = 320  # characters of a text that is shown whole next to another
_AROUND: Final = 70  # characters shown around a difference
_SHORT: Final = 60

SpansOfTurns = tuple[dict[int, list[Span]], dict[int, list[Span]]]


class Piece(NamedTuple):
    """A stretch of a text: `same` on both sides, `differs`, or `left_out`."""

    kind: str
    text: str


class Thumbnails:
    """Thumbnails by image id, and why one is missing."""

    def __init__(self, thumbs: dict[str, bytes], failed: dict[str, str]) -> None:
        """Both as `thumbnails` returns them."""
        self._thumbs, self._failed = thumbs, failed

    def of(self, sample: dict[str, Any], skip: Sequence[str] = ()) -> dict[str, Any] | None:
        """What the macro `images` shows of a sample; `None` for nothing.

        Args:
            sample: With `image_ids` and `source_id`.
            skip: Images of the row next to it; if they are the same, only that is shown.
        """
        ids = sample["image_ids"]
        if not ids or not (self._thumbs or self._failed):
            return None
        if list(ids) == list(skip):
            return {"same": True, "shown": [], "more": 0}
        shown = [
            self._one(image_id, f"image {number + 1} of row {sample['source_id']}")
            for number, image_id in enumerate(ids[:IMAGES_A_SAMPLE])
        ]
        return {"same": False, "shown": shown, "more": max(0, len(ids) - IMAGES_A_SAMPLE)}

    def _one(self, image_id: str, alt: str) -> dict[str, Any]:
        content = self._thumbs.get(image_id)
        why = "" if content else self._failed.get(image_id, "no image")
        return {"alt": plain(alt), "uri": data_uri(content) if content else None, "missing": why}


def pieces(text: str, spans: Sequence[Span] = ()) -> Iterator[Piece]:
    """A text in pieces; of a long one, most of what both sides have in common is left out."""
    shorten = len(text) > _LONG and bool(spans)
    at = 0
    for span in spans:
        yield from _same(text[at : span["start"]], shorten=shorten, start=at == 0)
        yield Piece("differs", span["text"])
        at = span["end"]
    yield from _same(text[at:], shorten=shorten, end=True)


def _same(text: str, *, shorten: bool, start: bool = False, end: bool = False) -> Iterator[Piece]:
    """What both sides have in common; only its ends where it is long."""
    if not shorten or len(text) <= 3 * _AROUND:
        yield Piece("same", text)
        return
    head = "" if start else text[:_AROUND].rsplit(" ", 1)[0]
    tail = "" if end else text[-_AROUND:].split(" ", 1)[-1]
    yield Piece("same", f"{head} ")
    yield Piece("left_out", text[len(head) : len(text) - len(tail)])
    yield Piece("same", f" {tail}")


def differences(kept: dict[str, Any], removed: dict[str, Any]) -> SpansOfTurns:
    """Words that differ between two samples, turn by turn, on either side."""
    left, right = {}, {}
    for number, (a, b) in enumerate(zip(kept["turns"], removed["turns"], strict=False)):
        if a["text"] != b["text"]:
            left[number], right[number] = word_spans(a["text"], b["text"])
    return left, right


def word_spans(left: str, right: str) -> tuple[list[Span], list[Span]]:
    """Words that differ on either side; none where most do, because highlights would not help."""
    a, b = diff_spans(left, right)
    changed = sum(len(span["text"]) for span in (*a, *b))
    if changed > 0.6 * (len(left) + len(right)) and len(left) + len(right) > 2 * _SHORT:
        return [], []
    return a, b
