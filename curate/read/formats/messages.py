"""Messages of `{role, content}`, as OpenAI, TRL and LLaMA-Factory's openai style have them."""

from __future__ import annotations

from typing import Any, Final

from curate.read import conversations, preferences
from curate.read.formats.base import Format


def detect(row: dict[str, Any]) -> str | None:
    """Why a row has messages, if it has."""
    return "have messages" if row.get("messages") is not None else None


FORMAT: Final = Format(
    name="messages",
    summary="messages",
    rows=(
        "`{role, content}`, content as text or as typed parts with images inside; `images` next to it"
    ),
    makes={"samples": conversations.convert, "pairs": preferences.convert},
    detect=detect,
    table_of=conversations.pairs_if_both,
)
