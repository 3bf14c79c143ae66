"""Options of `judge sheet`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pairwright.commands.options import option
from pairwright.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetOptions:
    """Options of `judge sheet`."""

    target: Literal["samples", "responses"] | None = option(
        None,
        help="what is labeled: the samples' own answers, or responses (default: responses if "
        "`prefs sample` made some, else samples)",
    )
    responses: str | None = option(None, help="run of responses (default: the active one)")
    rubric: str = option(
        "default", help="rubric: a name that `judge rubrics` lists, or your YAML file"
    )
    n: int = option(300, help="number of responses to label, sampled at random")
    seed: int = option(0, help="seed of the sampling")
    side: int = option(768, help="longest side of an image on the page, in pixels")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.n < 1:
            msg = f"--n must be at least 1, got {self.n}"
            raise UsageError(msg)
        if self.side < 32:
            msg = f"--side must be at least 32, got {self.side}"
            raise UsageError(msg)
        if self.responses is not None and self.target == "samples":
            msg = (
                "--responses names a run of responses, --target samples labels none: leave one out"
            )
            raise UsageError(msg)
