"""LLaVA's own files: `id`, `image` and `conversations`, with `<image>` at the position of the image.

`image` is one path; LLaVA-NeXT has several.
"""

from __future__ import annotations

from typing import Any, Final

from curate.read import conversations, preferences
from curate.read.fields import has
from curate.read.formats.base import Format


def detect(row: dict[str, Any]) -> str | None:
    """Why a row is one of LLaVA, if it is."""
    name = conversations.turns_field(row)
    return f"have {name} and image" if name and has(row, ("image",)) else None


FORMAT: Final = Format(
    name="llava",
    summary="LLaVA conversations",
    rows=(
        r"`image` (one or several), `conversations` of `{from: human\|gpt, value}` with `<image>`"
    ),
    makes={"samples": conversations.convert, "pairs": preferences.convert},
    detect=detect,
    table_of=conversations.pairs_if_both,
)
