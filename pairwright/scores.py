"""One score per target, the same wherever scores are read.

Repeats of one judge are averaged first, then judges, then criteria: a judge that was called more
often, or a criterion with more judges, does not count for more. In a run with rows of a jury, they
replace the rows of its judges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairwright.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

JURY = "jury"


def usable_scores(
    scores: pl.LazyFrame,
    *,
    kind: str | None = None,
    calibrated: bool = False,
    min_label_mass: float | None = None,
) -> pl.LazyFrame:
    """Rows of the scores table that have a score.

    Args:
        scores: Rows of the scores table.
        kind: `sample` or `response`; both if not given.
        calibrated: The column `score` of the result is the calibrated score, not the raw one.
        min_label_mass: Leave out scores with less probability mass on the labels. Scores without
            one, such as those of human annotators, are kept.
    """
    import polars as pl

    rows = scores if kind is None else scores.filter(pl.col("target_kind") == kind)
    score = pl.col("calibrated" if calibrated else "score").fill_nan(None)
    rows = rows.filter(pl.col("error").is_null()).with_columns(score=score).drop_nulls("score")
    if min_label_mass is not None:
        rows = rows.filter(pl.col("label_mass").fill_null(1.0) >= min_label_mass)
    return rows


def criterion_scores(scores: pl.LazyFrame, *, by: str | None = None) -> pl.LazyFrame:
    """One score per target and criterion.

    Args:
        scores: Result of `usable_scores`.
        by: The judge whose scores count; else the jury, if there is one, else the mean of all.

    Returns:
        `target_id`, `rubric`, `criterion`, `score`, in the order of the targets' first rows.
    """
    import polars as pl

    if by is not None:
        scores = scores.filter(pl.col("judge") == by)
    else:
        from_jury = pl.col("judge") == JURY
        scores = scores.filter(from_jury | ~from_jury.any())
    keys = ("target_id", "rubric", "criterion")
    return (
        scores.group_by(*keys, "judge", maintain_order=True)
        .agg(pl.col("score").mean())
        .group_by(keys, maintain_order=True)
        .agg(pl.col("score").mean())
    )


def mean_scores(
    scores: pl.LazyFrame,
    *,
    kind: str | None = None,
    criterion: str | None = None,
    by: str | None = None,
    calibrated: bool = False,
    min_label_mass: float | None = None,
) -> pl.LazyFrame:
    """One score per target: the mean over its criteria.

    Args:
        scores: Rows of the scores table.
        kind: `sample` or `response`; both if not given.
        criterion: The only criterion that counts.
        by: The judge whose scores count.
        calibrated: Read the calibrated scores.
        min_label_mass: Leave out scores with less probability mass on the labels.

    Returns:
        `target_id`, `score`; targets without a score that counts are left out.
    """
    import polars as pl

    rows = usable_scores(scores, kind=kind, calibrated=calibrated, min_label_mass=min_label_mass)
    if criterion is not None:
        rows = rows.filter(pl.col("criterion") == criterion)
    return (
        criterion_scores(rows, by=by)
        .group_by("target_id", maintain_order=True)
        .agg(pl.col("score").mean())
    )


def check_scores(
    scores: pl.LazyFrame, ref: str, *, kind: str, criterion: str | None = None,
    by: str | None = None, calibrated: bool = False,
) -> None:  # fmt: skip
    """Refuse a run that lacks what is to be read.

    Raises:
        UsageError: If it has no scores of that kind, none of the criterion or judge, or scores
            without a calibrated one.
    """
    import polars as pl

    rows = scores.filter(pl.col("target_kind") == kind)
    for name, wanted in (("criterion", criterion), ("judge", by)):
        known = rows.select(pl.col(name).unique().sort()).collect(engine="streaming")
        names = known[name].to_list()
        if not names:
            msg = f"{ref} has no scores of {kind}s; run `judge score` on {kind}s first"
            raise UsageError(msg)
        if wanted is not None and wanted not in names:
            flag = "--criterion" if name == "criterion" else "--by"
            msg = f"{flag} {wanted}: {ref} has {', '.join(names[:20])}"
            raise UsageError(msg)
    if calibrated:
        given = usable_scores(rows)
        if by is not None:
            given = given.filter(pl.col("judge") == by)
        if criterion is not None:
            given = given.filter(pl.col("criterion") == criterion)
        counts = given.select(pl.len(), pl.col("calibrated").null_count().alias("raw"))
        total, raw = counts.collect(engine="streaming").row(0)
        if raw:
            msg = (
                f"--calibrated: {raw:,} of {total:,} scores of {ref} are not calibrated; fit a "
                "calibration with `judge agree` and apply it with `judge calibrate`"
            )
            raise UsageError(msg)
