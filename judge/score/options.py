"""Options of `judge score`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from judge.ask.options import JudgeOptions, JuryBy
from pairwright.commands.options import option
from pairwright.errors import UsageError

Use = Literal["auto", "always", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions(JudgeOptions):
    """Options of `judge score`."""

    rubric: str = option(
        "default", help="rubric: a name that `judge rubrics` lists, or your YAML file"
    )
    criteria: tuple[str, ...] = option(
        (), help='criteria instead of the rubric\'s, "NAME: DESCRIPTION" each'
    )
    use_criteria: Use = option(
        "auto",
        help="the samples' own criteria: auto shows them to the judge where there are some, always "
        "records samples without them as invalid, never hides them",
    )
    use_reference: Use = option(
        "auto", help="the samples' reference answers: auto, always or never, as --use-criteria"
    )
    turns: Literal["last", "all"] = option(
        "last", help="turns of a conversation that are judged: the last one, or all"
    )
    rationale: Literal["none", "after", "before"] = option(
        "none",
        help="ask the judge for its reasons: after the score (which does not change), or before it",
    )
    repeats: int = option(
        1,
        help="number of scores for the same response and criterion, at temperature 1: with "
        "--rationale before, or from a server that reports no probabilities",
        aliases=("draws",),
    )
    seed: int = option(0, help="seed of the repeats")
    jury: tuple[str, ...] = option((), help="more models that judge the same, one after the other")
    jury_by: JuryBy = option("mean", help="how the scores of several judges are combined")
    calibration: Path | None = option(
        None, help="calibration.json of `judge agree`: fills the column `calibrated`"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        JudgeOptions.__post_init__(self)
        if self.turns == "all" and (self.target == "responses" or self.responses is not None):
            raise UsageError(ONE_TURN)
        if not 1 <= self.repeats <= 64:
            msg = f"--repeats must be from 1 to 64, got {self.repeats}"
            raise UsageError(msg)
        if self.repeats > 1 and self.rationale != "before" and self.backend == "transformers":
            raise UsageError(NEEDLESS_REPEATS)
        if len({self.model, *self.jury}) <= len(self.jury):
            msg = "--jury: name each judge once; the judge of --model is a member already"
            raise UsageError(msg)


ONE_TURN = "--turns all: a response is one turn; judge conversations with --target samples"
NEEDLESS_REPEATS = (
    "--repeats: this judge reports the probability of each label, so one score is exact and repeats "
    "add nothing. Leave --repeats out, or use --rationale before"
)
