"""Options of `prefs sample`."""

from __future__ import annotations

from dataclasses import dataclass

from pairwright.commands.options import option
from pairwright.errors import UsageError
from pairwright.vlm.options import ModelOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOptions(ModelOptions):
    """Options of `prefs sample`."""

    n: int = option(8, help="responses per prompt", short="-n")
    temperature: float = option(0.8, help="sampling temperature")
    top_p: float = option(1.0, help="sample from the likeliest tokens with this probability mass")
    top_k: int = option(-1, help="sample from so many likeliest tokens; -1: all")
    max_tokens: int = option(256, help="max tokens per response")
    seed: int = option(0, help="seed of the sampling")
    only_conflicts: bool = option(
        False, help="only questions with conflicting answers in the samples"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        ModelOptions.__post_init__(self)
        if self.n < 1 or self.max_tokens < 1:
            msg = f"-n and --max-tokens must be at least 1, got {self.n} and {self.max_tokens}"
            raise UsageError(msg)
        if self.temperature < 0 or (self.temperature == 0 and self.n > 1):
            msg = f"--temperature {self.temperature:g} with -n {self.n}: several responses need a temperature above 0"
            raise UsageError(msg)
        if not 0 < self.top_p <= 1:
            msg = f"--top-p must be above 0 and at most 1, got {self.top_p}"
            raise UsageError(msg)
        if self.top_k == 0 or self.top_k < -1:
            msg = f"--top-k must be -1 or at least 1, got {self.top_k}"
            raise UsageError(msg)
