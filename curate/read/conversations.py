"""Rows with a conversation: a list of turns, with images inside of it or next to it.

The turns are `{from: human | gpt, value}` or `{role, content}`, the content is text or a list of
typed parts. The roles `observation` and `function_call` are read as a user's and an assistant's;
their names are kept in `meta`.
"""

from __future__ import annotations

from typing import Any, Final

from curate.read.fields import Naming, has_both, image_field
from curate.read.meta import describe
from curate.read.refs import image_refs
from curate.read.rows import Draft, ImageRef, RowError
from curate.read.turns import check_messages, tool_roles, turns_of, with_system

_MEDIA: Final = frozenset(("videos", "video", "audios", "audio"))
TURNS: Final = ("conversations", "messages", "conversation")


def convert(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of a row with `conversations` or `messages`.

    Raises:
        RowError: If the row is not of that form.
    """
    name = next((n for n in TURNS if row.get(n) is not None), None)
    if name is None:
        raise RowError("missing_field", f"none of the fields {', '.join(TURNS)}")
    refuse_media(row)
    messages, inside = turns_of(row[name], name, naming)
    messages = with_system(messages, row.get("system"), naming)
    images = all_images(row, inside, naming)
    draft = Draft(messages=check_messages(messages, len(images)), images=images)
    used = (name, "system", image_field(row, naming) or "")
    roles = tool_roles(row[name])
    row = row if roles is None else {**row, "roles": roles}
    return describe(draft, row, used, naming)


def turns_field(row: dict[str, Any]) -> str | None:
    """The field with turns of `{from, value}`, if the row has one."""
    return next((n for n in ("conversations", "conversation") if row.get(n) is not None), None)


def pairs_if_both(row: dict[str, Any]) -> str:
    """The table of a conversation: pairs if it has a chosen and a rejected answer."""
    return "pairs" if has_both(row) else "samples"


def all_images(row: dict[str, Any], inside: list[ImageRef], naming: Naming) -> list[ImageRef]:
    """Images of a row: those inside its turns, or those next to them.

    Raises:
        RowError: If there are both.
    """
    outside = image_refs(row, naming)
    if inside and outside:
        detail = f"{len(inside)} images inside the turns and {len(outside)} outside of them"
        raise RowError("ambiguous_images", detail)
    return inside or outside


def refuse_media(row: dict[str, Any]) -> None:
    """Refuse rows about video and audio, which would otherwise pass for text.

    Raises:
        RowError: If there are any.
    """
    if _MEDIA.isdisjoint(row):
        return
    for name in sorted(_MEDIA):
        if row.get(name):
            raise RowError("unsupported_media", f"the row has {name}; only images are supported")


def is_turns(value: Any) -> bool:
    """Whether a field has turns rather than text."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
