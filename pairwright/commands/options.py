"""Options dataclasses as command-line flags: one declaration gives type, default, check and help.

argparse over a dataclass, because `curate --help` must take under 200 ms and the libraries that
read dataclasses take longer than that to import.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pairwright.errors import UsageError

T = TypeVar("T")


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    positional: bool = False,
    short: str | None = None,
    aliases: tuple[str, ...] = (),
    value_aliases: Mapping[str, str] | None = None,
) -> Any:
    """A field of an options dataclass.

    Args:
        default: Its default; none makes it required.
        help: What it does, as `--help` prints it.
        positional: Whether it stands without a flag.
        short: One-letter flag, such as `-o`.
        aliases: Older names of the field. They work as flags, configuration keys and environment
            variables, and `--help` does not show them.
        value_aliases: Older spellings of its values, to the current ones.
    """
    metadata = {
        "help": help, "positional": positional, "short": short, "aliases": aliases,
        "value_aliases": dict(value_aliases or {}),
    }  # fmt: skip
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options that all commands share."""

    run: str | None = option(None, help="name of the run (default: a fixed name per command)")
    replace: bool = option(False, help="make an existing run of this name again")
    limit: int | None = option(None, help="take the first N rows only")
    dry_run: bool = option(False, help="print what would be done, write nothing")
    max_rejects: float = option(
        0.05, help="fail (exit code 3) if a larger fraction of the rows is invalid"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.limit is not None and self.limit < 1:
            msg = f"--limit must be at least 1, got {self.limit}"
            raise UsageError(msg)
        if not 0 <= self.max_rejects <= 1:
            msg = f"--max-rejects is a fraction between 0 and 1, got {self.max_rejects}"
            raise UsageError(msg)


def split_commas(values: tuple[str, ...]) -> tuple[str, ...]:
    """Values where `a,b` means `a b`."""
    return tuple(part for value in values for part in value.split(",") if part)


def flag_of(name: str) -> str:
    """The flag of a field; `as_` is the field of `--as`, a word that Python reserves."""
    return f"--{name.rstrip('_').replace('_', '-')}"


def field_name(options: type[Any], key: str) -> str:
    """The field that a key of a configuration file means (`as` is `as_`, `max-text` `max_text`)."""
    name = key.replace("-", "_")
    for field in dataclasses.fields(options):
        if name in (field.name, field.name.removesuffix("_"), *field.metadata.get("aliases", ())):
            return field.name
    return name


def add_arguments(parser: argparse.ArgumentParser, options: type[Any]) -> None:
    """Add a flag or positional for every field of an options dataclass.

    Fields with a `group` in their metadata are listed under that title in `--help`.

    Defaults are left out (`argparse.SUPPRESS`), so that what was typed is distinguished from what was
    not and a configuration file can fill the rest.
    """
    hints = typing.get_type_hints(options)
    groups: dict[str | None, Any] = {None: parser}
    for field in dataclasses.fields(options):
        title = field.metadata.get("group")
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        kind, many = _element_type(hints[field.name])
        required = field.default is dataclasses.MISSING
        text = field.metadata["help"].replace("%", "%%")
        if not required and field.default not in (None, False, ()):
            shown = field.default
            text += (
                f" (default: {' '.join(map(str, shown)) if isinstance(shown, tuple) else shown})"
            )
        arguments: dict[str, Any] = {"help": text, "default": argparse.SUPPRESS}
        arguments |= _value_arguments(field, kind)
        if many:
            arguments["nargs"] = "+"
        if field.metadata["positional"]:
            if not required:
                arguments["nargs"] = "*" if many else "?"
            groups[title].add_argument(field.name, **arguments)
            continue
        flags = [flag_of(field.name)]
        if field.metadata["short"]:
            flags.insert(0, field.metadata["short"])
        if kind is bool:
            arguments["action"] = argparse.BooleanOptionalAction
        elif many:  # `--flag a b` and `--flag a --flag b` are the same
            arguments["action"] = "extend"
        groups[title].add_argument(*flags, dest=field.name, **arguments)
        if field.metadata.get("aliases", ()):
            hidden = arguments | {"help": argparse.SUPPRESS}
            names = map(flag_of, field.metadata.get("aliases", ()))
            parser.add_argument(*names, dest=field.name, **hidden)


def _value_arguments(field: dataclasses.Field[Any], kind: Any) -> dict[str, Any]:
    """What argparse has to know of a field's values."""
    if typing.get_origin(kind) is Literal:
        arguments: dict[str, Any] = {"choices": typing.get_args(kind)}
        if older := field.metadata.get("value_aliases"):
            arguments["type"] = lambda text: older.get(text, text)
        return arguments
    if kind is bool:
        return {}
    return {"type": kind, "metavar": field.name.upper() if kind in (str, Path) else "N"}


def build(options: type[T], *layers: dict[str, Any]) -> T:
    """Make an options object; later layers win.

    Args:
        options: The dataclass.
        layers: Values by field name, such as from a file, the environment and the command line.

    Raises:
        UsageError: If a required value is missing or a value is of the wrong type.
    """
    hints = typing.get_type_hints(options)
    fields = {field.name: field for field in dataclasses.fields(options)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            name = field_name(options, key)  # type: ignore[arg-type]
            if name in fields:
                older = fields[name].metadata.get("value_aliases", {})
                values[name] = _convert(name, value, hints[name], older)
    for name, field in fields.items():
        if name not in values and field.default is dataclasses.MISSING:
            what = name if field.metadata["positional"] else flag_of(name)
            msg = f"{what} is required"
            raise UsageError(msg)
    return options(**values)


def environment(command: str, options: type[Any]) -> dict[str, Any]:
    """Values from environment variables such as `PAIRWRIGHT_JUDGE_SCORE_MODEL`."""
    prefix = f"PAIRWRIGHT_{command.upper().replace(' ', '_').replace('-', '_')}_"
    found: dict[str, Any] = {}
    for field in dataclasses.fields(options):
        for name in (*field.metadata.get("aliases", ()), field.name):  # the current name wins
            variable = prefix + name.rstrip("_").upper()
            if variable in os.environ:
                found[field.name] = os.environ[variable]
    return found


def as_config(options: Any) -> dict[str, Any]:
    """An options object as JSON values, for a run's lineage."""
    return {
        k: [str(x) if isinstance(x, Path) else x for x in v]
        if isinstance(v, tuple)
        else str(v)
        if isinstance(v, Path)
        else v
        for k, v in dataclasses.asdict(options).items()
    }


def current_config(options: type[Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run, maybe of an older version, with current names and values."""
    fields = {field.name: field for field in dataclasses.fields(options)}
    names = {old: one.name for one in fields.values() for old in one.metadata.get("aliases", ())}
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = names.get(key, key)
        older = fields[name].metadata.get("value_aliases", {}) if name in fields else {}
        found[name] = older.get(value, value) if isinstance(value, str) else value
    return found


def _element_type(hint: Any) -> tuple[Any, bool]:
    """Type of one value and whether there may be several."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        hint = next(a for a in typing.get_args(hint) if a is not type(None))
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True
    return hint, False


def _convert(name: str, value: Any, hint: Any, older: Mapping[str, str]) -> Any:
    kind, many = _element_type(hint)
    if value is None:
        return None
    if many:
        values = value.split(",") if isinstance(value, str) else value
        if not isinstance(values, list | tuple):
            values = [values]
        return tuple(_one(name, older.get(v, v), kind) for v in values)
    return _one(name, older.get(value, value) if isinstance(value, str) else value, kind)


def _one(name: str, value: Any, kind: Any) -> Any:
    flag = flag_of(name)
    if typing.get_origin(kind) is Literal:
        if value not in typing.get_args(kind):
            msg = (
                f"{flag} must be one of {', '.join(map(str, typing.get_args(kind)))}, got {value!r}"
            )
            raise UsageError(msg)
        return value
    if kind is bool:
        text = str(value).lower()
        if text not in ("true", "false", "1", "0", "yes", "no"):
            msg = f"{flag} must be true or false, got {value!r}"
            raise UsageError(msg)
        return text in ("true", "1", "yes")
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        msg = f"{flag} must be {kind.__name__}, got {value!r}"
        raise UsageError(msg) from error
