"""Options of `judge agree`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pairwright.commands.options import option
from pairwright.errors import UsageError

Metric = Literal[
    "alpha",
    "kappa",
    "kappa_quadratic",
    "ac1",
    "accuracy",
    "accuracy_half",
    "spearman",
    "kendall",
    "pearson",
    "auc",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreeOptions:
    """Options of `judge agree`."""

    judge: str | None = option(
        None,
        help="run of the judge as KIND/RUN, where KIND is scores, comparisons or claims (default: "
        "the only one that was not imported)",
    )
    labels: str | None = option(
        None,
        help="run of labels, by human annotators or another judge, as KIND/RUN; KIND may also be "
        "feedback (default: none; only the audits are made)",
    )
    criterion: str | None = option(
        None, help="criterion of the judge (default: all that both have)"
    )
    labels_criterion: str | None = option(None, help="criterion of the labels (default: the same)")
    label_by: str | None = option(None, help="use the labels of this annotator only")
    metric: Metric = option(
        "alpha", help="metric of --min-agreement; alpha and kappa are corrected for chance"
    )
    min_agreement: float | None = option(
        None, help="fail (exit code 4) if the metric is lower for any criterion"
    )
    gate_on: Literal["estimate", "low"] = option(
        "estimate",
        help="what --min-agreement compares: the value, or the lower end of its interval",
    )
    fit: Literal["isotonic", "platt", "none"] = option(
        "isotonic", help="calibration to fit from scores to labels"
    )
    examples: int = option(24, help="number of disagreements on the page")
    resamples: int = option(
        2_000, help="resamples of the bootstrap for each interval", aliases=("draws",)
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.min_agreement is not None and not -1 <= self.min_agreement <= 1:
            msg = f"--min-agreement must be between -1 and 1, got {self.min_agreement}"
            raise UsageError(msg)
        if self.labels is None:
            for name in ("min_agreement", "label_by", "labels_criterion"):
                if getattr(self, name) is not None:
                    flag = "--" + name.replace("_", "-")
                    msg = f"{flag} needs labels: name their run with --labels KIND/RUN"
                    raise UsageError(msg)
        if self.examples < 0:
            msg = f"--examples must be at least 0, got {self.examples}"
            raise UsageError(msg)
        if self.resamples < 100:
            msg = f"--resamples must be at least 100, got {self.resamples}"
            raise UsageError(msg)
