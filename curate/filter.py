"""`curate filter`: drop samples that a judge marked too low."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curate.filter_options import FilterOptions
from pairwright.command import Outcome
from pairwright.errors import UsageError
from pairwright.options import RunOptions, as_config
from pairwright.progress import say

if TYPE_CHECKING:
    import polars as pl

    from pairwright.store import Dataset

_BINS = 10
_WIDTH = 40


def filter_samples(dataset: Dataset, options: FilterOptions, run: RunOptions) -> Outcome:
    """Keep the current samples whose mark reaches the threshold; one decision a sample.

    Raises:
        UsageError: If there are no marks of samples, or none of the criterion.
    """
    import polars as pl

    name = run.run or "filter"
    ref = f"decisions/{name}"
    scores = dataset.pick("scores", options.scores, verbs=("score", "ingest"))
    if scores is None:
        msg = f"{dataset.path}: no scores of samples; make some with `judge score --target samples`"
        raise UsageError(msg)
    marks = sample_marks(dataset.scan(scores).collect(), options)
    samples = dataset.current_samples(before=ref).select("sample_id")
    if run.limit is not None:
        samples = samples.head(run.limit)
    decided = decide(samples.collect(), marks, options).with_columns(run=pl.lit(name))
    summary = _summary(decided, scores.run)
    picture = histogram(decided["similarity"].drop_nulls(), options.min_score)
    say(picture)
    if run.dry_run:
        return Outcome(
            message=f"dry run, nothing written: {_describe(ref, summary)}", summary=summary
        )
    config = {**as_config(options), "limit": run.limit}
    inputs = [*dataset.sample_inputs(before=ref), scores]
    with dataset.write(
        "decisions", name, verb="filter", config=config, inputs=inputs, replace=run.replace,
        resumable=False, rejects=False,
    ) as writer:  # fmt: skip
        done = writer.is_complete
        if not done:
            writer.summary.update(summary)
            writer.add(decided)
    text = _describe(ref, writer.summary)
    return Outcome(
        message=f"nothing to do: {text}" if done else text,
        table=ref,
        rows=writer.n_rows,
        summary=dict(writer.summary),
    )


def sample_marks(scores: pl.DataFrame, options: FilterOptions) -> pl.DataFrame:
    """Mean mark of each sample over criteria, draws and judges: sample_id, mark.

    Raises:
        UsageError: If no mark is of the criterion that was named.
    """
    import polars as pl

    scores = scores.filter(pl.col("target_kind") == "sample")
    if options.criterion is not None:
        known = sorted(scores["criterion"].unique().to_list())
        if options.criterion not in known:
            msg = f"--criterion {options.criterion}: not marked; there are {', '.join(known) or 'none'}"
            raise UsageError(msg)
        scores = scores.filter(pl.col("criterion") == options.criterion)
    usable = scores.filter(
        pl.col("score").is_not_null()
        & (pl.col("label_mass").fill_null(1.0) >= options.min_label_mass)
    )
    return usable.group_by(sample_id="target_id").agg(mark=pl.col("score").mean())


def decide(samples: pl.DataFrame, marks: pl.DataFrame, options: FilterOptions) -> pl.DataFrame:
    """One decision a sample; `similarity` holds its mark.

    Args:
        samples: sample_id of every current sample.
        marks: sample_id, mark.
        options: Threshold, and what to do without a mark.
    """
    import polars as pl

    low = pl.col("mark") < options.min_score
    unmarked = pl.col("mark").is_null()
    kept = pl.when(unmarked).then(pl.lit(options.unscored == "keep")).otherwise(~low)
    reason = (
        pl.when(unmarked & (pl.lit(options.unscored) == "drop"))
        .then(pl.lit("no_score"))
        .when(low.fill_null(value=False))
        .then(pl.lit("score"))
        .otherwise(pl.lit("kept"))
    )
    joined = samples.join(marks, on="sample_id", how="left", maintain_order="left")
    return joined.select(
        "sample_id",
        kept.alias("kept"),
        reason.alias("reason"),
        pl.lit("min-score").alias("method"),
        pl.col("mark").alias("similarity"),
    )


def histogram(marks: pl.Series, threshold: float) -> str:
    """Distribution of the marks as text, with the place of the cut."""
    import numpy as np

    if marks.is_empty():
        return "no marks"
    counts, edges = np.histogram(marks.to_numpy(), bins=_BINS)
    most = max(1, int(counts.max()))
    lines = []
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        where = "cut  " if low < threshold <= high else "drop " if high < threshold else "keep "
        bar = "#" * round(_WIDTH * int(count) / most)
        lines.append(f"{where}{low:6.2f} - {high:5.2f} {int(count):>9,} {bar}")
    return "\n".join(lines)


def _summary(decided: pl.DataFrame, scores: str) -> dict[str, Any]:
    reasons = dict(decided.group_by("reason").len().sort("reason").iter_rows())
    return {
        "rows": decided.height,
        "kept": int(decided["kept"].sum()),
        "dropped": {reason: n for reason, n in reasons.items() if reason != "kept"},
        "unscored": int(decided["similarity"].null_count()),
        "scores": scores,
    }


def _describe(ref: str, summary: dict[str, Any]) -> str:
    dropped = summary["rows"] - summary["kept"]
    text = f"{ref}: {summary['rows']:,} samples, {summary['kept']:,} kept, {dropped:,} dropped"
    if summary["unscored"]:
        text += f", {summary['unscored']:,} without a mark"
    return text
