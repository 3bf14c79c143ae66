"""RLAIF-V preferences, as the card of openbmb/RLAIF-V-Dataset describes them (CC BY-NC 4.0).

Question, chosen and rejected are columns; `origin_split` is JSON that names the model.
"""

from __future__ import annotations

from typing import Any, Final

from curate.read import preferences
from curate.read.fields import has, has_both
from curate.read.formats.base import Format


def detect(row: dict[str, Any]) -> str | None:
    """Why a row is one of RLAIF-V, if it is."""
    origin = has(row, ("ds_name", "origin_dataset"))
    if has_both(row) and row.get("question") is not None and origin:
        return f"have question, chosen, rejected and {origin}"
    return None


FORMAT: Final = Format(
    name="rlaif-v",
    summary="RLAIF-V preferences",
    rows="`question`, `chosen`, `rejected`, `image`, `origin_split`",
    makes=preferences.MAKES,
    detect=detect,
    note="released as CC BY-NC 4.0",
)
