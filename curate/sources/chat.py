"""LLaVA, ShareGPT and `messages` rows: a list of turns, with images beside or inside it."""

from __future__ import annotations

from typing import Any, Final

from curate.sources.fields import Naming, check_text, describe
from curate.sources.refs import image_field, image_refs
from curate.sources.rows import Draft, ImageRef, RowError
from curate.sources.turns import marked, settle, turns_of

TURNS: Final = ("conversations", "messages", "conversation")


def convert(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of a row with `conversations` or `messages`.

    Raises:
        RowError: If the row is not of that form.
    """
    name = next((n for n in TURNS if row.get(n) is not None), None)
    if name is None:
        raise RowError("missing_field", f"none of the fields {', '.join(TURNS)}")
    messages, inside = turns_of(row[name], name, naming)
    system = row.get("system")
    if isinstance(system, str) and messages[0]["role"] != "system":
        text = marked(check_text(system, "system", naming.max_text), literal=True, naming=naming)
        messages.insert(0, {"role": "system", "content": text})
    images = all_images(row, inside, naming)
    draft = Draft(messages=settle(messages, len(images)), images=images)
    used = (name, "system", image_field(row, naming) or "")
    return describe(draft, row, used, naming)


def all_images(row: dict[str, Any], inside: list[ImageRef], naming: Naming) -> list[ImageRef]:
    """Images of a row: those inside its turns, or those beside them.

    Raises:
        RowError: If there are both.
    """
    beside = image_refs(row, naming)
    if inside and beside:
        detail = f"{len(inside)} images inside the turns and {len(beside)} beside them"
        raise RowError("ambiguous_images", detail)
    return inside or beside


def is_turns(value: Any) -> bool:
    """Whether a field holds turns rather than text."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
