"""Options of the `prefs` commands."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from pairwright.commands.options import option
from pairwright.errors import UsageError
from pairwright.vlm.options import ModelOptions

# What a preset means: published recipes, each as its paper has it.
PRESETS: dict[str, dict[str, Any]] = {
    "best-worst": {"max_pairs_per_prompt": 1},
    "rlaif-v": {"margin": 1.0, "max_pairs_per_prompt": 2, "length_balance": True},
    "vlfeedback": {"margin": 0.0, "max_pairs_per_prompt": 0, "length_balance": False},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """Options of `prefs build`."""

    method: Literal["best-of-n", "spans", "comparisons", "claims"] = option(
        "best-of-n",
        help="best-of-n: scored answers; spans: corrections of answers; comparisons: verdicts; "
        "claims: answers with fewer rejected claims (of `judge claims`, as RLAIF-V counts)",
    )
    preset: Literal["best-worst", "rlaif-v", "vlfeedback"] | None = option(
        None, help="a published recipe for best-of-n; other flags beat what it sets"
    )
    responses: str | None = option(None, help="run of responses (default: the one in force)")
    scores: str | None = option(None, help="run of scores (default: the one in force)")
    feedback: str | None = option(None, help="run of feedback (default: the one in force)")
    comparisons: str | None = option(None, help="run of comparisons (default: the one in force)")
    conflicts: str | None = option(None, help="run of conflicts (default: the one in force)")
    margin: float | None = option(
        None,
        help="least difference of the two scores; equal scores never make a pair "
        "(best-of-n default: a quarter of the rubric's scale)",
    )
    min_chosen: float | None = option(
        None, help="least score of a chosen answer: below it both answers count as bad"
    )
    min_label_mass: float = option(
        0.0, help="leave out scores whose judge gave the labels less probability than this"
    )
    max_pairs_per_prompt: int | None = option(
        None, help="most pairs a prompt, drawn by the seed; 0: all (best-of-n default: 2)"
    )
    length_balance: bool | None = option(
        None,
        help="drop the pairs that differ most in length until both sides are equally long on "
        "average (best-of-n default: yes)",
    )
    control: Literal["random", "longest"] | None = option(
        None,
        help="build a control instead: the same prompts and number of pairs, sides drawn at "
        "random, or the longest answer as the best",
    )
    seed: int = option(0, help="seed of every draw")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.preset and self.method != "best-of-n":
            msg = f"--preset {self.preset} is a recipe for --method best-of-n, not {self.method}"
            raise UsageError(msg)
        if self.margin is not None and self.margin < 0:
            msg = f"--margin must not be negative, got {self.margin}"
            raise UsageError(msg)
        if self.max_pairs_per_prompt is not None and self.max_pairs_per_prompt < 0:
            msg = f"--max-pairs-per-prompt must not be negative, got {self.max_pairs_per_prompt}"
            raise UsageError(msg)
        if not 0 <= self.min_label_mass <= 1:
            msg = f"--min-label-mass is a probability, got {self.min_label_mass}"
            raise UsageError(msg)

    def resolved(self) -> BuildOptions:
        """The options with preset and method defaults filled in.

        `margin` stays empty where it depends on the scores.
        """
        best_of_n = self.method in ("best-of-n", "claims")
        defaults = {
            "max_pairs_per_prompt": 2 if best_of_n else 0,
            "length_balance": best_of_n,
            **PRESETS.get(self.preset or "", {}),
        }
        missing = {name: v for name, v in defaults.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOptions(ModelOptions):
    """Options of `prefs sample`."""

    n: int = option(8, help="answers a prompt", short="-n")
    temperature: float = option(0.8, help="sampling temperature")
    top_p: float = option(1.0, help="sample from the likeliest tokens with this mass")
    top_k: int = option(-1, help="sample from so many likeliest tokens; -1: all")
    max_tokens: int = option(256, help="longest answer, in tokens")
    seed: int = option(0, help="seed of the draws")
    only_conflicts: bool = option(
        False, help="only questions to which the samples hold different answers"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        ModelOptions.__post_init__(self)
        if self.n < 1 or self.max_tokens < 1:
            msg = f"-n and --max-tokens must be at least 1, got {self.n} and {self.max_tokens}"
            raise UsageError(msg)
        if self.temperature < 0 or (self.temperature == 0 and self.n > 1):
            msg = f"--temperature {self.temperature:g} with -n {self.n}: several answers need a temperature above 0"
            raise UsageError(msg)
        if not 0 < self.top_p <= 1:
            msg = f"--top-p must be above 0 and at most 1, got {self.top_p}"
            raise UsageError(msg)
        if self.top_k == 0 or self.top_k < -1:
            msg = f"--top-k must be -1 or at least 1, got {self.top_k}"
            raise UsageError(msg)
