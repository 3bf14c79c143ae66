"""Options of `judge compare`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pairwright.commands.options import option
from pairwright.errors import UsageError
from pairwright.vlm.options import ModelOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions(ModelOptions):
    """Options of `judge compare`."""

    responses: str | None = option(None, help="run of responses (default: the active one)")
    rubric: str | None = option(None, help="your YAML file instead of the prompt that is shipped")
    criteria: tuple[str, ...] = option(
        (), help='criteria to compare by, one comparison each: "NAME: DESCRIPTION"'
    )
    pairing: Literal["round-robin", "baseline", "swiss"] = option(
        "round-robin",
        help="which responses to one question are compared: all pairs; each with a baseline; "
        "neighbors in points, round by round (orders many responses with few comparisons)",
    )
    baseline: str | None = option(
        None,
        help="model whose response is compared with the others; sample: the sample's own answer",
    )
    max_pairs: int | None = option(
        None, help="maximum number of pairs per sample and criterion (default: all)"
    )
    rounds: int | None = option(
        None, help="swiss: rounds (default: for N responses, log2 N rounded up, plus 1)"
    )
    ties: bool = option(True, help="allow the verdicts that both are equally good, or both bad")
    orders: int = option(2, help="2: ask with the responses in both orders; 1: in one order only")
    min_lead: float = option(
        0.05,
        help="minimum lead of the most likely verdict over the next; below it: undecided",
    )
    scores: bool = option(
        False,
        help="also write scores: the expected win rate of each response against the others",
        aliases=("marks",),
    )
    seed: int = option(0, help="seed of the choice of pairs and orders")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        ModelOptions.__post_init__(self)
        if self.orders not in (1, 2):
            msg = f"--orders is 1 or 2, got {self.orders}"
            raise UsageError(msg)
        if not 0 <= self.min_lead < 1:
            msg = f"--min-lead is a difference of probabilities, from 0 to below 1, got {self.min_lead:g}"
            raise UsageError(msg)
        for flag, number in (("--max-pairs", self.max_pairs), ("--rounds", self.rounds)):
            if number is not None and number < 1:
                msg = f"{flag} must be at least 1, got {number}"
                raise UsageError(msg)
        self._check_pairing()

    def _check_pairing(self) -> None:
        if self.baseline is not None and self.pairing == "swiss":
            msg = "--baseline and --pairing swiss are different pairings: leave one out"
            raise UsageError(msg)
        if self.pairing == "baseline" and self.baseline is None:
            msg = "--pairing baseline needs --baseline MODEL, or --baseline sample"
            raise UsageError(msg)
        if self.rounds is not None and self.pairing != "swiss":
            msg = f"--rounds belongs to --pairing swiss, not to {self.pairing}"
            raise UsageError(msg)
        if self.max_pairs is not None and self.pairing == "swiss":
            msg = "--max-pairs: --pairing swiss has --rounds instead"
            raise UsageError(msg)

    @property
    def scheme(self) -> str:
        """The pairing in use: --baseline alone means the pairing `baseline`."""
        return self.pairing if self.baseline is None else "baseline"
