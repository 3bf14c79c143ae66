"""The table of all rules in the documentation: `python -m curate.filter.reference`."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from curate.filter.options import FilterOptions
from curate.filter.rules.base import Reason, Rule
from curate.filter.rules.registry import all_rules
from pairwright.commands.options import flag_of

PRESETS = ("basic", "llava")
_HEAD = ("rule (`reason`)", "options", *PRESETS, "needs", "nearest in others (their default)")


def rules_table() -> str:
    """Every reason in Markdown, in the order in which they are asked."""
    rows = [_row(rule, reason) for rule in all_rules() for reason in rule.reasons]
    lines = [_HEAD, tuple("---" for _ in _HEAD), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _row(rule: Rule, reason: Reason) -> tuple[str, ...]:
    presets = [_preset(rule, reason, name) for name in PRESETS]
    needs = [f"`{table.command}`" for table in rule.tables if not table.optional]
    needs += [f"extra `{rule.extra}`"] if rule.extra else []
    return (
        f"`{reason.name}`", _options(rule, reason), *presets, ", ".join(needs), reason.elsewhere,
    )  # fmt: skip


def _options(rule: Rule, reason: Reason) -> str:
    """What turns a reason on, and what else its rule takes."""
    if reason.implied:
        others = " or ".join(f"`{one.name}`" for one in rule.reasons if not one.implied)
        return f"on with {others}"
    switches = [f"`{flag_of(name)}`" for name in reason.options]
    if not switches:
        switches = [f"`--rules {reason.name}`"]
    taken = {name for one in rule.reasons for name in one.options}
    more = [_with_default(f) for f in dataclasses.fields(rule.options) if f.name not in taken]
    return ", ".join([*switches, *more])


def _with_default(field: dataclasses.Field[Any]) -> str:
    default = "" if field.default in (None, False) else f" {field.default}"
    return f"`{flag_of(field.name)}`{default}"


def _preset(rule: Rule, reason: Reason, name: str) -> str:
    """What a preset sets for a reason; nothing where it leaves it off."""
    options = FilterOptions(preset=name)
    if reason.implied:
        return "yes" if any(map(options.is_on, rule.reasons)) else ""
    if not options.is_on(reason):
        return ""
    values = [getattr(options, one) for one in reason.options]
    return ", ".join(f"{v:g}" for v in values if v is not None) or "yes"


if __name__ == "__main__":
    sys.stdout.write(rules_table())
