"""All rules, in the order in which they are asked: the first that a row fails is its reason."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Final

from curate.filter.rules.base import Rule
from pairwright.commands.plugins import load_plugins

GROUP: Final = "pairwright.filters"
# One file each, which holds its RULE.
_OURS: Final = (
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
def all_rules() -> tuple[Rule, ...]:
    """Our rules, then those that other packages add.

    Raises:
        PluginError: If a package's rule cannot be loaded.
    """
    ours = [importlib.import_module(f"curate.filter.rules.{name}").RULE for name in _OURS]
    return (*ours, *load_plugins(GROUP, Rule, taken=_OURS))


def reason_names() -> tuple[str, ...]:
    """All reasons, in the order in which they are asked."""
    return tuple(reason.name for rule in all_rules() for reason in rule.reasons)


def chosen_reasons() -> tuple[str, ...]:
    """The reasons that a user turns on and off."""
    return tuple(r.name for rule in all_rules() for r in rule.reasons if not r.implied)


def named_reasons() -> tuple[str, ...]:
    """The reasons that `--rules` turns on by name."""
    every = (reason for rule in all_rules() for reason in rule.reasons)
    return tuple(reason.name for reason in every if not reason.options and not reason.implied)
