"""What rows say of the sample or answer they are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

RESPONSE: Final = ("response_id", "target_id")


def are_about_responses(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether rows name answers that the dataset has, and do not hold them."""
    about = [
        row
        for row in rows
        if any(isinstance(row.get(name), str) for name in RESPONSE)
        and not any(row.get(name) for name in ("rejected", "original", "response", "answer"))
    ]
    return len(about) * 2 > len(rows)
