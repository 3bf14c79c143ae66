"""Commands as functions: `pw.curate.dedup(data, threshold=0.8)`."""

from __future__ import annotations

import dataclasses
import inspect
import os
import textwrap
import warnings
from collections.abc import Callable
from typing import Any

from pairwright.api.data import Dataset
from pairwright.api.result import Result
from pairwright.api.values import (
    PathLike,
    bound,
    checked,
    in_python,
    parameters,
    python_words,
)
from pairwright.commands.command import Command, Outcome, failing, load, resolve
from pairwright.commands.notebook import is_notebook
from pairwright.commands.options import RunOptions
from pairwright.dataset.manifest import called_as
from pairwright.errors import UsageError

_DATASET = inspect.Parameter(
    "dataset", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Dataset | PathLike
)


def function_of(program: str, command: Command) -> Callable[..., Result]:
    """A command as a function with a signature and a docstring of its own."""
    name = f"{program}.{command.name}"
    signature = signature_of(command)

    def function(*args: Any, **options: Any) -> Result:
        return _call(program, command, signature, args, options)

    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__name__, function.__qualname__ = command.name, name
    function.__module__ = "pairwright"
    function.__doc__ = doc_of(command)
    return function


def signature_of(command: Command) -> inspect.Signature:
    """The dataset, what stands without a flag, and the options by keyword."""
    without = {"output"} if command.dataset == "output" else set()
    if not command.has_run:
        without |= {field.name for field in dataclasses.fields(RunOptions)}
    found = parameters(load(command.options), without=without)
    first = [] if command.dataset == "none" else [_DATASET]
    return inspect.Signature([*first, *found], return_annotation=Result)


def doc_of(command: Command) -> str:
    """Docstring of a command's function, from the help of its options."""
    options = load(command.options)
    lines = [f"{command.summary[0].upper()}{command.summary[1:]}.", ""]
    lines += [f"On the command line: `{command.examples[0]}`.", "", "Args:"]
    if command.dataset != "none":
        made = ", made if it is new" if command.dataset == "output" else ""
        lines.append(f"    dataset: The dataset, or its folder{made}.")
    for kind in (options, RunOptions) if command.has_run else (options,):
        for field in dataclasses.fields(kind):
            if command.dataset == "output" and field.name == "output":
                continue
            text = f"{field.name}: {in_python(field.metadata['help'], options)}."
            lines += textwrap.wrap(
                text, 90, initial_indent=" " * 4, subsequent_indent=" " * 8,
                break_on_hyphens=False, break_long_words=False,
            )  # fmt: skip
    lines += ["", "Returns:", "    What was done; `.scan()` reads the table that was written.", ""]
    lines += ["Raises:", "    Error: If it cannot be done; `UsageError` for a wrong option."]
    return "\n".join(lines)


def _call(
    program: str,
    command: Command,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    given: dict[str, Any],
) -> Result:
    if is_notebook():  # our bars need no widgets; that tqdm finds none is no concern of the user's
        warnings.filterwarnings("ignore", message="IProgress not found")
    name = f"pw.{program}.{command.name}"
    dataset, values = _bound(name, signature, args, given)
    options_class = load(command.options)
    with python_words(options_class):
        values = checked(options_class, values)
        text = _as_written(name, dataset, values)
        if command.dataset == "output":
            values["output"] = _folder(dataset)
        options, run = resolve(program, command, values)
        opened = Dataset(dataset) if command.dataset == "open" else None
        arguments = (options, run) if opened is None else (opened.store, options, run)
        token = called_as.set(text)
        try:
            outcome: Outcome = load(command.target)(*arguments)
        finally:
            called_as.reset(token)
        if command.dataset == "output" and not run.dry_run:
            opened = Dataset(values["output"])
        message = in_python(outcome.message.rstrip(), options_class)
        result = Result(f"{program} {command.name}", outcome, opened, run.run, message)
        failure = failing(outcome, run.max_rejects)
        if failure is not None:
            failure.result = result
            raise failure
    return result


def _bound(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], given: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The dataset, and the options by name.

    Raises:
        UsageError: If an option is unknown, or something is missing or given twice.
    """
    values = bound(name, signature, args, given)
    if "dataset" in signature.parameters and values.get("dataset") is None:
        msg = f"{name}: give the dataset first: pw.open(...), or its folder"
        raise UsageError(msg)
    return values.pop("dataset", None), values


def _folder(dataset: Any) -> str:
    if not isinstance(dataset, str | os.PathLike):
        msg = f"dataset must be pw.open(...) or a folder, got {type(dataset).__name__}"
        raise UsageError(msg)
    return os.fspath(dataset)


def _as_written(name: str, dataset: Any, values: dict[str, Any]) -> str:
    """The call, for lineage."""
    words = [] if dataset is None else [repr(_folder(dataset))]
    words += [f"{option}={value!r}" for option, value in values.items()]
    return f"{name}({', '.join(words)})"
