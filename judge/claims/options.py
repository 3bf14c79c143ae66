"""Options of `judge claims`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pairwright.commands.options import option
from pairwright.errors import UsageError
from pairwright.vlm.options import ModelOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsOptions(ModelOptions):
    """Options of `judge claims`."""

    target: Literal["samples", "responses"] | None = option(
        None,
        help="whose answers are checked: the samples' own, or responses (default: responses if "
        "`prefs sample` made some, else samples)",
    )
    responses: str | None = option(None, help="run of responses (default: the one in force)")
    split: Literal["model", "sentences"] = option(
        "model",
        help="who splits an answer into claims: a model, or rules (sentences and their parts). "
        "The claims are kept in the run RUN-split, the verdicts in RUN",
    )
    splitter_model: str | None = option(None, help="model that splits (default: the judge)")
    splitter_base_url: tuple[str, ...] = option(
        (), help="servers of that model (default: those of the judge)"
    )
    questions: Literal["rule", "model"] = option(
        "rule", help='how a claim becomes a question: "Is it true of the image that ...", or as '
        "the model words it while it splits"
    )  # fmt: skip
    claims: str | None = option(
        None, help="check the claims of this run, such as people's, instead of splitting answers"
    )
    max_claims: int = option(30, help="most claims an answer; further ones are left out")
    split_tokens: int = option(1024, help="longest list of claims, in tokens")
    rubric: str = option(
        "verify", help='how a claim is asked about: "verify", or a YAML file with labels no and yes'
    )
    low_mass: float = option(
        0.5, help="verdicts are counted as faint where yes and no together are less likely"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        ModelOptions.__post_init__(self)
        if self.responses is not None and self.target == "samples":
            msg = "--responses names responses, --target samples checks none: leave one out"
            raise UsageError(msg)
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
