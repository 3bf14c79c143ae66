"""Options of `judge probe`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from judge.ask.options import JudgeOptions
from pairwright.commands.options import option
from pairwright.errors import UsageError

ProbeName = Literal["blind", "other_image", "padded", "injections"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOptions(JudgeOptions):
    """Options of `judge probe`."""

    rubric: str = option(
        "default", help="rubric: a name that `judge rubrics` lists, or your YAML file"
    )
    probes: tuple[ProbeName, ...] = option(
        ("blind", "other_image", "padded", "injections"),
        help="changes to a response or its images; each is scored next to the unchanged response",
    )
    seed: int = option(0, help="seed of the choice of other images")
    max_flip_rate: float | None = option(
        None, help="fail (exit code 4) if injections change a larger fraction of the verdicts"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        JudgeOptions.__post_init__(self)
        if len(set(self.probes)) < len(self.probes) or not self.probes:
            msg = "--probes: name at least one probe, and each once"
            raise UsageError(msg)
        if self.max_flip_rate is None:
            return
        if not 0 <= self.max_flip_rate <= 1:
            msg = f"--max-flip-rate is a fraction between 0 and 1, got {self.max_flip_rate}"
            raise UsageError(msg)
        if "injections" not in self.probes:
            msg = "--max-flip-rate is about injections: add injections to --probes"
            raise UsageError(msg)
