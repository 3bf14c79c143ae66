"""Summaries of runs that were made before their keys got the names they have now."""

from __future__ import annotations

from typing import Any, Final

_RENAMED: Final = {
    "answers": "responses",
    "claims_an_answer": "claims_per_response",
    "first_place": "first_position",
    "marked": "scored",
    "marks": "scores",
    "places": "positions",
    "win_share": "win_rate",
}


def with_current_keys(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary with the keys that are written now; names of criteria stay as they are."""

    def renamed(value: Any, parent: str) -> Any:
        if isinstance(value, list):
            return [renamed(one, parent) for one in value]
        # Below `criteria` the keys are names that a rubric chose, except in `shown`.
        if not isinstance(value, dict) or (parent == "criteria" and "with" not in value):
            return value
        return {_RENAMED.get(key, key): renamed(inner, key) for key, inner in value.items()}

    return dict(renamed(summary, ""))
