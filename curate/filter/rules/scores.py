"""Filter of marks: samples that a judge marked too low."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from curate.filter.found import Found, Rows, low
from curate.filter.options import MARKS, FilterOptions
from curate.filter.report import histogram
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions, as_config
from pairwright.commands.progress import say
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.scores import check_marks, mean_marks

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest

STEP = "filter"


def by_marks(dataset: Dataset, options: FilterOptions, run: RunOptions) -> Outcome:
    """Write one decision a current sample: it goes if its mark is below the least one.

    Raises:
        Error: If there are no scores, or none for the criterion.
    """
    import polars as pl

    name = run.run or STEP
    ref = f"decisions/{name}"
    manifest = pick_marks(dataset, options)
    scored = read_marks(dataset, manifest, options)
    frame = dataset.current_samples(for_run=RunKey(STEP, ref)).select("sample_id")
    samples = (frame.head(run.limit) if run.limit else frame).collect()
    marks = samples.join(scored, on="sample_id", how="left", maintain_order="left")
    decisions = decide(marks, options, name)
    summary = _summary(marks, decisions, manifest)
    report = _report(marks, summary, options)
    if run.dry_run:
        return Outcome(message=f"dry run, nothing written\n{report}", summary=summary)
    with dataset.write(
        "decisions", name, step=STEP, config={**_config(options), "limit": run.limit},
        inputs=[*dataset.sample_inputs(for_run=RunKey(STEP, ref)), manifest], replace=run.replace,
        resumable=False, rejects=False,
    ) as writer:  # fmt: skip
        if writer.is_complete:
            report = f"nothing to do: {ref} is finished\n{report}"
        else:
            say(histogram(marks["mark"], least_of(options)))
            assert decisions["sample_id"].n_unique() == decisions.height == samples.height
            writer.add(decisions)
            writer.summary.update(summary)
    below = decisions.filter(~pl.col("kept"))
    assert below["reason"].is_in(["score", "no_score"]).all()
    return Outcome(message=report, table=ref, rows=writer.n_rows, summary=dict(writer.summary))


def pick_marks(dataset: Dataset, options: FilterOptions) -> Manifest:
    """The run of scores to read.

    Raises:
        UsageError: If there is none, or several could be meant.
    """
    manifest = dataset.pick("scores", options.scores, steps={"score"})
    if manifest is None:
        msg = "no scores of samples: run `judge score` first"
        raise UsageError(msg)
    return manifest


def least_of(options: FilterOptions) -> float:
    """The least mark that stays."""
    assert options.min_score is not None
    return options.min_score


def _config(options: FilterOptions) -> dict[str, Any]:
    values = {name: value for name, value in as_config(options).items() if name in MARKS}
    # Options that came later stand in a run only where they were used: older runs still match.
    return {k: v for k, v in values.items() if v or k not in ("by", "calibrated")}


def found_of(rows: Rows, scored: pl.DataFrame, options: FilterOptions) -> Found:
    """Marks as one filter among others."""
    marks = rows.samples.select("sample_id").join(
        scored, on="sample_id", how="left", maintain_order="left"
    )["mark"]
    least = least_of(options)
    removes = low(marks, least)
    found = Found("score", f"mark below {least:g}", marks, removes, cut=least, low_goes=True,
                  unit=f"mark ({options.criterion or 'mean'})")  # fmt: skip
    if options.unscored == "drop":
        missing = marks.is_null().to_numpy()
        found.removes = removes | missing
        found.detail = dict.fromkeys(np.flatnonzero(missing).tolist(), "no mark")
    return found


def read_marks(dataset: Dataset, manifest: Manifest, options: FilterOptions) -> pl.DataFrame:
    """Mean mark of every sample over draws, judges and, if none is named, criteria.

    Returns:
        `sample_id`, `mark`; samples without a mark that counts are left out.

    Raises:
        UsageError: If the run has no marks of samples, none of the criterion or judge, or
            uncalibrated ones where calibrated ones are asked for.
    """
    rows = dataset.scan(manifest)
    check_marks(
        rows, manifest.ref, kind="sample", criterion=options.criterion, by=options.by,
        calibrated=options.calibrated,
    )  # fmt: skip
    marks = mean_marks(
        rows, kind="sample", criterion=options.criterion, by=options.by,
        calibrated=options.calibrated, min_label_mass=options.min_label_mass,
    )  # fmt: skip
    return marks.rename({"target_id": "sample_id"}).collect(engine="streaming")


def spread(samples: pl.DataFrame, scored: pl.DataFrame, options: FilterOptions) -> str:
    """How the marks of samples are distributed."""
    marks = samples.select("sample_id").join(scored, on="sample_id", how="left")
    return histogram(marks["mark"], least_of(options))


def decide(marks: pl.DataFrame, options: FilterOptions, run: str) -> pl.DataFrame:
    """One decision a row of `sample_id` and `mark`, null where there is none."""
    import polars as pl

    mark = pl.col("mark")
    unscored = pl.lit(options.unscored == "keep")
    return marks.select(
        "sample_id",
        pl.lit(run).alias("run"),
        pl.when(mark.is_null()).then(unscored).otherwise(mark >= least_of(options)).alias("kept"),
        mark.alias("similarity"),
    ).with_columns(
        pl.when("kept").then(pl.lit("kept"))
        .when(pl.col("similarity").is_null()).then(pl.lit("no_score"))
        .otherwise(pl.lit("score")).alias("reason"),
        pl.lit(f"score:{options.criterion or 'mean'}").alias("method"),
    )  # fmt: skip


def _summary(marks: pl.DataFrame, decisions: pl.DataFrame, scores: Manifest) -> dict[str, Any]:
    given = marks["mark"].drop_nulls()
    kept = int(decisions["kept"].sum())
    spread = {}
    if len(given):
        spread = {
            f"p{q}": round(float(given.quantile(q / 100) or 0.0), 4) for q in (5, 25, 50, 75, 95)
        }
        spread |= {"mean": round(float(given.mean() or 0.0), 4)}  # type: ignore[arg-type]
    return {
        "rows": marks.height,
        "kept": kept,
        "removed": marks.height - kept,
        "unscored": int(marks["mark"].is_null().sum()),
        "scores": scores.ref,
        "marks": spread,
    }


def _report(marks: pl.DataFrame, summary: dict[str, Any], options: FilterOptions) -> str:
    what = f"criterion {options.criterion}" if options.criterion else "mean over all criteria"
    what += ", calibrated" if options.calibrated else ""
    what += f", by {options.by}" if options.by else ""
    rows, removed = summary["rows"], summary["removed"]
    share = f" ({100 * removed / rows:.1f} %)" if rows else ""
    fate = "kept" if options.unscored == "keep" else "removed"
    lines = [
        f"{rows:,} rows in, {summary['kept']:,} kept, {removed:,} removed{share}: "
        f"mark below {least_of(options):g} ({what}, {summary['scores']})"
    ]
    if summary["unscored"]:
        lines.append(f"  {summary['unscored']:,} rows have no mark: {fate} (--unscored)")
    return "\n".join([*lines, histogram(marks["mark"], least_of(options))])
