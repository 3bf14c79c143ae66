"""The programs that are installed: each imports pairwright first, so that our packages are found."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pairwright.commands import command

STEPS = ("curate", "judge", "prefs", "train")


def curate() -> None:
    """Run `curate`."""
    sys.exit(run("curate"))


def judge() -> None:
    """Run `judge`."""
    sys.exit(run("judge"))


def prefs() -> None:
    """Run `prefs`."""
    sys.exit(run("prefs"))


def train() -> None:
    """Run `train`."""
    sys.exit(run("train"))


def pairwright() -> None:
    """Run `pairwright`; `pairwright curate ...` is `curate ...`, and so are the other three."""
    words = sys.argv[1:]
    if words and words[0] in STEPS:
        sys.exit(run(words[0], words[1:], shown=f"pairwright {words[0]}"))
    sys.exit(run("pairwright"))


def run(program: str, words: Sequence[str] | None = None, *, shown: str | None = None) -> int:
    """Run a program and return its exit code.

    Args:
        program: Its name.
        words: Arguments; those of this process if not given.
        shown: What the user typed for the program, for usage lines.
    """
    summary, commands = (command.load(f"{program}.cli:{n}") for n in ("SUMMARY", "COMMANDS"))
    below = STEPS if program == "pairwright" else ()
    return command.main(program, summary, commands, words, shown=shown, below=below)
