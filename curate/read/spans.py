"""Labelled parts of an answer, as annotation files have them."""

from __future__ import annotations

from typing import Any, Final

from curate.read.fields import check_text, number, type_name
from curate.read.rows import RowError, printable

_MAX_SPANS: Final = 10_000
_TEXT: Final = ("text", "span")
_REPLACEMENT: Final = ("replacement", "correction")


def read_spans(answer: str, value: Any) -> list[dict[str, Any]]:
    """Spans of an answer, for the feedback table.

    An entry has `start` and `end` (code points), or `span` (or `text`) alone, which is then searched
    after the previous entry. An entry with a `correction` only belongs to the wrong span before it.

    Args:
        answer: The answer of the spans.
        value: A list of entries; they may have `correct`, `reward`, `kind`, `replacement`.

    Raises:
        RowError: If an entry does not fit the answer.
    """
    if not isinstance(value, list) or len(value) > _MAX_SPANS:
        raise RowError("wrong_type", f"spans is {type_name(value)}, not a list of spans")
    spans: list[dict[str, Any]] = []
    at = 0
    for position, entry in enumerate(value, start=1):
        if not isinstance(entry, dict):
            raise RowError("wrong_type", f"span {position} is {type_name(entry)}, not an object")
        text = _first(entry, _TEXT)
        replacement = _first(entry, _REPLACEMENT)
        if replacement is not None:
            replacement = check_text(replacement, f"the correction of span {position}", 1_000_000)
        if text is None and entry.get("start") is None and replacement is not None:
            if not spans or spans[-1]["correct"] is not False or spans[-1]["replacement"]:
                raise RowError("bad_span", f"correction {position} has no wrong span before it")
            spans[-1]["replacement"] = replacement
            continue
        start, end = _offsets(answer, entry, text, at, position)
        at = end
        spans.append(
            {
                "start": start,
                "end": end,
                "text": answer[start:end],
                "kind": check_text(entry.get("kind") or "", "kind", 1000) or None,
                "correct": _correct(entry, replacement),
                "reward": number(entry.get("reward")),
                "replacement": replacement,
            }
        )
    return sorted(spans, key=lambda span: (span["start"], span["end"]))


def apply_spans(answer: str, spans: list[dict[str, Any]]) -> str | None:
    """The answer with its wrong spans replaced; `None` if not all of them can be."""
    wrong = [span for span in spans if span["correct"] is False]
    if not wrong or any(span["replacement"] is None for span in wrong):
        return None
    pieces, at = [], 0
    for span in wrong:
        if span["start"] < at:
            return None
        pieces += [answer[at : span["start"]], span["replacement"]]
        at = span["end"]
    return "".join(pieces) + answer[at:]


def _first(entry: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((entry[name] for name in names if entry.get(name) is not None), None)


def _correct(entry: dict[str, Any], replacement: str | None) -> bool | None:
    value = entry.get("correct")
    if value in (0, 1):
        return bool(value)
    return None if replacement is None else False


def _offsets(
    answer: str, entry: dict[str, Any], text: Any, at: int, position: int
) -> tuple[int, int]:
    start, end = entry.get("start"), entry.get("end")
    if start is None and end is None:
        wanted = check_text(text, f"span {position}", len(answer))
        found = answer.find(wanted, at) if wanted else -1
        found = answer.find(wanted) if wanted and found < 0 else found
        if found < 0:
            raise RowError("bad_span", f"{printable(wanted, 100)!r} is not in the answer")
        return found, found + len(wanted)
    if (
        isinstance(start, int)
        and isinstance(end, int)
        and 0 <= start <= end <= len(answer)
        and text in (None, answer[start:end])
    ):
        return start, end
    detail = f"span {position} from {start!r:.20} to {end!r:.20} is not that part of the answer"
    raise RowError("bad_span", detail)
