"""Options of `curate tag`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pairwright.commands.options import option


@dataclass(frozen=True, slots=True, kw_only=True)
class TagOptions:
    """Options of `curate tag`."""

    rules: Path | None = option(
        None, help="YAML file of rules (default: the built-in rules; --print-rules prints them)"
    )
    show: bool = option(False, help="print each rule with its conditions, counts and examples")
    print_rules: bool = option(
        False, help="print the rules file and stop; copy and change it for --rules"
    )
