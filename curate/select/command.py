"""`curate select`: a budget of rows, good, different from each other, and of every task.

Groups of a plan get their sizes first; within each group rows are chosen by marks and by how much
they add to those chosen already.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.select import greedy, report
from curate.select.blocks import in_blocks
from curate.select.options import SelectOptions
from curate.select.plan import REST, Plan, Share, allocate, balanced, read_plan
from curate.select.rows import Sources, Vectors, cap_images, find_sources, read_rows, read_vectors
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions, as_config
from pairwright.commands.progress import Progress, say
from pairwright.dataset.ids import config_hash
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

STEP = "select"
_QUALITY = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is wanted, from the flags, the plan and the defaults."""

    plan: Plan
    n: int | None
    fraction: float | None
    method: str
    quality: float | None
    per_image: int | None
    seed: int
    balance: str | None
    block: int


def select(dataset: Dataset, options: SelectOptions, run: RunOptions) -> Outcome:
    """Write one decision a current sample.

    Raises:
        Error: If the size is missing, the plan is wrong, or a run it needs is not there.
    """
    name = run.run or STEP
    ref = f"decisions/{name}"
    inputs = dataset.need_samples(for_run=RunKey(STEP, ref))
    settings, sources = _settings(dataset, options)
    if run.dry_run:
        decisions, summary = _choose(dataset, settings, sources, run, name)
        return Outcome(message=f"dry run, nothing written\n{report.text(summary)}", summary=summary)
    with dataset.write(
        "decisions", name, step=STEP, config=_config(options, settings, run),
        inputs=[*inputs, *sources.all()], replace=run.replace, resumable=False, rejects=False,
    ) as writer:  # fmt: skip
        done = ""
        if writer.is_complete:
            done = f"nothing to do: {ref} is finished\n"
        else:
            decisions, summary = _choose(dataset, settings, sources, run, name)
            writer.add(decisions)
            writer.summary.update(summary)
    return Outcome(
        message=done + report.text(writer.summary),
        table=ref,
        rows=writer.n_rows,
        summary=writer.summary,
    )


def _settings(dataset: Dataset, options: SelectOptions) -> tuple[Settings, Sources]:
    """Flags win over the plan, the plan over defaults."""
    plan = read_plan(options.plan) if options.plan else Plan()
    if options.balance:
        plan = Plan(by=(options.balance,))

    def first(name: str, default: Any = None) -> Any:
        values = (getattr(options, name), getattr(plan, name))
        return next((v for v in values if v is not None), default)

    given = (options.n, options.fraction)
    n, fraction = given if given != (None, None) else (plan.n, plan.fraction)
    if n is None and fraction is None:
        msg = "how many rows? give --n ROWS or --fraction SHARE, or n in the plan"
        raise UsageError(msg)
    method = first("method", "auto")
    sources = find_sources(dataset, options, plan, method)
    if method == "auto":
        method = (
            "facility-location" if sources.embeddings else "quality" if sources.scores else "random"
        )
    settings = Settings(
        plan=plan, n=n, fraction=fraction, method=method, quality=first("quality"),
        per_image=first("per_image"), seed=first("seed", 0), balance=options.balance,
        block=options.block,
    )  # fmt: skip
    return settings, sources


def _config(options: SelectOptions, settings: Settings, run: RunOptions) -> dict[str, Any]:
    plan = config_hash(str(settings.plan)) if options.plan else None
    return {**as_config(options), "method": settings.method, "plan": plan, "limit": run.limit}


def _choose(
    dataset: Dataset, settings: Settings, sources: Sources, run: RunOptions, name: str
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Decisions and figures."""
    import polars as pl

    started = time.monotonic()
    rows = read_rows(
        dataset, sources, settings.plan, for_run=RunKey(STEP, f"decisions/{name}"),
        seed=settings.seed, limit=run.limit,
    )  # fmt: skip
    total = settings.n or max(1, round((settings.fraction or 0) * rows.height))
    plan = settings.plan
    if settings.balance:
        plan = balanced(settings.balance, sorted(rows["group"].unique().to_list()), plan)
    target = {g: plan.target_of(g) for g in rows["group"].unique().to_list()}
    rows = rows.with_columns(target=pl.col("group").replace_strict(target, return_dtype=pl.String))
    if not plan.by:
        rows = rows.with_columns(target=pl.lit(REST))
    scarce = _scarcity(rows, plan, total)
    rows = rows.with_columns(fine=cap_images(rows, settings.per_image, scarce))
    free = rows.filter("fine").drop_nulls("target")
    counts = dict(free.group_by("target").len().iter_rows())
    shares = allocate(plan, counts, total)
    wants_vectors = settings.method in ("facility-location", "k-center")
    vectors = None
    if sources.embeddings is not None:
        vectors = read_vectors(dataset, sources.embeddings, rows, settings.seed)
        if wants_vectors:
            say(report.cost(settings.method, free, shares, vectors, settings.block))
    weight = _weight(settings, sources)
    picked = _pick_all(free, shares, vectors if wants_vectors else None, settings, weight)
    decisions = _decisions(rows, picked, plan, settings, name)
    assert decisions["sample_id"].n_unique() == decisions.height == rows.height
    summary = report.summary(
        rows, decisions, shares, vectors, settings, sources, total=total, weight=weight
    )
    return decisions, summary | {"seconds": round(time.monotonic() - started, 2)}


def _scarcity(rows: pl.DataFrame, plan: Plan, total: int) -> dict[str, float]:
    """Rows of each group's target for every row that it asks for."""
    have = dict(rows.drop_nulls("target").group_by("target").len().iter_rows())
    asked = {s.name: s.asked for s in allocate(plan, have, total)}
    of = dict(rows.drop_nulls("target").select("group", "target").unique().iter_rows())
    return {g: have[t] / asked[t] if asked.get(t) else float("inf") for g, t in of.items()}


def _weight(settings: Settings, sources: Sources) -> float:
    """Weight of the marks; none where there are no marks."""
    if sources.scores is None:
        return 0.0
    return _QUALITY if settings.quality is None else settings.quality


def _pick_all(
    free: pl.DataFrame, shares: list[Share], vectors: Vectors | None, settings: Settings,
    weight: float,
) -> pl.DataFrame:  # fmt: skip
    """Chosen rows of every target: `row`, `gain`."""
    import polars as pl

    quality, tie = _full(free, "quality"), _full(free, "tie").astype(np.int64)
    found = []
    with Progress("selecting", sum(s.given for s in shares)) as progress:
        for share in shares:
            mine = free.filter(pl.col("target") == share.name)
            if share.given and mine.height:
                picks = _pick(
                    mine, share.given, vectors, settings, weight, quality, tie, progress.advance
                )
                assert len(picks.rows) == share.given == len(np.unique(picks.rows))
                found.append(pl.DataFrame({"row": picks.rows, "gain": picks.gains}))
    empty = pl.DataFrame(schema={"row": pl.Int64, "gain": pl.Float64})
    return pl.concat([empty, *found])


def _full(rows: pl.DataFrame, column: str) -> np.ndarray:
    """A column by row number."""
    numbers = rows["row"].to_numpy()
    out = np.zeros(int(numbers.max(initial=-1)) + 1)
    out[numbers] = rows[column].to_numpy()
    return out


def _pick(
    mine: pl.DataFrame, budget: int, vectors: Vectors | None, settings: Settings, weight: float,
    quality: np.ndarray, tie: np.ndarray, advance: Callable[[int], None],
) -> greedy.Picks:  # fmt: skip
    """Rows of one target. Rows without a vector get their share of the budget, by marks."""
    if vectors is None:
        return _by_mark(mine, budget, settings.method)
    has = vectors.of_row[mine["row"].to_numpy()] >= 0
    parts = [mine.filter(has), mine.filter(~has)]
    budgets = greedy.proportional(np.array([part.height for part in parts]), budget)
    points = vectors.points(parts[0], quality, tie)
    if settings.method == "k-center":
        chosen = greedy.k_center(points, int(budgets[0]), quality=weight, advance=advance)
    else:
        chosen = in_blocks(
            points, int(budgets[0]), block=settings.block, quality=weight, floor=vectors.floor,
            advance=advance,
        )  # fmt: skip
    other = _by_mark(parts[1], int(budgets[1]), "quality")
    return greedy.Picks(
        np.concatenate([chosen.rows, other.rows]).astype(np.int64),
        np.concatenate([chosen.gains, other.gains]),
    )


def _by_mark(rows: pl.DataFrame, budget: int, method: str) -> greedy.Picks:
    """The best marks, or any rows; ties by seed."""
    if method == "quality":
        rows = rows.sort("quality", "tie", descending=[True, False])
        chosen = rows.head(budget)
        return greedy.Picks(
            chosen["row"].to_numpy(), chosen["mark"].cast(float).fill_null(float("nan")).to_numpy()
        )
    chosen = rows.sort("tie").head(budget)
    return greedy.Picks(chosen["row"].to_numpy(), np.full(chosen.height, np.nan))


def _decisions(
    rows: pl.DataFrame, picked: pl.DataFrame, plan: Plan, settings: Settings, name: str
) -> pl.DataFrame:
    import polars as pl

    method = settings.method + ((":" + pl.col("group")) if plan.by else pl.lit(""))
    full = pl.lit("quota" if plan.by else "not_selected")
    return rows.join(picked, on="row", how="left", maintain_order="left").select(
        "sample_id",
        pl.lit(name).alias("run"),
        pl.col("gain").is_not_null().alias("kept"),
        pl.when(pl.col("gain").is_not_null()).then(pl.lit("kept"))
        .when(pl.col("target").is_null()).then(pl.lit("no_target"))
        .when(~pl.col("fine")).then(pl.lit("image_cap"))
        .otherwise(full).alias("reason"),
        method.alias("method"),
        pl.col("gain").fill_nan(None).alias("similarity"),
    )  # fmt: skip
