"""Rows in the form of the Hub, as TRL's trainers read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curate.export.parquet_file import Column
from pairwright.text.conversation import Message, content_parts, unescape


def images_in_front(messages: Sequence[Message]) -> bool:
    """Whether all images come before the text of the first user turn, where TRL puts them."""
    users = 0
    for message in messages:
        kinds = [part["type"] for part in content_parts(message["content"])]
        users += message["role"] == "user"
        if message["role"] == "user" and users == 1:
            kinds = kinds[kinds.count("image") :]
        if "image" in kinds:
            return False
    return True


def hub_messages(messages: Sequence[Message], *, parts: bool) -> list[dict[str, Any]]:
    """Messages in the form of the export.

    Args:
        messages: As our tables have them.
        parts: Contents as lists of parts; otherwise as text without image placeholders.
    """
    out: list[dict[str, Any]] = []
    for message in messages:
        pieces = content_parts(message["content"])
        if parts:
            content: Any = [{"type": p["type"], "text": p.get("text")} for p in pieces]
        elif any(piece["type"] == "image" for piece in pieces):
            content = "\n".join(p["text"] for p in pieces if p["type"] == "text")
        else:
            content = unescape(message["content"])
        out.append({"role": message["role"], "content": content})
    return out


def hub_row(
    row: dict[str, Any], columns: Sequence[Column], images: Mapping[str, Any], *, parts: bool
) -> dict[str, Any]:
    """One row of the export.

    Args:
        row: A row of the table's frames.
        columns: The columns of the export.
        images: Image values by id.
        parts: As for `hub_messages`.
    """
    out = {column.name: row.get(column.name) for column in columns}
    for name, ids in (("images", "image_ids"), ("rejected_images", "rejected_image_ids")):
        if name in out:
            out[name] = [images[i] for i in row[ids] or []]
    for name in ("messages", "prompt"):
        if name in out:
            out[name] = hub_messages(row[name], parts=parts)
    for name in ("chosen", "rejected"):
        if name in out:
            out[name] = [{"role": "assistant", "content": row[name]}]
    return out
