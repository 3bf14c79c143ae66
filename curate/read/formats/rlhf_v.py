"""RLHF-V corrections, as the card of openbmb/RLHF-V-Dataset describes them (CC BY-NC 4.0).

`text` is JSON with question, chosen and rejected; `origin_split` is JSON that names the model.
"""

from __future__ import annotations

from typing import Any, Final

from curate.read import preferences
from curate.read.formats.base import Format


def detect(row: dict[str, Any]) -> str | None:
    """Why a row is one of RLHF-V, if it is."""
    opened = preferences.unpack(row) is not row
    return "have text that is JSON with question, chosen and rejected" if opened else None


FORMAT: Final = Format(
    name="rlhf-v",
    summary="RLHF-V corrections",
    rows="`text` is JSON with question, chosen, rejected; a word diff finds what changed",
    makes=preferences.MAKES,
    detect=detect,
    note="released as CC BY-NC 4.0",
)
