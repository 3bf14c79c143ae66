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

    responses: str | None = option(None, help="run of responses (default: the one in force)")
    rubric: str | None = option(
        None, help="YAML file of yours that asks instead of the shipped prompt"
    )
    criteria: tuple[str, ...] = option(
        (), help='what answers are compared by, one comparison each: "name: description"'
    )
    pairing: Literal["round-robin", "baseline", "swiss"] = option(
        "round-robin",
        help="which answers to one question meet: all; each with a baseline; neighbours in points, "
        "round by round (orders many answers with few comparisons)",
    )
    baseline: str | None = option(
        None, help="model whose answer the others meet; sample: the sample's own answer"
    )
    max_pairs: int | None = option(None, help="most pairs a sample and criterion (default: all)")
    rounds: int | None = option(
        None, help="swiss: rounds (default: for N answers, log2 N rounded up, and one)"
    )
    ties: bool = option(True, help="whether the judge may say that both are as good, or both bad")
    orders: int = option(2, help="2: ask with the answers in both orders; 1: in one only")
    min_lead: float = option(
        0.05, help="least lead of the likeliest verdict over the next; below it: undecided"
    )
    marks: bool = option(
        False, help="also write scores: the share of wins each answer can expect against the others"
    )
    seed: int = option(0, help="of the draws of pairs and orders")

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
            msg = "--baseline names one answer that meets all, --pairing swiss has none: leave one out"
            raise UsageError(msg)
        if self.pairing == "baseline" and self.baseline is None:
            msg = "--pairing baseline needs --baseline MODEL, or --baseline sample"
            raise UsageError(msg)
        if self.rounds is not None and self.pairing != "swiss":
            msg = f"--rounds belongs to --pairing swiss, not to {self.pairing}"
            raise UsageError(msg)
        if self.max_pairs is not None and self.pairing == "swiss":
            msg = "--max-pairs: the number of pairs of --pairing swiss is set with --rounds"
            raise UsageError(msg)

    @property
    def scheme(self) -> str:
        """Which answers meet; to name a baseline is to ask for that."""
        return self.pairing if self.baseline is None else "baseline"
