"""Options that commands which judge samples or responses share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pairwright.commands.options import option
from pairwright.errors import UsageError
from pairwright.vlm.options import ModelOptions

JuryBy = Literal["mean", "median", "vote"]
LOW_MASS = 0.5
"""With less of its probability on the labels, the judge did not really answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeOptions(ModelOptions):
    """Which model judges, and what."""

    target: Literal["samples", "responses"] | None = option(
        None,
        help="what is judged: the samples' own answers, or responses (default: responses if "
        "`prefs sample` made some, else samples)",
    )
    responses: str | None = option(None, help="run of responses (default: the active one)")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        ModelOptions.__post_init__(self)
        if self.responses is not None and self.target == "samples":
            msg = (
                "--responses names a run of responses, --target samples judges none: leave one out"
            )
            raise UsageError(msg)
