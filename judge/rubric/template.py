"""Prompt templates: placeholders, and parts that are shown only where a row has a value for them.

`{question}` and the other placeholders are filled in. Lines between `{if reference}` and `{end}`
appear only for rows with a reference. Only the rubric is read for both, in one pass each: braces in
the text of a row stay braces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from judge.rubric.scales import Fail

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
_RULE = re.compile(r"\{(?:if\b[^{}\n]*|end)\}")


@cache
def _patterns(names: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Patterns of placeholders and optional parts."""
    known = "|".join(names)
    part = rf"\{{if ({known})\}}(?:[ \t]*\n)?(.*?)\{{end\}}(?:[ \t]*\n)?"
    return re.compile(rf"\{{({known})\}}"), re.compile(part, re.DOTALL)


def check_template(text: str, fail: Fail, names: tuple[str, ...] = PLACEHOLDERS) -> None:
    """Refuse parts that are not closed, are nested, or name an unknown placeholder.

    Args:
        text: The template.
        fail: Makes the error.
        names: Its placeholders.

    Raises:
        UsageError: Names the fix.
    """
    left = _RULE.search(_patterns(names)[1].sub(lambda match: match.group(2), text))
    if left is not None:
        raise fail(
            f"the prompt has {left.group()} in a wrong position: write {{if NAME}} ... {{end}}, not "
            f"nested, where NAME is one of {', '.join(names)}"
        )


def shows(text: str, *names: str) -> bool:
    """Whether a template has one of these placeholders."""
    return bool(names) and _patterns(names)[0].search(text) is not None


def fill(text: str, values: Mapping[str, str]) -> str:
    """The template with its values; an empty value is `(none)`, its `{if}` parts are left out."""
    placeholder, part = _patterns(tuple(values))
    kept = part.sub(lambda match: match.group(2) if values[match.group(1)] else "", text)
    return placeholder.sub(lambda match: values[match.group(1)] or NOTHING, kept)
