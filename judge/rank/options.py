"""Options of `judge rank`."""

from __future__ import annotations

from dataclasses import dataclass

from pairwright.commands.options import option
from pairwright.errors import UsageError
from pairwright.vlm.options import ModelOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class RankOptions(ModelOptions):
    """Options of `judge rank`."""

    responses: str | None = option(None, help="run of responses (default: the active one)")
    rubric: str | None = option(None, help="your YAML file instead of the prompt that is shipped")
    criteria: tuple[str, ...] = option(
        (), help='criteria to rank by, one ranking each: "NAME: DESCRIPTION"'
    )
    orders: int | None = option(
        None,
        help="number of orders in which the responses are shown (default: the number of responses, "
        "so that each is shown once in every position)",
    )
    group: int = option(8, help="maximum responses in one prompt; more are ranked in groups")
    rounds: int = option(3, help="how often more than --group responses are split into new groups")
    seed: int = option(0, help="seed of the groups and orders")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        ModelOptions.__post_init__(self)
        if self.orders is not None and self.orders < 1:
            msg = f"--orders must be at least 1, got {self.orders}"
            raise UsageError(msg)
        if not 2 <= self.group <= 26:
            msg = f"--group must be from 2 to 26, one letter per response, got {self.group}"
            raise UsageError(msg)
        if self.rounds < 1:
            msg = f"--rounds must be at least 1, got {self.rounds}"
            raise UsageError(msg)
