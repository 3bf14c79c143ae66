"""Tab completion of the programs, written by shtab for bash, zsh and tcsh."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from pairwright.errors import UsageError

SHELLS = ("bash", "zsh", "tcsh")


def completion(program: str, commands: Mapping[str, argparse.ArgumentParser], shell: str) -> str:
    """The script that a shell sources to complete a program's commands, options and files.

    Args:
        program: Its name.
        commands: The parser of each command, by name.
        shell: `bash`, `zsh` or `tcsh`.

    Raises:
        UsageError: If the shell is another one.
    """
    if shell not in SHELLS:
        msg = f"--print-completion {shell}: the shells are {', '.join(SHELLS)}"
        raise UsageError(msg)
    import shtab

    return str(shtab.complete(_parser(program, commands), shell=shell))


def _parser(
    program: str, commands: Mapping[str, argparse.ArgumentParser]
) -> argparse.ArgumentParser:
    """All commands of a program in one parser; elsewhere only the one that runs is built."""
    import shtab

    whole = argparse.ArgumentParser(prog=program, add_help=True)
    below = whole.add_subparsers()
    for name, one in commands.items():
        for action in one._actions:  # argparse keeps no public list of them
            if action.dest == "dataset" or action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        below.add_parser(name, parents=[one], add_help=False, help=one.description)
    return whole
