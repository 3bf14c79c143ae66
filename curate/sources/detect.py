"""Telling the format of rows by the fields they have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from curate.sources import chat, preference, qa
from curate.sources.fields import ANSWER, CAPTION, QUESTION, Naming
from curate.sources.rows import Draft, printable
from pairwright.errors import DataError

Converter = Callable[[dict[str, Any], Naming], Draft]

CONVERTERS: Final[dict[str, Converter]] = {
    "llava": chat.convert,
    "messages": chat.convert,
    "qa": qa.convert,
    "folder": qa.convert,
    "easy-vqa": qa.convert,
    "trl-preference": preference.convert,
    "rlhf-v": preference.convert,
}
MEANINGS: Final = {
    "llava": "LLaVA conversations",
    "messages": "messages",
    "qa": "question and answer, or captions",
    "folder": "an image folder with questions or captions",
    "easy-vqa": "easy-vqa",
    "trl-preference": "TRL preferences (prompt, chosen, rejected)",
    "rlhf-v": "RLHF-V corrections",
}


def detect(rows: Sequence[dict[str, Any]], name: str) -> str:
    """The format that most of the first rows have.

    Raises:
        DataError: If none fits.
    """
    votes = [kind for kind in map(_kind, rows) if kind is not None]
    if votes:
        return max(dict.fromkeys(votes), key=votes.count)
    if not rows:
        msg = f"{name}: none of its first rows is an object that can be read"
        raise DataError(msg)
    fields = ", ".join(printable(str(key), 40) for key in list(rows[0])[:12]) or "none"
    msg = (
        f"{name}: cannot tell the format by its fields ({fields}); give --format, and --question, "
        "--answer, --image for fields of other names"
    )
    raise DataError(msg)


def _kind(row: dict[str, Any]) -> str | None:
    opened = preference.unpack(row)
    if opened is not row:
        return "rlhf-v"
    if row.get("chosen") is not None and row.get("rejected") is not None:
        return "trl-preference"
    if row.get("messages") is not None:
        return "messages"
    if row.get("conversations") is not None or row.get("conversation") is not None:
        return "llava"
    if any(row.get(name) is not None for name in (*QUESTION, *ANSWER, *CAPTION)):
        return "qa"
    return None
