"""ms-swift rows, as its "Custom dataset" page describes them.

`messages`, `images` (paths, addresses, or objects with bytes), `rejected_response` (the worse last
answer; newer versions: `rejected_messages`), `objects` (boxes of grounding, kept in `meta`), or
`query`, `response`, `history` and `system`, or `conversation` of `{human, assistant}`. Older versions
name images in the text as `<img>path</img>`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from curate.read import conversations, preferences, questions
from curate.read.fields import Naming, check_text, has
from curate.read.formats.base import Format
from curate.read.rows import Draft, RowError
from curate.read.turns import turns_of
from pairwright.text.conversation import IMAGE

_WORSE: Final = ("rejected_response", "rejected_messages")
_TAG = re.compile(r"<img>([^<]{1,4000})</img>")


def detect(row: dict[str, Any]) -> str | None:
    """Why a row is one of ms-swift, if it is."""
    worse = next((name for name in _WORSE if row.get(name) is not None), None)
    if row.get("messages") is not None and worse is not None:
        return f"have messages and {worse}"
    if row.get("messages") is not None and isinstance(row.get("objects"), dict):
        return "have messages and objects"
    if row.get("query") is not None and row.get("response") is not None:
        return "have query and response"
    turns = row.get("conversation")
    if isinstance(turns, list) and turns and isinstance(turns[0], dict) and "human" in turns[0]:
        return "have conversation with human and assistant"
    return None


def convert(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of the conversation.

    Raises:
        RowError: If the row is not of that form.
    """
    row = _with_images(row)
    if any(row.get(name) is not None for name in conversations.TURNS):
        return conversations.convert(row, naming)
    return questions.convert(row, naming)


def convert_pair(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of a conversation with a worse answer for the last turn.

    Raises:
        RowError: If there is none, or no last answer.
    """
    row = _with_images(row)
    worse = next((name for name in _WORSE if row.get(name) is not None), None)
    if worse is None:
        raise RowError("missing_field", f"no field {' or '.join(_WORSE)}")
    if row.get("messages") is None:
        return preferences.convert(
            {
                **_without(row, worse, "response"),
                "chosen": row.get("response"),
                "rejected": row[worse],
            },
            naming,
        )
    turns_of(row["messages"], "messages", naming)  # refuses anything else
    turns = row["messages"]
    if not isinstance(turns, list) or len(turns) < 2:
        raise RowError("missing_field", "messages is not a question and its answer")
    rejected = row[worse]
    if isinstance(rejected, list) and rejected:
        rejected = rejected[-1:]
    reshaped = _without(row, worse, "messages")
    return preferences.convert(
        {**reshaped, "prompt": turns[:-1], "chosen": turns[-1:], "rejected": rejected}, naming
    )


def _without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in names}


def _with_images(row: dict[str, Any]) -> dict[str, Any]:
    """A row with `<image>` for each `<img>path</img>`, and the paths as its images."""
    if row.get("images") or row.get("image"):
        return row
    found: list[str] = []

    def take(match: re.Match[str]) -> str:
        found.append(match[1].strip())
        return IMAGE

    out = dict(row)
    if isinstance(row.get("query"), str):
        out["query"] = _TAG.sub(take, check_text(row["query"], "query", 1 << 26))
    turns = row.get("messages")
    if isinstance(turns, list) and all(isinstance(turn, dict) for turn in turns):
        out["messages"] = [
            {**turn, "content": _TAG.sub(take, turn["content"])}
            if turn.get("role") == "user" and isinstance(turn.get("content"), str)
            else turn
            for turn in turns
        ]
    return {**out, "images": found} if found else row


FORMAT: Final = Format(
    name="swift",
    summary="ms-swift rows",
    rows=(
        "ms-swift: `messages` with `rejected_response` or `objects`; `query`, `response`, `history`, "
        "`system`; `conversation` of `{human, assistant}`; `<img>path</img>`"
    ),
    makes={"samples": convert, "pairs": convert_pair},
    detect=detect,
    table_of=lambda row: "pairs" if has(row, _WORSE) else "samples",
)
