"""Options of `prefs build`: the shared ones, and those that the methods bring."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

from pairwright.commands.choices import chosen, chosen_config, listing, with_choices
from pairwright.commands.options import option
from pairwright.errors import UsageError
from prefs.methods import load_methods
from prefs.methods.base import Method, MethodOptions

METHODS = load_methods()
# For methods without a default of their own.
_DEFAULTS: Mapping[str, Any] = {"max_pairs_per_prompt": 0, "length_balance": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions(MethodOptions):
    """Options of `prefs build`."""

    control: Literal["random", "longest"] | None = option(
        None,
        help="build a control instead: the same prompts and number of pairs, with sides sampled at "
        "random, or with the longest text as the chosen one",
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        MethodOptions.__post_init__(self)
        method = method_of(self)
        if self.preset is not None and self.preset not in method.presets:
            known = "; ".join(
                f"--method {m.name} has {listing(list(m.presets))}" for m in METHODS if m.presets
            )
            msg = f"--method {method.name} has no --preset {self.preset}; {known}"
            raise UsageError(msg)


def method_of(options: BuildOptions) -> Method:
    """The method that the options chose.

    Raises:
        UsageError: If there is none of that name.
    """
    method: Method = chosen(options, "method", METHODS)[0]
    return method


def resolved(options: BuildOptions) -> BuildOptions:
    """The options with the values of the preset and of the method filled in.

    `margin` stays empty where it depends on the scores.
    """
    method = method_of(options)
    values = {**_DEFAULTS, **method.defaults, **method.presets.get(options.preset or "", {})}
    missing = {name: v for name, v in values.items() if getattr(options, name) is None}
    return dataclasses.replace(options, **missing)


def config_of(options: BuildOptions) -> dict[str, Any]:
    """The options as a run's configuration, without those of other methods."""
    # Runs of version 1 stored it with every method; without it they would count as different.
    return {"min_label_mass": 0.0, **chosen_config(options)}


def _tables(methods: Sequence[Method]) -> list[str]:
    """Tables that methods read, each once."""
    needs = (need for method in methods for several in method.needs for need in several)
    return list(dict.fromkeys(need.table for need in needs))


def _composed(methods: Sequence[Method]) -> type[BuildOptions]:
    """The shared options and all that the methods bring: tables, presets, defaults, options."""
    presets = [preset for method in methods for preset in method.presets]
    recipes = "; ".join(f"{listing(list(m.presets))} for {m.name}" for m in methods if m.presets)
    specs: list[tuple[str, Any, Any]] = [
        (
            "preset",
            Literal[tuple(presets)] | None,
            option(None, help=f"a published recipe: {recipes}; other flags beat what it sets"),
        )
    ]
    hints = get_type_hints(BuildOptions)
    for name, value in _DEFAULTS.items():
        text = next(one for one in dataclasses.fields(BuildOptions) if one.name == name)
        default = _default_text(name, value, methods)
        specs.append((name, hints[name], option(None, help=f"{text.metadata['help']} ({default})")))
    specs += [
        (table, str | None, option(None, help=f"run of {table} (default: the active one)"))
        for table in _tables(methods)
    ]
    made = dataclasses.make_dataclass(
        BuildOptions.__name__, specs, bases=(BuildOptions,), frozen=True, slots=True, kw_only=True
    )
    made.__module__ = __name__
    return with_choices(made, {"method": methods})


def _default_text(name: str, usual: Any, methods: Sequence[Method]) -> str:
    by_value: dict[Any, list[str]] = {}
    for method in methods:
        by_value.setdefault(method.defaults.get(name, usual), []).append(method.name)
    by_value.pop(usual, None)
    own = "".join(f"{_word(v)} for {listing(names)}, " for v, names in by_value.items())
    return f"default: {own}{'else ' if own else ''}{_word(usual)}"


def _word(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


BUILD_OPTIONS = _composed(METHODS)
