"""Commands: parse, call one function, print its message.

A program (`curate`, `judge`, ...) is a list of `Command`s. The target and its options are imported
when the command runs, so `--help` stays fast.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pairwright.errors import (
    Error,
    FinishedError,
    GateError,
    NameTakenError,
    TooManyRejectsError,
    UsageError,
)
from pairwright.names import foreign

EXIT_CODES = (
    "exit codes: 0 done, 1 failed, 2 wrong usage, 3 more invalid rows than --max-rejects allows, "
    "4 a quality gate failed, 130 interrupted"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One subcommand.

    Attributes:
        name: As typed.
        target: `module:function`, called as `function(dataset, options, run)`; without a dataset
            as `function(options, run)`. Returns an `Outcome`.
        options: `module:Dataclass` of its options.
        summary: One line for the overview.
        examples: Command lines that work as they stand; tests run or parse them.
        dataset: Whether it takes a dataset as first argument, or makes the one that its option
            `output` names.
        has_run: Whether it makes a run, or does work that `RunOptions` shape; else it has none of
            their flags.
    """

    name: str
    target: str
    options: str
    summary: str
    examples: tuple[str, ...]
    dataset: Literal["open", "output", "none"] = "open"
    has_run: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command did.

    Attributes:
        message: One or more lines of text.
        table: `kind/run` that was written, if any.
        rows: Rows in it.
        rejects: Number of invalid rows.
        summary: Metrics as JSON values; printed by `--json`.
        gate_failed: Why a quality gate failed, if one did.
    """

    message: str
    table: str | None = None
    rows: int = 0
    rejects: int = 0
    summary: dict[str, Any] = field(default_factory=dict)
    gate_failed: str | None = None


def load(reference: str) -> Any:
    """Import `module:name`.

    Raises:
        NameTakenError: If another project's module is imported under the package's name.
    """
    module, _, name = reference.partition(":")
    package = module.partition(".")[0]
    if found := foreign(package):
        raise NameTakenError(package, found)
    return getattr(importlib.import_module(module), name)


def main(
    program: str,
    summary: str,
    commands: Sequence[Command],
    argv: Sequence[str] | None = None,
    *,
    shown: str | None = None,
    below: Sequence[str] = (),
) -> int:
    """Run a program and return its exit code.

    Args:
        program: Its name; configuration files and the environment go by it.
        summary: One line for the overview.
        commands: What it can do.
        argv: Arguments; those of this process if not given.
        shown: What the user typed for the program, if not its name.
        below: Programs that it runs under their names; tab completion knows their commands too.
    """
    shown = shown or program
    words = list(sys.argv[1:] if argv is None else argv)
    by_name = {command.name: command for command in commands}
    if not words or words[0] in ("-h", "--help"):
        sys.stdout.write(overview(shown, summary, commands))
        return 0 if words else 2
    if words[0] == "--version":
        import importlib.metadata

        sys.stdout.write(f"pairwright {importlib.metadata.version('pairwright')}\n")
        return 0
    if words[0] == "--print-completion":
        return _print_completion(program, commands, below, words[1:])
    command = by_name.get(words[0])
    if command is None:
        import difflib

        near = difflib.get_close_matches(words[0], by_name, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        sys.stderr.write(f"{shown}: no command {words[0]!r}{hint} (see {shown} --help)\n")
        return 2
    return run_command(program, command, words[1:], shown=shown)


def _print_completion(
    program: str, commands: Sequence[Command], below: Sequence[str], words: Sequence[str]
) -> int:
    from pairwright.commands.completion import completion

    own = {command.name: make_parser(program, command) for command in commands}
    others = {
        name: {one.name: make_parser(name, one) for one in load(f"{name}.cli:COMMANDS")}
        for name in below
    }
    try:
        sys.stdout.write(completion(program, {**own, **others}, words[0] if words else "bash"))
    except Error as error:
        return _fail(as_json=False, text=str(error), code=error.exit_code)
    return 0


def call(name: str, *dataset: Any, run: Any = None, **values: Any) -> Outcome:
    """Call a command's function by its name, as a program of ours would.

    Args:
        name: Such as `curate dedup`.
        dataset: The dataset, if the command takes one.
        run: `RunOptions`; the defaults if not given.
        values: Its options by field name; what is left out has its default.
    """
    from pairwright.commands.options import RunOptions, build

    program, _, step = name.partition(" ")
    found = {c.name: c for c in load(f"{program}.cli:COMMANDS")}[step]
    outcome: Outcome = load(found.target)(
        *dataset, build(load(found.options), values), run or RunOptions()
    )
    return outcome


def overview(program: str, summary: str, commands: Sequence[Command]) -> str:
    """Text of `program --help`."""
    width = max(len(command.name) for command in commands)
    lines = [f"usage: {program} COMMAND [DATASET] [options]", "", summary, "", "commands:"]
    lines += [f"  {command.name:<{width}}  {command.summary}" for command in commands]
    lines += ["", "examples:"]
    lines += [f"  {command.examples[0]}" for command in commands if command.examples]
    lines += ["", f"{program} COMMAND --help lists the options of a command."]
    lines += [
        f"{program} --print-completion bash (or zsh, tcsh) prints a script for tab completion."
    ]
    lines += [EXIT_CODES]
    return "\n".join(lines) + "\n"


def make_parser(program: str, command: Command) -> argparse.ArgumentParser:
    """The parser of one command."""
    from pairwright.commands.options import RunOptions, add_arguments

    parser = argparse.ArgumentParser(
        prog=f"{program} {command.name}",
        description=command.summary,
        epilog="examples:\n" + "\n".join(f"  {e}" for e in command.examples) + f"\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if command.dataset == "open":
        parser.add_argument(
            "dataset",
            nargs="?",
            default=None,
            help="dataset folder (default: $PAIRWRIGHT_DATA, the dataset around the working "
            "directory, or ./data)",
        )
    add_arguments(parser, load(command.options))
    common = parser.add_argument_group("common options")
    if command.has_run:
        add_arguments(common, RunOptions)  # type: ignore[arg-type]
    common.add_argument("--config", type=Path, metavar="FILE", help="options from a YAML file")
    common.add_argument(
        "--print-config", action="store_true", help="print the resolved options and stop"
    )
    common.add_argument("--json", action="store_true", help="one JSON object on stdout")
    common.add_argument("--quiet", action="store_true", help="no progress on stderr")
    return parser


def run_command(
    program: str, command: Command, words: Sequence[str], *, shown: str | None = None
) -> int:
    """Parse a command's arguments, call its target, print the outcome."""
    # A library may call sys.exit or print; argparse exits with 2 on wrong usage by itself.
    from pairwright.commands.progress import quiet_progress

    try:
        parsed = make_parser(shown or program, command).parse_args(list(words))
    except SystemExit as stop:
        return int(stop.code or 0)
    except Error as error:  # a part that another package adds cannot be loaded
        return _fail("--json" in words, str(error), error.exit_code)
    signal.signal(signal.SIGTERM, _on_terminate)
    with quiet_progress(quiet=parsed.quiet):
        return _run_parsed(program, command, parsed)


def _run_parsed(program: str, command: Command, parsed: argparse.Namespace) -> int:
    as_json = bool(parsed.json)
    try:
        typed = {name: value for name, value in vars(parsed).items() if name != "dataset"}
        options, run = resolve(program, command, typed, parsed.config)
        if parsed.print_config:
            return _print_config(options, run)
        arguments: tuple[Any, ...] = (options, run)
        if command.dataset == "open":
            from pairwright.dataset.store import Dataset

            arguments = (Dataset.find(parsed.dataset), options, run)
        outcome: Outcome = load(command.target)(*arguments)
    except KeyboardInterrupt:
        return _fail(as_json, "interrupted; the same command again resumes", 130)
    except Error as error:
        return _fail(as_json, str(error), error.exit_code)
    except BrokenPipeError:
        # Whoever read our output ended (`| head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return _finish(as_json, outcome, run.max_rejects)


def _print_config(*options: Any) -> int:
    import yaml

    from pairwright.commands.options import as_config

    config = {name: value for one in options for name, value in as_config(one).items()}
    sys.stdout.write(yaml.safe_dump(config, sort_keys=False))
    return 0


def _on_terminate(*_: object) -> None:
    # Like Ctrl-C: blocks end, servers stop, what is durable is kept.
    raise KeyboardInterrupt


def resolve(
    program: str, command: Command, given: dict[str, Any], config: Path | None = None
) -> tuple[Any, Any]:
    """Options of a call and of its run: what was given beats a file, the environment, the user's.

    Args:
        program: Its name.
        command: The command.
        given: Values by field name.
        config: A YAML file with more of them.

    Raises:
        UsageError: If an option is unknown, missing or wrong.
    """
    from pairwright.commands.options import RunOptions, build, environment, field_name
    from pairwright.commands.userconfig import read_yaml, user_config

    options = load(command.options)
    name = f"{program} {command.name}"
    layers = [user_config().defaults.get(name, {}), environment(name, options)]
    if config is not None:
        layers.append({k.replace("-", "_"): v for k, v in read_yaml(config).items()})
    known = {f.name for kind in (options, RunOptions) for f in dataclasses.fields(kind)}
    for layer in layers:
        unknown = sorted(k for k in layer if field_name(options, k) not in known)
        if unknown:
            msg = f"{name} has no option {unknown[0]!r} (given by a configuration file)"
            raise UsageError(msg)
    return build(options, *layers, given), build(RunOptions, *layers, given)


def failing(outcome: Outcome, max_rejects: float) -> FinishedError | None:
    """Why a finished command counts as failed, if it does."""
    if outcome.gate_failed:
        return GateError(f"gate failed: {outcome.gate_failed}")
    total = outcome.rows + outcome.rejects
    if not total or outcome.rejects / total <= max_rejects:
        return None
    percent = 100 * outcome.rejects / total
    return TooManyRejectsError(
        f"{outcome.rejects:,} of {total:,} rows ({percent:.1f} %) are invalid, more than "
        f"--max-rejects {max_rejects:g} allows; see `pairwright show` on the rejects table"
    )


def _finish(as_json: bool, outcome: Outcome, max_rejects: float) -> int:
    failure = failing(outcome, max_rejects)
    code = failure.exit_code if failure else 0
    if as_json:
        shown = {
            "ok": code == 0,
            "exit_code": code,
            "table": outcome.table,
            "rows": outcome.rows,
            "rejects": outcome.rejects,
            **outcome.summary,
        }
        sys.stdout.write(json.dumps(shown, ensure_ascii=False, default=str) + "\n")
    else:
        sys.stdout.write(outcome.message.rstrip() + "\n")
    sys.stdout.flush()
    if failure:
        sys.stderr.write(f"{failure}\n")
    return code


def _fail(as_json: bool, text: str, code: int) -> int:
    if as_json:
        shown = {"ok": False, "exit_code": code, "error": text}
        sys.stdout.write(json.dumps(shown, ensure_ascii=False) + "\n")
    sys.stderr.write(f"error: {text}\n")
    return code
