"""Options as keywords of a function: their types, the check of values, and words for Python users."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import inspect
import numbers
import os
import re
import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from pairwright.commands.options import RunOptions, flag_of
from pairwright.commands.progress import said
from pairwright.errors import Error, UsageError

PathLike = str | os.PathLike[str]
_FLAG = re.compile(
    r"(?<![\w-])--(?P<flag>[a-z][a-z0-9]*(?:-[a-z0-9]+)*)(?P<rest>(?: (?P<value>[\w.-]*\w))?)"
)

_EXIT = re.compile(r"exit code ([34])")
_EXIT_ERRORS = {"3": "TooManyRejectsError", "4": "GateError"}


def parameters(options: type[Any], *, without: Collection[str] = ()) -> list[inspect.Parameter]:
    """The options of a command and of its run as parameters of a function.

    Args:
        options: The command's dataclass.
        without: Fields that the function fills in itself.
    """
    positional: list[inspect.Parameter] = []
    keywords: list[inspect.Parameter] = []
    for kind in (options, RunOptions):
        hints = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            if field.name in without:
                continue
            is_positional = field.metadata["positional"]
            found = inspect.Parameter(
                field.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD
                if is_positional
                else inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty
                if field.default is dataclasses.MISSING
                else field.default,
                annotation=annotation(hints[field.name], loose=is_positional),
            )
            (positional if is_positional else keywords).append(found)
    return positional + keywords


def annotation(hint: Any, *, loose: bool = False) -> Any:
    """The type that a function takes for an option.

    Args:
        hint: The field's type.
        loose: Whether a text may also be given as a path object.
    """
    members = [kind for kind in _members(hint) if kind is not types.NoneType]
    out: Any = None
    for kind in members:
        if typing.get_origin(kind) is tuple:
            element: Any = annotation(typing.get_args(kind)[0])
            several: Any = Sequence
            found: Any = element | several[element]
        elif (isinstance(kind, type) and issubclass(kind, os.PathLike)) or (kind is str and loose):
            found = PathLike
        else:
            found = kind
        out = found if out is None else out | found
    return out | None if types.NoneType in _members(hint) else out


def checked(options: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    """Values by field name, of the types that the fields have.

    The command line makes any text a number or refuses it; from Python a wrong type is a mistake,
    so `limit=2.5` or `model=None` is refused instead of bent.

    Raises:
        UsageError: If one is of another type.
    """
    hints = {**typing.get_type_hints(RunOptions), **typing.get_type_hints(options)}
    return {name: _checked(name, value, hints[name]) for name, value in values.items()}


def _checked(name: str, value: Any, hint: Any) -> Any:
    members = _members(hint)
    if value is None:
        if types.NoneType in members:
            return None
        raise _wrong(name, _words(hint), value)
    kind = next(one for one in members if one is not types.NoneType)
    if typing.get_origin(kind) is tuple:
        element = typing.get_args(kind)[0]
        if isinstance(value, str | os.PathLike) or not isinstance(value, Iterable):
            value = (value,)
        return tuple(_one(name, one, element, hint) for one in value)
    return _one(name, value, kind, hint)


def _one(name: str, value: Any, kind: Any, hint: Any) -> Any:
    if typing.get_origin(kind) is Literal:
        if value in typing.get_args(kind):
            return value
    elif kind is bool:
        if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
            return bool(value)
    elif kind is int:
        if isinstance(value, numbers.Integral) and not isinstance(value, bool):
            return int(value)
    elif kind is float:
        if isinstance(value, numbers.Real) and not isinstance(value, bool):
            return float(value)
    elif isinstance(value, str | os.PathLike):
        return os.fspath(value)
    raise _wrong(name, _words(hint), value)


def _wrong(name: str, wanted: str, value: Any) -> UsageError:
    shown = repr(value)
    return UsageError(f"{name} must be {wanted}, got {shown if len(shown) < 80 else type(value)}")


def _words(hint: Any) -> str:
    """A type in words."""
    words = []
    for kind in _members(hint):
        if typing.get_origin(kind) is Literal:
            words.append("one of " + ", ".join(map(repr, typing.get_args(kind))))
        elif typing.get_origin(kind) is tuple:
            words.append(f"a list of which each is {_words(typing.get_args(kind)[0])}")
        else:
            words.append(
                {bool: "True or False", int: "a whole number", float: "a number", str: "a text",
                 types.NoneType: "None"}.get(kind, "a path")
            )  # fmt: skip
    return " or ".join(words)


def _members(hint: Any) -> tuple[Any, ...]:
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return typing.get_args(hint) if is_union else (hint,)


def bound(
    name: str,
    signature: inspect.Signature,
    args: Sequence[Any],
    given: Mapping[str, Any],
    *,
    partial: bool = True,
) -> dict[str, Any]:
    """The arguments of a call by name.

    Args:
        name: The function, for messages.
        signature: What it takes.
        args: What was given by position.
        given: What was given by keyword.
        partial: Whether arguments that are required may be missing.

    Raises:
        UsageError: If an option is unknown, or something is missing or given twice.
    """
    for option in given:
        if option not in signature.parameters:
            msg = f"{name}: {unknown(option, signature.parameters)}"
            raise UsageError(msg)
    try:
        bind = signature.bind_partial if partial else signature.bind
        return bind(*args, **given).arguments
    except TypeError as error:
        msg = f"{name}: {error}; give options by keyword"
        raise UsageError(msg) from error


@contextlib.contextmanager
def python_words(options: type[Any]) -> Iterator[None]:
    """Errors and lines that speak of flags speak of keywords."""
    token = said.set(lambda text: in_python(text, options))
    try:
        yield
    except Error as error:
        if len(error.args) == 1 and isinstance(error.args[0], str):
            error.args = (in_python(error.args[0], options),)
        raise
    finally:
        said.reset(token)


def unknown(name: str, known: Iterable[str], what: str = "option") -> str:
    """What to say of a name that is not there."""
    known = list(known)
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"no {what} {name!r}; {hint}"


def in_python(text: str, options: type[Any] | None = None) -> str:
    """A text about the command line's flags in the words of a Python user.

    Args:
        text: Such as `--image-match clip needs --no-link`; what is in backquotes stays.
        options: The command's dataclass; flags of others stay.

    Returns:
        Such as `image_match='clip' needs link=False`.
    """
    hints: dict[str, Any] = dict(typing.get_type_hints(RunOptions))
    if options is not None:
        hints |= typing.get_type_hints(options)

    def keyword(match: re.Match[str]) -> str:
        name = next((n for n in _names(match["flag"]) if n in hints), None)
        if name is None:
            negated = match["flag"].removeprefix("no-").replace("-", "_")
            return f"{negated}=False{match['rest']}" if negated in hints else match[0]
        kind, value = hints[name], match["value"]
        if kind is bool:
            return f"{name}=True{match['rest']}"
        if value is None:
            return name
        choices = [one for k in _members(kind) for one in typing.get_args(k)]
        is_value = value.isupper() or value[0].isdigit() or value in choices
        return f"{name}={value!r}" if value in choices else f"{name}{'= '[not is_value]}{value}"

    def translated(piece: str) -> str:
        for short, name in shorts.items():
            piece = re.sub(rf"(?<![\w-]){short}(?![\w-])", flag_of(name), piece)
        return _EXIT.sub(lambda match: _EXIT_ERRORS[match[1]], _FLAG.sub(keyword, piece))

    fields = [] if options is None else dataclasses.fields(options)
    shorts = {one.metadata["short"]: one.name for one in fields if one.metadata.get("short")}
    pieces = text.split("`")
    pieces[::2] = [translated(piece) for piece in pieces[::2]]
    return "`".join(pieces)


def _names(flag: str) -> tuple[str, str]:
    name = flag.replace("-", "_")
    return name, f"{name}_"
