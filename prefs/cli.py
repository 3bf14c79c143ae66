"""The `prefs` program."""

from __future__ import annotations

import sys

from pairwright import command
from pairwright.command import Command

COMMANDS = (
    Command(
        name="build",
        target="prefs.build:build",
        options="prefs.options:BuildOptions",
        summary="make preference pairs of scored answers, corrections or comparisons",
        examples=(
            "prefs build data/",
            "prefs build data/ --preset best-worst --run best-worst",
            "prefs build data/ --control random",
            "prefs build data/ --method spans",
            "prefs build data/ --method comparisons",
        ),
    ),
)


def main() -> None:
    """Run `prefs`."""
    sys.exit(command.main("prefs", "From answers and scores to preference pairs.", COMMANDS))
