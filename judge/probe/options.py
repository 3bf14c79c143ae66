"""Options of `judge probe`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pairwright.commands.options import option
from pairwright.errors import UsageError
from pairwright.vlm.options import ModelOptions

ProbeName = Literal["blind", "other_image", "padded", "injections"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOptions(ModelOptions):
    """Options of `judge probe`."""

    target: Literal["samples", "responses"] | None = option(
        None, help="whose answers are tampered with (default: as `judge score` chooses)"
    )
    responses: str | None = option(None, help="run of responses (default: the one in force)")
    rubric: str = option(
        "default", help="what is asked: a name of `judge rubrics`, or a YAML file of yours"
    )
    probes: tuple[ProbeName, ...] = option(
        ("blind", "other_image", "padded", "injections"),
        help="what is done to an answer, besides asking about it as it is",
    )
    seed: int = option(0, help="seed of the draw of other images")
    max_flip_rate: float | None = option(
        None, help="fail (exit code 4) if injections change more than this share of the verdicts"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        ModelOptions.__post_init__(self)
        if self.responses is not None and self.target == "samples":
            msg = "--responses names responses, --target samples judges none: leave one out"
            raise UsageError(msg)
        if len(set(self.probes)) < len(self.probes) or not self.probes:
            msg = "--probes: name at least one probe, and each once"
            raise UsageError(msg)
        if self.max_flip_rate is None:
            return
        if not 0 <= self.max_flip_rate <= 1:
            msg = f"--max-flip-rate is a share between 0 and 1, got {self.max_flip_rate}"
            raise UsageError(msg)
        if "injections" not in self.probes:
            msg = "--max-flip-rate is about injections: add injections to --probes"
            raise UsageError(msg)
