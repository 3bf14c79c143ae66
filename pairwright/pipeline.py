"""`pairwright run`: the steps of a YAML file, one command after another.

    dataset: data
    steps:
      - curate ingest: {source: raw/train.json, output: data}
      - curate dedup: {threshold: 0.7}
      - judge score: {model: Qwen2-VL-7B}
      - prefs build
      - train dpo: {beta: 0.1}

Each step is a command line in other clothes: it resumes, and a finished one does nothing, so the
same file run again continues where it stopped.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pairwright.commands.command import Command, Outcome, load, make_parser
from pairwright.commands.options import RunOptions, option
from pairwright.commands.progress import say
from pairwright.commands.userconfig import read_yaml
from pairwright.errors import Error, UsageError

PROGRAMS = ("curate", "judge", "prefs", "train")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """Options of `pairwright run`."""

    file: Path = option(help="pipeline file (YAML)", positional=True)


def run_pipeline(options: PipelineOptions, run: RunOptions) -> Outcome:
    """Check all steps of a pipeline file, then run them in order.

    Raises:
        UsageError: If the file, a command or an option of it is wrong: nothing has run then.
        Error: If a step fails; the steps before it remain done.
    """
    commands = plan(options.file)
    lines = [shlex.join(words) for words in commands]
    if run.dry_run:
        return Outcome(message="\n".join(lines), summary={"steps": lines})
    for number, words in enumerate(commands, start=1):
        say(f"[{number}/{len(commands)}] {lines[number - 1]}")
        code = run_step(words)
        if code:
            msg = f"{options.file}: step {number} ({lines[number - 1]}) ended with exit code {code}; fix it and run the file again"
            raise Error(msg)
    return Outcome(message=f"{len(commands)} steps done", summary={"steps": lines})


def run_step(words: list[str]) -> int:
    """Run one command line in a process of its own: heavy libraries need one."""
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pairwright", *words], check=False, env=environment
    ).returncode


def plan(file: Path) -> list[list[str]]:
    """Command lines of a pipeline file, checked by the commands' own parsers."""
    raw = read_yaml(file)
    unknown = sorted(set(raw) - {"dataset", "steps"})
    if unknown or not isinstance(raw.get("steps"), list) or not raw["steps"]:
        problem = f"unknown key {unknown[0]!r}" if unknown else "needs a list `steps`"
        msg = f"{file}: {problem}; a pipeline has the keys dataset and steps"
        raise UsageError(msg)
    return [
        _command_line(file, number, step, raw.get("dataset"))
        for number, step in enumerate(raw["steps"], start=1)
    ]


def _command_line(file: Path, number: int, step: Any, dataset: str | None) -> list[str]:
    name, values = (step, {}) if isinstance(step, str) else next(iter(step.items()))
    values = values or {}
    program, _, command_name = str(name).partition(" ")
    where = f"{file}: step {number} ({name})"
    if program not in PROGRAMS or not isinstance(values, dict):
        msg = f"{where}: a step is `program command: {{option: value}}` with one of {', '.join(PROGRAMS)}"
        raise UsageError(msg)
    found = {c.name: c for c in load(f"{program}.cli:COMMANDS")}
    command: Command | None = found.get(command_name)
    if command is None:
        msg = f"{where}: {program} has no command {command_name!r}; it has {', '.join(found)}"
        raise UsageError(msg)
    words = [program, command_name]
    if command.dataset == "open" and dataset is not None:
        words.append(str(dataset))
    positional, flags = _arguments(command, values)
    words += positional + flags
    try:
        make_parser(program, command).parse_args(words[2:])
    except SystemExit as stop:
        msg = f"{where}: its options are wrong, see the line above"
        raise UsageError(msg) from stop
    return words


def _arguments(command: Command, values: dict[str, Any]) -> tuple[list[str], list[str]]:
    import dataclasses

    fields = {f.name: f for f in dataclasses.fields(load(command.options))}
    positional, flags = [], []
    for key, value in values.items():
        field = fields.get(key.replace("-", "_"))
        items = [str(v) for v in value] if isinstance(value, list) else [str(value)]
        if field is not None and field.metadata["positional"]:
            positional += items
        elif isinstance(value, bool):
            flags.append(f"--{'' if value else 'no-'}{key.replace('_', '-')}")
        else:
            flags += [f"--{key.replace('_', '-')}", *items]
    return positional, flags
