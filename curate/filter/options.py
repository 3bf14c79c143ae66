"""Options of `curate filter`: those of the command, and those that its rules declare.

Every rule is off until one of its options, `--rules` or a preset turns it on.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from curate.filter.rules import chosen_reasons, load_rules, named_reasons
from curate.filter.rules.base import Reason, Rule
from curate.filter.rules.checks import check_counts, check_words, words_of
from pairwright.commands.options import as_config, current_config, flag_of, option
from pairwright.errors import PluginError, UsageError

# Names that rules had, in `--rules` (as `--broken`) and `--without`.
_OLD_NAMES = {
    "cut": "truncated_answer",
    "cut_answer": "truncated_answer",
    "empty": "empty_answer",
    "template": "template_leak",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSettings:
    """What is chosen of the rules, whatever rules there are."""

    preset: Literal["basic", "llava"] | None = option(
        None,
        help="turn on a conservative set of rules: basic removes what no training can use, llava "
        "also what instruction tuning should not see; --print-config with it shows the values",
    )
    rules: str | None = option(
        None,
        help=f"comma list of rules that need no threshold: {', '.join(named_reasons())}, or all",
        aliases=("broken",),
    )
    without: str | None = option(
        None, help="comma list of rules to leave out of the preset, such as blur,truncated_answer"
    )
    show: int = option(3, help="examples to print of every rule")

    def __post_init__(self) -> None:
        """Fill in the preset; refuse values that mean nothing."""
        for name in ("rules", "without"):
            self._set(name, _current_names(getattr(self, name)))
        check_words("rules", self.rules, named_reasons())
        check_words("without", self.without, chosen_reasons(), all_of_them=False)
        if self.without is not None and self.preset is None:
            msg = "--without leaves rules out of a preset: give --preset too"
            raise UsageError(msg)
        for name, value in self._preset_values().items():
            if getattr(self, name) is None:
                self._set(name, value)
        if self.rules is not None:
            chosen = words_of(self.rules)
            names = [name for name in named_reasons() if name in chosen or "all" in chosen]
            self._set("rules", ",".join(names))
        check_counts(self, "show")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                msg = f"{flag_of(field.name)} must be a number"
                raise UsageError(msg)
        for rule in load_rules():
            self.of(rule)  # which refuses what means nothing to the rule

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _preset_values(self) -> dict[str, Any]:
        """The preset's values, those of rules that `--without` names left out."""
        without = words_of(self.without)
        values: dict[str, Any] = {}
        named = []
        for rule in load_rules():
            preset = rule.presets.get(self.preset or "")
            if preset is None:
                continue
            values |= preset
            for reason in rule.reasons:
                if reason.name in without:
                    values.update(dict.fromkeys(reason.options))
                elif reason.name in named_reasons():
                    named.append(reason.name)
        return values | {"rules": ",".join(named) or None}

    def of(self, rule: Rule) -> Any:
        """The options of one rule."""
        names = [field.name for field in dataclasses.fields(rule.options)]
        return rule.options(**{name: getattr(self, name) for name in names})

    def is_on(self, reason: Reason) -> bool:
        """Whether rows are removed for a reason."""
        if reason.options:
            values = (getattr(self, name) for name in reason.options)
            return any(value is not None and value is not False for value in values)
        return reason.name in words_of(self.rules)

    def rules_on(self) -> Iterator[Rule]:
        """The rules that are on, in the order in which they are asked."""
        return (rule for rule in load_rules() if any(map(self.is_on, rule.reasons)))

    def recorded(self) -> dict[str, Any]:
        """What a run records: the resolved values, without the options of rules that are off."""
        on = {f.name for rule in self.rules_on() for f in dataclasses.fields(rule.options)}
        on |= {field.name for field in dataclasses.fields(FilterSettings)} - {"show"}
        values = as_config(self).items()
        return {k: v for k, v in values if k in on and v is not None and v is not False}


def recorded_before(config: dict[str, Any]) -> dict[str, Any]:
    """What a run of an older version recorded, with today's names of options and rules."""
    found = current_config(FilterOptions, config)
    if isinstance(found.get("rules"), str):
        old = words_of(_current_names(found["rules"]))
        found["rules"] = ",".join(name for name in named_reasons() if name in old or "all" in old)
    # A flag that is off, or a value that no rule has, was recorded as well.
    return {
        name: value for name, value in found.items() if value is not None and value is not False
    }


def _current_names(text: str | None) -> str | None:
    if text is None:
        return None
    return ",".join(_OLD_NAMES.get(word, word) for word in words_of(text))


def _all_options() -> type[FilterSettings]:
    """The options of the command and of all rules as one dataclass."""
    taken = {field.name for field in dataclasses.fields(FilterSettings)}
    found: list[tuple[str, Any, Any]] = []
    for rule in load_rules():
        types = typing.get_type_hints(rule.options)
        for field in dataclasses.fields(rule.options):
            if field.name in taken:
                detail = f"{flag_of(field.name)} is an option of another rule already"
                raise PluginError(rule.name, "pairwright.filters", detail)
            taken.add(field.name)
            found.append((field.name, types[field.name], _described(rule, field)))
    return dataclasses.make_dataclass(
        "FilterOptions", found, bases=(FilterSettings,), frozen=True, slots=True, kw_only=True,
        namespace={"__doc__": "Options of `curate filter`.", "__module__": __name__},
    )  # fmt: skip


def _described(rule: Rule, field: dataclasses.Field[Any]) -> Any:
    """A rule's option, listed under the reasons that its rule removes rows for."""
    chosen = [reason for reason in rule.reasons if not reason.implied]
    group = f"rule{'s' * (len(chosen) > 1)} {', '.join(reason.name for reason in chosen)}"
    of = [reason.name for reason in chosen if field.name in reason.options]
    text = field.metadata["help"]
    if of and len(of) < len(chosen):
        text = f"{', '.join(of)}: {text}"
    if of and rule.extra:
        text += f" (needs the extra `{rule.extra}`)"
    metadata = {**field.metadata, "help": text, "group": group}
    return dataclasses.field(default=field.default, metadata=metadata)


FilterOptions = _all_options()
