"""The rules of `curate filter`, one file each, in the order in which they are asked.

A new rule is a file here that sets `RULE`, and its name in `RULES`. A rule of another package is an
entry point of the group `pairwright.filters`; those are asked last.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

from pairwright.commands.plugins import load_plugins

if TYPE_CHECKING:
    from curate.filter.rules.base import Rule

GROUP: Final = "pairwright.filters"
# The first that a row fails is its reason.
RULES: Final = (
    "score",
    "image_size",
    "image_content",
    "empty_answer",
    "template_leak",
    "refusal",
    "repetition",
    "truncated_answer",
    "repeated_turn",
    "lengths",
    "language",
    "pii",
    "image_text",
    "templated",
)


@cache
def load_rules() -> tuple[Rule, ...]:
    """All rules, in the order in which they are asked.

    Raises:
        PluginError: If a rule of another package cannot be used.
    """
    from curate.filter.rules.base import Rule

    ours: list[Rule] = [import_module(f"{__name__}.{name}").RULE for name in RULES]
    return (*ours, *load_plugins(GROUP, Rule, taken=RULES))


def chosen_reasons() -> tuple[str, ...]:
    """The reasons that a user turns on and off."""
    return tuple(r.name for rule in load_rules() for r in rule.reasons if not r.implied)


def named_reasons() -> tuple[str, ...]:
    """The reasons that `--rules` turns on by name."""
    every = (reason for rule in load_rules() for reason in rule.reasons)
    return tuple(reason.name for reason in every if not reason.options and not reason.implied)
