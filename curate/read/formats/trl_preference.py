"""TRL preferences: `prompt`, `chosen` and `rejected`, or whole conversations in the last two."""

from __future__ import annotations

from typing import Any, Final

from curate.read import preferences
from curate.read.fields import QUESTION, has, has_both
from curate.read.formats.base import Format


def detect(row: dict[str, Any]) -> str | None:
    """Why a row is a preference, if it is."""
    if not has_both(row):
        return None
    prompt = has(row, QUESTION)
    return f"have {prompt}, chosen and rejected" if prompt else "have chosen and rejected"


FORMAT: Final = Format(
    name="trl-preference",
    summary="TRL preferences (prompt, chosen, rejected)",
    rows=(
        "`prompt`, `chosen`, `rejected` as text or turns, or whole conversations in the last two; "
        "Alpaca-like `instruction` and `input`"
    ),
    makes=preferences.MAKES,
    detect=detect,
)
