"""Prompt templates: placeholders, and parts that are shown only where a row has something for them.

`{question}` and the other placeholders are filled in. Lines between `{if reference}` and `{end}`
appear only for rows with a reference. Both are read off the rubric alone, in one pass each: braces
in the text of a row are braces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from judge.scales import Fail

PLACEHOLDERS = (
    "question",
    "answer",
    "conversation",
    "reference",
    "criteria",
    "criterion",
    "description",
    "levels",
    "scale",
    "reply",
)
NOTHING = "(none)"
_NAMES = "|".join(PLACEHOLDERS)
_PLACEHOLDER = re.compile(rf"\{{({_NAMES})\}}")
_BLOCK = re.compile(rf"\{{if ({_NAMES})\}}(?:[ \t]*\n)?(.*?)\{{end\}}(?:[ \t]*\n)?", re.DOTALL)
_RULE = re.compile(r"\{(?:if\b[^{}\n]*|end)\}")


def check_template(text: str, fail: Fail) -> None:
    """Refuse parts that are not closed, stand within each other, or ask for what is unknown.

    Raises:
        UsageError: With the remedy.
    """
    left = _RULE.search(_BLOCK.sub(lambda match: match.group(2), text))
    if left is not None:
        raise fail(
            f"the prompt has a stray {left.group()}: write {{if NAME}} ... {{end}}, not within "
            f"another, NAME being {', '.join(PLACEHOLDERS)}"
        )


def shows(text: str, *names: str) -> bool:
    """Whether a template has one of these placeholders."""
    return any(name in names for name in _PLACEHOLDER.findall(text))


def fill(text: str, values: Mapping[str, str]) -> str:
    """The template with its values; an empty one is `(none)`, its `{if}` parts are left out."""
    kept = _BLOCK.sub(lambda match: match.group(2) if values[match.group(1)] else "", text)
    return _PLACEHOLDER.sub(lambda match: values[match.group(1)] or NOTHING, kept)
