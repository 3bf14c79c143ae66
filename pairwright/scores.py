"""What a run of scores says of an answer: one mark, wherever marks are read.

Draws of one judge are averaged first, then judges, then criteria, so that a judge who was asked more
often, or a criterion that more judges marked, does not count for more. Where a run holds rows of a
jury, they stand for its judges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pairwright.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

JURY = "jury"


def usable_marks(
    scores: pl.LazyFrame,
    *,
    kind: str | None = None,
    calibrated: bool = False,
    min_label_mass: float | None = None,
) -> pl.LazyFrame:
    """Rows of the scores table that say something, with their `mark`.

    Args:
        scores: Rows of the scores table.
        kind: `sample` or `response`; both if not given.
        calibrated: Read the calibrated marks instead of the raw ones.
        min_label_mass: Leave out marks with less probability on the labels. Marks without one, as
            people's are, stay.
    """
    import polars as pl

    rows = scores if kind is None else scores.filter(pl.col("target_kind") == kind)
    mark = pl.col("calibrated" if calibrated else "score").fill_nan(None)
    rows = rows.filter(pl.col("error").is_null()).with_columns(mark=mark).drop_nulls("mark")
    if min_label_mass is not None:
        rows = rows.filter(pl.col("label_mass").fill_null(1.0) >= min_label_mass)
    return rows


def criterion_marks(marks: pl.LazyFrame, *, by: str | None = None) -> pl.LazyFrame:
    """One mark a target and criterion.

    Args:
        marks: What `usable_marks` returns.
        by: The judge whose marks count; else the jury's where there are any, else the mean of all.

    Returns:
        `target_id`, `rubric`, `criterion`, `mark`, in the order of the targets' first rows.
    """
    import polars as pl

    if by is not None:
        marks = marks.filter(pl.col("judge") == by)
    else:
        from_jury = pl.col("judge") == JURY
        marks = marks.filter(from_jury | ~from_jury.any())
    keys = ("target_id", "rubric", "criterion")
    return (
        marks.group_by(*keys, "judge", maintain_order=True)
        .agg(pl.col("mark").mean())
        .group_by(keys, maintain_order=True)
        .agg(pl.col("mark").mean())
    )


def mean_marks(
    scores: pl.LazyFrame,
    *,
    kind: str | None = None,
    criterion: str | None = None,
    by: str | None = None,
    calibrated: bool = False,
    min_label_mass: float | None = None,
) -> pl.LazyFrame:
    """One mark a target: the mean over its criteria.

    Args:
        scores: Rows of the scores table.
        kind: `sample` or `response`; both if not given.
        criterion: The only criterion that counts.
        by: The judge whose marks count.
        calibrated: Read the calibrated marks.
        min_label_mass: Leave out marks with less probability on the labels.

    Returns:
        `target_id`, `mark`; targets without a mark that counts are left out.
    """
    import polars as pl

    rows = usable_marks(scores, kind=kind, calibrated=calibrated, min_label_mass=min_label_mass)
    if criterion is not None:
        rows = rows.filter(pl.col("criterion") == criterion)
    return (
        criterion_marks(rows, by=by)
        .group_by("target_id", maintain_order=True)
        .agg(pl.col("mark").mean())
    )


def check_marks(
    scores: pl.LazyFrame, ref: str, *, kind: str, criterion: str | None = None,
    by: str | None = None, calibrated: bool = False,
) -> None:  # fmt: skip
    """Refuse to read what a run does not hold.

    Raises:
        UsageError: If it has no marks of that kind, none of the criterion or judge, or marks that
            no calibration has read.
    """
    import polars as pl

    rows = scores.filter(pl.col("target_kind") == kind)
    for name, wanted in (("criterion", criterion), ("judge", by)):
        known = rows.select(pl.col(name).unique().sort()).collect(engine="streaming")
        names = known[name].to_list()
        if not names:
            msg = f"{ref} has no marks of {kind}s; run `judge score` on {kind}s first"
            raise UsageError(msg)
        if wanted is not None and wanted not in names:
            flag = "--criterion" if name == "criterion" else "--by"
            msg = f"{flag} {wanted}: {ref} has {', '.join(names[:20])}"
            raise UsageError(msg)
    if calibrated:
        given = usable_marks(rows)
        if by is not None:
            given = given.filter(pl.col("judge") == by)
        if criterion is not None:
            given = given.filter(pl.col("criterion") == criterion)
        counts = given.select(pl.len(), pl.col("calibrated").null_count().alias("raw"))
        total, raw = counts.collect(engine="streaming").row(0)
        if raw:
            msg = (
                f"--calibrated: {raw:,} of {total:,} marks of {ref} were not calibrated; fit a "
                "calibration with `judge agree` and apply it with `judge calibrate`"
            )
            raise UsageError(msg)
