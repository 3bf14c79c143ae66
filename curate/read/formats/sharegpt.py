"""ShareGPT conversations, as LLaMA-Factory's data README describes them.

The turns of LLaVA, with `images` as a list, `system` and `tools` next to them, and the roles
`observation` and `function_call`. Preferences have one turn in each of `chosen` and `rejected`.
"""

from __future__ import annotations

from typing import Any, Final

from curate.read import conversations, preferences
from curate.read.fields import has, has_both
from curate.read.formats.base import Format


def detect(row: dict[str, Any]) -> str | None:
    """Why a row is a ShareGPT conversation, if it is."""
    name = conversations.turns_field(row)
    if name is None:
        return None
    if has_both(row):
        return f"have {name}, chosen and rejected"
    other = has(row, ("images", "tools", "system"))
    return f"have {name}" + (f" and {other}" if other else ", and name no image")


FORMAT: Final = Format(
    name="sharegpt",
    summary="ShareGPT conversations",
    rows=(
        "the same turns, `images`, `system`, `tools`; the roles `observation` and `function_call` "
        "are read as user and assistant, their names are kept in `meta.roles`; with `chosen` and "
        "`rejected` (LLaMA-Factory)"
    ),
    makes={"samples": conversations.convert, "pairs": preferences.convert},
    detect=detect,
    table_of=conversations.pairs_if_both,
)
