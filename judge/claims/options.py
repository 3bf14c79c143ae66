"""Options of `judge claims`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from judge.ask.options import LOW_MASS, JudgeOptions
from pairwright.commands.options import option
from pairwright.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsOptions(JudgeOptions):
    """Options of `judge claims`."""

    split: Literal["model", "sentences"] = option(
        "model",
        help="how a response is split into claims: by a model, or by rules (sentences and clauses). "
        "The claims are kept in the run RUN-split, the verdicts in RUN",
    )
    splitter_model: str | None = option(None, help="model that splits (default: the judge)")
    splitter_base_url: tuple[str, ...] = option(
        (), help="servers of that model (default: those of the judge)"
    )
    questions: Literal["rule", "model"] = option(
        "rule", help='how a claim becomes a question: "Is it true of the image that ...", or '
        "written by the model that splits"
    )  # fmt: skip
    claims: str | None = option(
        None,
        help="check the claims of this run, such as those of human annotators, instead of splitting",
    )
    max_claims: int = option(30, help="maximum claims per response; further ones are left out")
    split_tokens: int = option(1024, help="maximum length of a list of claims, in tokens")
    rubric: str = option(
        "verify", help='rubric of one claim: "verify", or your YAML file with labels no and yes'
    )
    low_mass: float = option(
        LOW_MASS,
        help="report how many verdicts have a lower probability mass on yes and no together",
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        JudgeOptions.__post_init__(self)
        if self.max_claims < 1 or self.split_tokens < 1:
            msg = "--max-claims and --split-tokens must be at least 1"
            raise UsageError(msg)
        if not 0 <= self.low_mass <= 1:
            msg = f"--low-mass is a probability, got {self.low_mass}"
            raise UsageError(msg)
        by_model = self.split == "model" and self.claims is None
        asks_model = self.splitter_model or self.splitter_base_url or self.questions == "model"
        if asks_model and not by_model:
            msg = "--splitter-model, --splitter-base-url and --questions model need --split model, and no --claims"
            raise UsageError(msg)
        if self.splitter_base_url and self.backend == "transformers":
            msg = "--splitter-base-url names a server, --backend transformers uses none"
            raise UsageError(msg)
