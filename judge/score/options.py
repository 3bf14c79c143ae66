"""Options of `judge score`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pairwright.commands.options import option
from pairwright.errors import UsageError
from pairwright.vlm.options import ModelOptions

Use = Literal["auto", "always", "never"]
JuryBy = Literal["mean", "median", "vote"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions(ModelOptions):
    """Options of `judge score`."""

    target: Literal["samples", "responses"] | None = option(
        None,
        help="what is judged: the samples' own answers, or responses (default: responses if "
        "`prefs sample` made some, else samples)",
    )
    responses: str | None = option(None, help="run of responses (default: the one in force)")
    rubric: str = option(
        "default", help="what is asked: a name of `judge rubrics`, or a YAML file of yours"
    )
    criteria: tuple[str, ...] = option(
        (), help='criteria instead of the rubric\'s, "NAME: DESCRIPTION" each'
    )
    use_criteria: Use = option(
        "auto",
        help="criteria that samples bring along: auto shows them where there are some, always "
        "rejects samples without, never hides them",
    )
    use_reference: Use = option("auto", help="reference answers that samples bring along: the same")
    turns: Literal["last", "all"] = option(
        "last", help="answers of a conversation that are judged: the last one, or each"
    )
    rationale: Literal["none", "after", "before"] = option(
        "none", help="have the judge say why: after the mark (which stays what it is), or before it"
    )
    draws: int = option(
        1,
        help="marks for one thing, at temperature 1: with --rationale before, or of a server that "
        "tells no probabilities",
    )
    seed: int = option(0, help="seed of the draws")
    jury: tuple[str, ...] = option((), help="more models that judge the same, one after the other")
    jury_by: JuryBy = option("mean", help="how the marks of several judges become one")
    calibration: Path | None = option(
        None, help="calibration.json of `judge agree`: fills the column `calibrated`"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        ModelOptions.__post_init__(self)
        if self.responses is not None and self.target == "samples":
            msg = "--responses names responses, --target samples judges none: leave one out"
            raise UsageError(msg)
        if self.turns == "all" and (self.target == "responses" or self.responses is not None):
            msg = "--turns all: a response is one answer; judge conversations with --target samples"
            raise UsageError(msg)
        if not 1 <= self.draws <= 64:
            msg = f"--draws must be from 1 to 64, got {self.draws}"
            raise UsageError(msg)
        if self.draws > 1 and self.rationale != "before" and self.backend == "transformers":
            raise UsageError(NEEDLESS_DRAWS)
        if len({self.model, *self.jury}) <= len(self.jury):
            msg = "--jury: name each judge once, the one of --model not again"
            raise UsageError(msg)


NEEDLESS_DRAWS = (
    "--draws: this judge tells the probability of each label, of which draws would be an estimate: "
    "the mark is exact as it is. Leave --draws out, or draw reasons with --rationale before"
)
