"""Options of `curate select`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pairwright.commands.options import option
from pairwright.errors import UsageError

Method = Literal["auto", "facility-location", "k-center", "quality", "random"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectOptions:
    """Options of `curate select`; those without a default may also be set in the plan."""

    n: int | None = option(None, help="number of rows to select")
    fraction: float | None = option(None, help="fraction of the rows to select")
    plan: Path | None = option(
        None, help="YAML file with the sizes or fractions of tasks, sources or other groups"
    )
    balance: Literal["task", "source", "split", "license"] | None = option(
        None,
        help="without a plan: equally many rows of each task (source, ...), as far as available",
        value_aliases={"licence": "license"},
    )
    method: Method | None = option(
        None,
        help="facility-location (rows that represent the others), k-center (no row far from a "
        "selected one), quality (highest scores), random; auto uses what the data allow (default: "
        "auto)",
    )
    quality: float | None = option(
        None, help="weight of the scores against diversity, 0 to 1 (default: 0.3 if there are any)"
    )
    per_image: int | None = option(None, help="max rows with the same images")
    seed: int | None = option(None, help="decides ties and random choices (default: 0)")
    scores: str | None = option(None, help="run of scores (default: the active one)")
    embeddings: str | None = option(None, help="run of embeddings (default: the active one)")
    tags: str | None = option(None, help="run of tags (default: the active one)")
    block: int = option(
        8192, help="facility-location is exact up to this many distinct vectors; with more, vectors "
        "are split into blocks of near ones and compared within blocks; a block takes 4 N^2 bytes"
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        check_values(self, flag=True)
        if self.plan is not None and self.balance is not None:
            msg = "--plan and --balance exclude each other: the plan has `by`"
            raise UsageError(msg)
        if not 16 <= self.block <= 65_536:
            msg = f"--block must be from 16 to 65,536, got {self.block}"
            raise UsageError(msg)


def check_values(options: object, *, flag: bool, where: str = "") -> None:
    """Refuse sizes and weights that make no sense.

    Args:
        options: Has `n`, `fraction`, `per_image` and `quality`.
        flag: Whether the message names a flag or a key of a file.
        where: Prefix of the key.
    """

    def name(field: str) -> str:
        return f"--{field.replace('_', '-')}" if flag else f"{where}{field}"

    n, fraction = getattr(options, "n", None), getattr(options, "fraction", None)
    if n is not None and fraction is not None:
        msg = f"{name('n')} and {name('fraction')} exclude each other"
        raise UsageError(msg)
    for field in ("n", "per_image"):
        value = getattr(options, field, None)
        if value is not None and value < 1:
            msg = f"{name(field)} must be at least 1, got {value}"
            raise UsageError(msg)
    if fraction is not None and not 0 < fraction <= 1:
        msg = f"{name('fraction')} must be above 0 and at most 1, got {fraction:g}"
        raise UsageError(msg)
    quality = getattr(options, "quality", None)
    if quality is not None and not 0 <= quality <= 1:
        msg = f"{name('quality')} must be from 0 to 1, got {quality:g}"
        raise UsageError(msg)
