"""Commands: parse, call one function, print what it says.

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

from pairwright.errors import GateError, PairwrightError, UsageError

EXIT_CODES = (
    "exit codes: 0 done, 1 failed, 2 wrong usage, 3 more rows rejected than --max-rejects allows, "
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
        dataset: Whether it takes a dataset as first argument.
    """

    name: str
    target: str
    options: str
    summary: str
    examples: tuple[str, ...]
    dataset: Literal["open", "none"] = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command did.

    Attributes:
        message: One or more lines for people.
        table: `kind/run` that was written, if any.
        rows: Rows in it.
        rejects: Rows that were rejected.
        summary: Figures for machines; printed by `--json`.
        gate_failed: Why a quality gate failed, if one did.
    """

    message: str
    table: str | None = None
    rows: int = 0
    rejects: int = 0
    summary: dict[str, Any] = field(default_factory=dict)
    gate_failed: str | None = None


def load(reference: str) -> Any:
    """Import `module:name`."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def main(
    program: str, summary: str, commands: Sequence[Command], argv: Sequence[str] | None = None
) -> int:
    """Run a program and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    by_name = {command.name: command for command in commands}
    if not words or words[0] in ("-h", "--help"):
        sys.stdout.write(overview(program, summary, commands))
        return 0 if words else 2
    if words[0] == "--version":
        import importlib.metadata

        sys.stdout.write(f"pairwright {importlib.metadata.version('pairwright')}\n")
        return 0
    command = by_name.get(words[0])
    if command is None:
        import difflib

        near = difflib.get_close_matches(words[0], by_name, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        sys.stderr.write(f"{program}: no command {words[0]!r}{hint} (see {program} --help)\n")
        return 2
    return run_command(program, command, words[1:])


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
    lines += ["", f"{program} COMMAND --help tells a command's options.", EXIT_CODES]
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
    add_arguments(common, RunOptions)  # type: ignore[arg-type]
    common.add_argument("--config", type=Path, metavar="FILE", help="options from a YAML file")
    common.add_argument(
        "--print-config", action="store_true", help="print the resolved options and stop"
    )
    common.add_argument("--json", action="store_true", help="one JSON object on stdout")
    common.add_argument("--quiet", action="store_true", help="no progress on stderr")
    return parser


def run_command(program: str, command: Command, words: Sequence[str]) -> int:
    """Parse a command's arguments, call its target, print the outcome."""
    # A library may call sys.exit or print; argparse exits with 2 on wrong usage by itself.
    from pairwright.commands.progress import Progress

    try:
        parsed = make_parser(program, command).parse_args(list(words))
    except SystemExit as stop:
        return int(stop.code or 0)
    except PairwrightError as error:  # a part of another package that cannot be used
        return _fail("--json" in words, str(error), error.exit_code)
    as_json = bool(parsed.json)
    Progress.quiet = bool(parsed.quiet)
    signal.signal(signal.SIGTERM, _on_terminate)
    try:
        options, run = _resolve(program, command, parsed)
        if parsed.print_config:
            import yaml

            from pairwright.commands.options import as_config

            shown = {**as_config(options), **as_config(run)}
            sys.stdout.write(yaml.safe_dump(shown, sort_keys=False))
            return 0
        arguments: tuple[Any, ...] = (options, run)
        if command.dataset == "open":
            from pairwright.dataset.store import Dataset

            arguments = (Dataset.find(parsed.dataset), options, run)
        outcome: Outcome = load(command.target)(*arguments)
    except KeyboardInterrupt:
        return _fail(as_json, "interrupted; the same command again resumes", 130)
    except PairwrightError as error:
        return _fail(as_json, str(error), error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (`| head`); nothing to tell it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return _finish(as_json, outcome, run.max_rejects)


def _on_terminate(*_: object) -> None:
    # Like Ctrl-C: blocks are left, servers stopped, what is durable stays.
    raise KeyboardInterrupt


def _resolve(program: str, command: Command, parsed: argparse.Namespace) -> tuple[Any, Any]:
    from pairwright.commands.options import RunOptions, build, environment, field_name
    from pairwright.commands.userconfig import read_yaml, user_config

    options = load(command.options)
    name = f"{program} {command.name}"
    typed = {k: v for k, v in vars(parsed).items() if k != "dataset"}
    layers = [user_config().defaults.get(name, {}), environment(name, options)]
    if parsed.config is not None:
        layers.append({k.replace("-", "_"): v for k, v in read_yaml(parsed.config).items()})
    known = {f.name for kind in (options, RunOptions) for f in dataclasses.fields(kind)}
    for layer in layers:
        unknown = sorted(k for k in layer if field_name(options, k) not in known)
        if unknown:
            msg = f"{name} has no option {unknown[0]!r} (given by a configuration file)"
            raise UsageError(msg)
    return build(options, *layers, typed), build(RunOptions, *layers, typed)


def _finish(as_json: bool, outcome: Outcome, max_rejects: float) -> int:
    code, notes = 0, []
    total = outcome.rows + outcome.rejects
    if outcome.gate_failed:
        code = GateError.exit_code
        notes.append(f"gate failed: {outcome.gate_failed}")
    elif total and outcome.rejects / total > max_rejects:
        code = 3
        share = 100 * outcome.rejects / total
        notes.append(
            f"{outcome.rejects:,} of {total:,} rows ({share:.1f} %) were rejected, more than "
            f"--max-rejects {max_rejects:g} allows; see `pairwright show` on the rejects table"
        )
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
    for note in notes:
        sys.stderr.write(note + "\n")
    return code


def _fail(as_json: bool, text: str, code: int) -> int:
    if as_json:
        shown = {"ok": False, "exit_code": code, "error": text}
        sys.stdout.write(json.dumps(shown, ensure_ascii=False) + "\n")
    sys.stderr.write(f"error: {text}\n")
    return code
