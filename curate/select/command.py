"""`curate select`: choose a budget of rows, good, diverse and balanced over tasks.

The groups of a plan get their quotas first. Within each group, rows are chosen by their scores and
by how much they add to the rows chosen before.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from curate.select import report
from curate.select.choose import Chooser
from curate.select.options import SelectOptions
from curate.select.plan import REST, Plan, balanced
from curate.select.quotas import allocate
from curate.select.rows import read_rows, within_image_cap
from curate.select.settings import Settings, Sources, config_of, resolve, weight_of_scores
from curate.select.vectors import read_vectors
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions, current_config
from pairwright.commands.progress import say
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset

if TYPE_CHECKING:
    import polars as pl

STEP = "select"


def select(dataset: Dataset, options: SelectOptions, run: RunOptions) -> Outcome:
    """Write one decision per current sample.

    Raises:
        Error: If the size is missing, the plan is wrong, or a run it needs is missing.
    """
    name = run.run or STEP
    key = RunKey(STEP, f"decisions/{name}")
    inputs = dataset.need_samples(for_run=key)
    settings, sources = resolve(dataset, options)
    if run.dry_run:
        _, summary = _choose(dataset, settings, sources, key, run.limit)
        return Outcome(message=f"dry run, nothing written\n{report.text(summary)}", summary=summary)
    with dataset.write(
        "decisions", name, step=STEP, config=config_of(options, settings, run),
        current_config=partial(current_config, SelectOptions),
        inputs=[*inputs, *sources.all()], replace=run.replace, resumable=False, rejects=False,
    ) as writer:  # fmt: skip
        done = ""
        if writer.is_complete:
            done = f"nothing to do: {key.ref} is finished\n"
        else:
            decisions, summary = _choose(dataset, settings, sources, key, run.limit)
            writer.add(decisions)
            writer.summary.update(summary)
    return Outcome(
        message=f"{done}{report.text(writer.summary)}\nnext: `curate report` or `curate export`",
        table=key.ref,
        rows=writer.n_rows,
        summary=writer.summary,
    )


def _choose(
    dataset: Dataset, settings: Settings, sources: Sources, key: RunKey, limit: int | None
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Decisions and the summary of the run."""
    import polars as pl

    started = time.monotonic()
    rows = read_rows(dataset, sources, settings.plan, for_run=key, seed=settings.seed, limit=limit)
    total = settings.n or max(1, round((settings.fraction or 0) * rows.height))
    groups = sorted(rows["group"].unique().to_list())
    plan = settings.plan
    if settings.balance:
        plan = balanced(settings.balance, groups, plan)
    target = {group: plan.target_of(group) if plan.by else REST for group in groups}
    rows = rows.with_columns(target=pl.col("group").replace_strict(target, return_dtype=pl.String))
    supply = _supply(rows, plan, total)
    rows = rows.with_columns(allowed=within_image_cap(rows, settings.per_image, supply))
    free = rows.filter("allowed").drop_nulls("target")
    quotas = allocate(plan, dict(free.group_by("target").len().iter_rows()), total)
    vectors = None
    if sources.embeddings is not None:
        vectors = read_vectors(dataset, sources.embeddings, rows, settings.seed)
        if settings.is_diverse:
            say(report.cost(settings.method, free, quotas, vectors, settings.block))
    weight = weight_of_scores(settings, sources)
    chooser = Chooser(free, vectors if settings.is_diverse else None, settings, weight)
    decisions = _decisions(rows, chooser.choose(quotas), plan, settings, key)
    assert decisions["sample_id"].n_unique() == decisions.height == rows.height
    summary = report.summary(
        rows, decisions, quotas, vectors, settings, sources, total=total, weight=weight
    )
    return decisions, summary | {"seconds": round(time.monotonic() - started, 2)}


def _supply(rows: pl.DataFrame, plan: Plan, total: int) -> dict[str, float]:
    """For each group, rows of its target per row that the plan requests."""
    available = dict(rows.drop_nulls("target").group_by("target").len().iter_rows())
    requested = {q.name: q.requested for q in allocate(plan, available, total)}
    of = dict(rows.drop_nulls("target").select("group", "target").unique().iter_rows())
    return {
        group: available[target] / requested[target] if requested.get(target) else float("inf")
        for group, target in of.items()
    }


def _decisions(
    rows: pl.DataFrame, selected: pl.DataFrame, plan: Plan, settings: Settings, key: RunKey
) -> pl.DataFrame:
    """Rows of the decisions table; `similarity` has the gain of a selected row."""
    import polars as pl

    method = settings.method + ((":" + pl.col("group")) if plan.by else pl.lit(""))
    full = pl.lit("quota" if plan.by else "not_selected")
    return rows.join(selected, on="row", how="left", maintain_order="left").select(
        "sample_id",
        pl.lit(key.ref.partition("/")[2]).alias("run"),
        pl.col("gain").is_not_null().alias("kept"),
        pl.when(pl.col("gain").is_not_null()).then(pl.lit("kept"))
        .when(pl.col("target").is_null()).then(pl.lit("no_target"))
        .when(~pl.col("allowed")).then(pl.lit("image_cap"))
        .otherwise(full).alias("reason"),
        method.alias("method"),
        pl.col("gain").fill_nan(None).alias("similarity"),
    )  # fmt: skip
