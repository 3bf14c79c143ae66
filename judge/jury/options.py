"""Options of `judge jury`."""

from __future__ import annotations

from dataclasses import dataclass

from judge.ask.options import JuryBy
from pairwright.commands.options import option
from pairwright.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class JuryOptions:
    """Options of `judge jury`."""

    scores: tuple[str, ...] = option(
        help="runs of scores, by models or human annotators, that are combined"
    )
    jury_by: JuryBy = option(
        "mean",
        help="how their scores are combined; vote: each judge votes for the whole number nearest "
        "to its score",
    )
    weights: tuple[str, ...] = option(
        (), help="how much a judge counts, JUDGE=NUMBER each (default: 1)"
    )
    min_judges: int = option(2, help="minimum number of judges with a score; the jury needs them")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if not self.scores or len(set(self.scores)) < len(self.scores):
            msg = "--scores: name different runs of scores, such as --scores score people"
            raise UsageError(msg)
        if self.min_judges < 1:
            msg = f"--min-judges must be at least 1, got {self.min_judges}"
            raise UsageError(msg)
        if self.weights and self.jury_by == "median":
            msg = "--weights: a median has no weights; use --jury-by mean or vote"
            raise UsageError(msg)
        self.weight_of()

    def weight_of(self) -> dict[str, float]:
        """Weights by judge.

        Raises:
            UsageError: If one is no number above 0.
        """
        out: dict[str, float] = {}
        for text in self.weights:
            name, _, number = text.rpartition("=")
            try:
                out[name] = float(number)
            except ValueError:
                out[name] = 0.0
            if not name or not 0 < out[name] < float("inf"):
                msg = f"--weights {text}: write JUDGE=NUMBER, with a number above 0"
                raise UsageError(msg)
        return out
