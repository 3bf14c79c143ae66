"""Samples with a low score of a judge, or without one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from curate.filter.found import Found, below
from curate.filter.rows import Rows
from curate.filter.rules.base import Inputs, Need, Reason, Rule
from curate.filter.rules.checks import check_fractions
from pairwright.commands.options import option
from pairwright.text.counts import counted

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """Which scores count, and the least one."""

    min_score: float | None = option(None, help="samples with a lower score are removed")
    criterion: str | None = option(
        None, help="criterion of the rubric (default: the mean over all criteria)"
    )
    scores: str | None = option(None, help="run of scores (default: the active one)")
    by: str | None = option(
        None,
        help="judge whose scores count (default: the jury's where the run has one, else the mean)",
    )
    calibrated: bool = option(False, help="read calibrated scores; refused where a score has none")
    min_label_mass: float | None = option(
        None, help="ignore scores with less probability on the labels"
    )
    unscored: Literal["keep", "drop"] = option(
        "keep", help="what to do with samples without a score"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_fractions(self, "min_label_mass")


def find(rows: Rows, options: ScoreOptions, inputs: Inputs) -> Iterator[Found]:
    """Rows with a score below the least one.

    Raises:
        UsageError: If the run has no scores of samples, none of the criterion or judge, or
            uncalibrated ones where calibrated ones are asked for.
    """
    import numpy as np

    from curate.filter.histogram import histogram
    from pairwright.commands.progress import say

    (run,) = inputs.runs["scores"]
    least = options.min_score
    assert least is not None
    samples = rows.samples.select("sample_id")
    scored = _mean_scores(inputs.dataset, run, options)
    values = samples.join(scored, on="sample_id", how="left", maintain_order="left")["score"]
    say(histogram(values, least, noun="scores"))  # before anything is removed
    missing = values.is_null().to_numpy()
    found = Found("score", f"score below {least:g}", values, below(values, least),
                  threshold=least, removes_low=True, unit=_unit(run, options))  # fmt: skip
    if options.unscored == "drop":
        found.removes |= missing
        found.reasons = dict.fromkeys(np.flatnonzero(missing).tolist(), "no_score")
    if missing.any():
        fate = "kept" if options.unscored == "keep" else "removed"
        found.notes.append(
            f"{counted(int(missing.sum()), 'row has', 'rows have')} no score: {fate} (--unscored)"
        )
    yield found


def _unit(run: Manifest, options: ScoreOptions) -> str:
    what = f"criterion {options.criterion}" if options.criterion else "mean over all criteria"
    what += ", calibrated" if options.calibrated else ""
    what += f", by {options.by}" if options.by else ""
    return f"score ({what}, {run.ref})"


def _mean_scores(dataset: Dataset, run: Manifest, options: ScoreOptions) -> pl.DataFrame:
    """`sample_id` and mean `score` over repeats, judges and, if none is named, criteria."""
    from pairwright.scores import check_scores, mean_scores

    rows = dataset.scan(run)
    check_scores(
        rows, run.ref, kind="sample", criterion=options.criterion, by=options.by,
        calibrated=options.calibrated,
    )  # fmt: skip
    scores = mean_scores(
        rows, kind="sample", criterion=options.criterion, by=options.by,
        calibrated=options.calibrated, min_label_mass=options.min_label_mass,
    )  # fmt: skip
    return scores.rename({"target_id": "sample_id"}).collect(engine="streaming")


def _pick(dataset: Dataset, options: ScoreOptions) -> Sequence[Manifest]:
    run = dataset.pick("scores", options.scores, steps={"score"})
    return [] if run is None else [run]


RULE = Rule(
    name="score",
    reasons=(
        Reason(name="score", words="the judge's score is too low", options=("min_score",)),
        Reason(name="no_score", words="no score of a judge", implied=True),
    ),
    options=ScoreOptions,
    find=find,
    needs=(Need(name="scores", what="scores of samples", command="judge score", pick=_pick),),
    step="filter",
)
