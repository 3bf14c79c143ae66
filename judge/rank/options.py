"""Options of `judge rank`."""

from __future__ import annotations

from dataclasses import dataclass

from pairwright.commands.options import option
from pairwright.errors import UsageError
from pairwright.vlm.options import ModelOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class RankOptions(ModelOptions):
    """Options of `judge rank`."""

    responses: str | None = option(None, help="run of responses (default: the one in force)")
    rubric: str | None = option(
        None, help="YAML file of yours that asks instead of the shipped prompt"
    )
    criteria: tuple[str, ...] = option(
        (), help='what answers are ranked by, one ranking each: "name: description"'
    )
    orders: int | None = option(
        None,
        help="orders in which the answers are shown (default: as many as answers, so that each "
        "stands once in every place)",
    )
    group: int = option(8, help="most answers in one prompt; more are ranked in groups")
    rounds: int = option(3, help="how often more answers than --group are dealt into groups anew")
    seed: int = option(0, help="of the draws of groups and orders")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        ModelOptions.__post_init__(self)
        if self.orders is not None and self.orders < 1:
            msg = f"--orders must be at least 1, got {self.orders}"
            raise UsageError(msg)
        if not 2 <= self.group <= 26:
            msg = f"--group is from 2 to 26, one letter an answer, got {self.group}"
            raise UsageError(msg)
        if self.rounds < 1:
            msg = f"--rounds must be at least 1, got {self.rounds}"
            raise UsageError(msg)
