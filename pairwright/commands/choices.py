"""Options that depend on a choice: each method, loss, tuner or metric brings its own.

A command that lets its user choose (`--method spans`) has shared options, and each choice has options
of its own. Here they become one dataclass. The command line, configuration files and Python then see
one flat list of names, and `--help` shows which option belongs to which choice.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from pairwright.commands.options import as_config, current_config, flag_of
from pairwright.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOptions:
    """For a choice that has no options of its own."""


class Choice(Protocol):
    """What can be chosen by its name."""

    @property
    def name(self) -> str:
        """As users type it."""

    @property
    def summary(self) -> str:
        """What it is, in a few words."""

    @property
    def options(self) -> type[Any]:
        """Dataclass of its own options; fields that the command shares are not repeated."""


@dataclass(slots=True)
class _Owned:
    """An option that belongs to some choices of one field."""

    by: str
    hint: Any
    declared: dataclasses.Field[Any]
    owners: list[str] = field(default_factory=list)


def with_choices(shared: type[T], choices: Mapping[str, Sequence[Choice]]) -> type[T]:
    """A dataclass of the shared options and the own options of everything that can be chosen.

    Making one checks that what was chosen exists, builds the own options of each choice, which checks
    them, and refuses options that belong to something else.

    Args:
        shared: Dataclass of the shared options.
        choices: By the field of `shared` that names the choice, what there is to choose. The field's
            help gets a list of the names.

    Returns:
        A subclass of `shared`; `chosen`, `own_options` and `chosen_config` take its instances.
    """
    owned = _owned_options(shared, choices)
    hints = typing.get_type_hints(shared)
    specs: list[tuple[str, Any, Any]] = [
        _choosing(name, hints[name], shared, members) for name, members in choices.items()
    ]
    for name, one in owned.items():
        group = f"options of --{one.by.replace('_', '-')} {listing(one.owners)}"
        more = {"group": group, "by": one.by, "owners": tuple(one.owners)}
        specs.append((name, one.hint, _copy(one.declared, more)))
    made = dataclasses.make_dataclass(
        shared.__name__,
        specs,
        bases=(shared,),
        namespace={"__post_init__": _checks(shared, choices, owned), "__doc__": shared.__doc__},
        frozen=True,
        slots=True,
        kw_only=True,
    )
    made.__module__ = shared.__module__
    return made


def chosen(options: Any, name: str, members: Sequence[Choice]) -> list[Any]:
    """What a field of the options chose, in the order in which it was named.

    Raises:
        UsageError: If something of that name does not exist.
    """
    by_name = {member.name: member for member in members}
    value = getattr(options, name)
    found = []
    for one in value if isinstance(value, tuple) else (value,):
        if one not in by_name:
            msg = f"{flag_of(name)} {one}: unknown; there are {', '.join(by_name)}"
            raise UsageError(msg)
        found.append(by_name[one])
    return found


def own_options(options: Any, choice: Choice) -> Any:
    """The own options of a choice, filled from the command's.

    Raises:
        UsageError: If a value means nothing.
    """
    names = [one.name for one in dataclasses.fields(choice.options)]
    return choice.options(**{name: getattr(options, name) for name in names})


def chosen_config(options: Any) -> dict[str, Any]:
    """The options as a run's configuration, without those of what was not chosen.

    Those would make runs differ wherever something new can be chosen.
    """
    left_out = _not_chosen(options)
    return {name: v for name, v in as_config(options).items() if name not in left_out}


def chosen_before(options: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded configuration as `chosen_config` gives it, with current names and values.

    Older versions recorded the options of what was not chosen, too.
    """
    left_out = _not_chosen(options)
    found = current_config(type(options), config)
    return {name: value for name, value in found.items() if name not in left_out}


def _not_chosen(options: Any) -> set[str]:
    """Names of the options that belong to what the options did not choose."""
    names = set()
    for one in dataclasses.fields(options):
        if (by := one.metadata.get("by")) is None:
            continue
        value = getattr(options, by)
        if not {*one.metadata["owners"]} & {*(value if isinstance(value, tuple) else (value,))}:
            names.add(one.name)
    return names


def listing(names: Sequence[str]) -> str:
    """Names in a sentence: `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _owned_options(shared: type[Any], choices: Mapping[str, Sequence[Choice]]) -> dict[str, _Owned]:
    known = {one.name for one in dataclasses.fields(shared)}
    owned: dict[str, _Owned] = {}
    for by, members in choices.items():
        for member in members:
            hints = typing.get_type_hints(member.options)
            for one in dataclasses.fields(member.options):
                if one.name in known:
                    continue
                entry = owned.setdefault(one.name, _Owned(by, hints[one.name], one))
                same = (entry.by, entry.hint, entry.declared.default) == (
                    by, hints[one.name], one.default,
                )  # fmt: skip
                if not same:
                    msg = f"{member.name} declares {flag_of(one.name)} otherwise than {listing(entry.owners)}"
                    raise TypeError(msg)
                entry.owners.append(member.name)
    return owned


def _choosing(
    name: str, hint: Any, shared: type[Any], members: Sequence[Choice]
) -> tuple[str, Any, Any]:
    """The field that chooses, with the names of what there is in its type and its help."""
    one = next(one for one in dataclasses.fields(shared) if one.name == name)
    what = "; ".join(f"{member.name}: {member.summary}" for member in members)
    if hint is str:
        hint = Literal[tuple(member.name for member in members)]
    return name, hint, _copy(one, {"help": f"{one.metadata['help']}: {what}"})


def _copy(one: dataclasses.Field[Any], metadata: dict[str, Any]) -> Any:
    return dataclasses.field(default=one.default, metadata={**one.metadata, **metadata})


def _checks(
    shared: type[Any], choices: Mapping[str, Sequence[Choice]], owned: Mapping[str, _Owned]
) -> Callable[[Any], None]:
    """The `__post_init__` of the dataclass."""

    def check(options: Any) -> None:
        if hasattr(shared, "__post_init__"):
            shared.__post_init__(options)
        found = {by: chosen(options, by, members) for by, members in choices.items()}
        for name, one in owned.items():
            names = [choice.name for choice in found[one.by]]
            if getattr(options, name) != one.declared.default and not {*one.owners} & {*names}:
                msg = f"{flag_of(name)} belongs to {flag_of(one.by)} {listing(one.owners)}"
                msg += f", not {listing(names)}" if names else ""
                raise UsageError(msg)
        for choice in (choice for several in found.values() for choice in several):
            own = own_options(options, choice)
            for field_ in dataclasses.fields(own):  # a choice may normalize its values
                object.__setattr__(options, field_.name, getattr(own, field_.name))

    return check
