"""M3IT instructions, as the Hub's data viewer shows MMInstruction/M3IT.

`instruction`, `inputs`, `outputs`, and `image_base64_str` as a list.
"""

from __future__ import annotations

from typing import Any, Final

from curate.read import questions
from curate.read.fields import BASE64_FIELD
from curate.read.formats.base import Format


def detect(row: dict[str, Any]) -> str | None:
    """Why a row is one of M3IT, if it is."""
    if BASE64_FIELD in row and row.get("instruction") is not None:
        return f"have instruction and {BASE64_FIELD}"
    return None


FORMAT: Final = Format(
    name="m3it",
    summary="M3IT instructions",
    rows="`instruction`, `inputs`, `image_base64_str` (a list), `outputs`",
    makes={"samples": questions.convert},
    detect=detect,
    note="each of its 40 sets has a license of its own",
)
