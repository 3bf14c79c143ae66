"""Tab completion of the programs, written by shtab for bash, zsh and tcsh."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from pairwright.errors import UsageError

SHELLS = ("bash", "zsh", "tcsh")


Commands = Mapping[str, argparse.ArgumentParser | Mapping[str, argparse.ArgumentParser]]


def completion(program: str, commands: Commands, shell: str) -> str:
    """The script that a shell sources to complete a program's commands, options and files.

    Args:
        program: Its name.
        commands: The parser of each command, by name; for a program below, its commands.
        shell: `bash`, `zsh` or `tcsh`.

    Raises:
        UsageError: If the shell is another one.
    """
    if shell not in SHELLS:
        msg = f"--print-completion {shell}: the shells are {', '.join(SHELLS)}"
        raise UsageError(msg)
    import shtab

    # All commands in one parser; elsewhere only the one that runs is built.
    whole = argparse.ArgumentParser(prog=program, add_help=True)
    _add(whole, commands)
    return str(shtab.complete(whole, shell=shell))


def _add(parser: argparse.ArgumentParser, commands: Commands) -> None:
    """Add commands, and the commands of programs below."""
    import shtab

    below = parser.add_subparsers()
    for name, one in commands.items():
        if isinstance(one, Mapping):
            _add(below.add_parser(name, help=f"the program {name}"), one)
            continue
        for action in one._actions:  # argparse keeps no public list of them
            if action.dest == "dataset" or action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        below.add_parser(name, parents=[one], add_help=False, help=one.description)
