"""The report of a selection: its expected cost, what it selected, and which terms were off."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.select.coverage import coverage
from curate.select.plan import REST
from curate.select.quotas import Quota
from curate.select.rows import UNTAGGED
from curate.select.settings import Settings, Sources
from curate.select.vectors import Vectors
from pairwright.text.counts import counted

if TYPE_CHECKING:
    import polars as pl

# Keys of summaries that earlier versions wrote.
_OLD_KEYS = {
    "mean_mark": "mean_score", "no_vector": "without_embedding", "asked": "requested",
    "given": "selected", "of_best": "fraction_of_best",
}  # fmt: skip


def cost(method: str, free: pl.DataFrame, quotas: list[Quota], vectors: Vectors, block: int) -> str:
    """Estimated time and memory of a selection, before it starts."""
    import polars as pl

    flops, largest = 0.0, 0
    n_points = 0
    for quota in quotas:
        numbers = free.filter(pl.col("target") == quota.name)["row"].to_numpy()
        found = np.unique(vectors.of_row[numbers])
        points = int((found >= 0).sum())
        n_points += points
        per_point = quota.selected if method == "k-center" else min(points, block)
        flops += 2.0 * points * per_point * vectors.matrix.shape[1]
        largest = max(largest, min(points, block) if method != "k-center" else 0)
    memory = 2 * vectors.n_bytes + 4.0 * largest * largest + 400e6
    seconds = flops / _flops_per_second(vectors.matrix.shape[1])
    exact = (
        "exact greedy" if method == "k-center" or largest < block or n_points <= block
        else f"in blocks of {block:,} near vectors"
    )  # fmt: skip
    return (
        f"{method}: {sum(q.selected for q in quotas):,} of {free.height:,} rows, {n_points:,} "
        f"distinct vectors of {vectors.matrix.shape[1]} dimensions; {exact}; "
        f"{flops / 1e12:,.2f} TFLOP, about {_duration(seconds)}, {memory / 1e9:.1f} GB"
    )


def _flops_per_second(width: int) -> float:
    """Floating-point operations per second of the matrix products of a selection."""
    one = np.ones((2048, width), dtype=np.float32)
    one @ one.T
    started = time.perf_counter()
    one @ one.T
    return 2.0 * 2048 * 2048 * width / max(time.perf_counter() - started, 1e-6) * 0.6


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def summary(
    rows: pl.DataFrame, decisions: pl.DataFrame, quotas: list[Quota], vectors: Vectors | None,
    settings: Settings, sources: Sources, *, total: int, weight: float,
) -> dict[str, Any]:  # fmt: skip
    """Numbers of the run, as its manifest stores them."""
    import polars as pl

    kept = decisions["kept"]
    counts = decisions.filter(~kept)["reason"].value_counts().sort("reason")
    scores = rows["score"]
    found: dict[str, Any] = {
        "rows": rows.height,
        "wanted": total,
        "kept": int(kept.sum()),
        "removed": int((~kept).sum()),
        "removed_by_reason": dict(counts.iter_rows()),
        "method": settings.method,
        "quality_weight": weight,
        "by": list(settings.plan.by),
        "groups": [
            {
                "name": q.name,
                "available": q.available,
                "requested": q.requested,
                "selected": q.selected,
            }
            for q in quotas
        ],
        "off": _terms_off(settings, sources),
        "unscored": int(scores.is_null().sum()) if sources.scores else 0,
        "without_embedding": int((vectors.of_row < 0).sum()) if vectors is not None else 0,
        "images": rows.filter(pl.col("image_key") != "")["image_key"].n_unique(),
        "images_kept": rows.filter(kept & (rows["image_key"] != ""))["image_key"].n_unique(),
    }
    if sources.scores is not None:
        found["mean_score"] = {"all": _mean(scores), "kept": _mean(scores.filter(kept))}
    if sources.tags is not None:
        task = pl.DataFrame({"task": rows["task"].fill_null(UNTAGGED), "kept": kept})
        each = task.group_by("task").agg(pl.len(), pl.col("kept").sum()).sort("task")
        found["tasks"] = {t: {"rows": n, "kept": k} for t, n, k in each.iter_rows()}
    if vectors is not None and kept.any():
        found["coverage"] = coverage(vectors, kept.to_numpy(), settings.seed, settings.method)
    return found


def _mean(scores: pl.Series) -> float | None:
    value = scores.mean()
    return round(float(value), 4) if isinstance(value, int | float) else None


def _terms_off(settings: Settings, sources: Sources) -> list[str]:
    off = []
    if sources.scores is None:
        off.append("quality (no scores of samples: run `judge score`)")
    elif settings.quality == 0 and settings.is_diverse:
        off.append("quality (--quality 0)")
    elif settings.method == "random":
        off.append("quality (--method random)")
    if not settings.is_diverse:
        missing = sources.embeddings is None
        why = "no embeddings: run `curate embed`" if missing else f"--method {settings.method}"
        off.append(f"diversity ({why})")
    if sources.tags is None:
        off.append("task coverage (no tags: run `curate tag`)")
    elif "task" not in settings.plan.by:
        off.append("task coverage (neither --balance task nor a plan by task)")
    return off


def _current(stored: dict[str, Any]) -> dict[str, Any]:
    """A summary with current names of its keys."""

    def renamed(mapping: dict[str, Any]) -> dict[str, Any]:
        return {_OLD_KEYS.get(key, key): value for key, value in mapping.items()}

    found = renamed(stored)
    groups = [renamed(group) for group in found["groups"]]
    return found | {"groups": groups, "coverage": renamed(found.get("coverage") or {})}


def text(stored: dict[str, Any]) -> str:
    """The report of a summary."""
    found = _current(stored)
    weight = (
        f" with weight {found['quality_weight']:g} on scores" if found["quality_weight"] else ""
    )
    lines = [
        f"{found['rows']:,} rows in, {found['kept']:,} selected of {found['wanted']:,} requested, "
        f"by {found['method']}{weight}, in {found['seconds']:.1f} s"
    ]
    lines += [f"  off: {term}" for term in found["off"]]
    lines += _group_lines(found)
    if found["kept"] < found["wanted"]:
        missing = found["wanted"] - found["kept"]
        lines.append(f"  {missing:,} fewer than requested: no more rows are available")
    if n := found["unscored"]:
        lines.append(f"  {counted(n, 'row')} without a score: the median is used")
    if n := found["without_embedding"]:
        lines.append(
            f"  {counted(n, 'row')} without an embedding: a proportional part of the budget, by "
            "score"
        )
    if n := found["removed_by_reason"].get("image_cap"):
        lines.append(f"  {counted(n, 'row')} more than --per-image allows on the same images")
    lines.append(f"  images: {found['images_kept']:,} of {found['images']:,} are on a selected row")
    if scores := found.get("mean_score"):
        lines.append(
            f"  mean score: {_number(scores['kept'])} of selected rows, {_number(scores['all'])} "
            "of all rows"
        )
    lines += _coverage_lines(found["coverage"])
    return "\n".join(lines + _task_lines(found))


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _coverage_lines(cover: dict[str, float]) -> list[str]:
    if not cover:
        return []
    lines = [
        f"  cosine of a row to the nearest selected row: mean {cover['mean']:.3f}, 1 % below "
        f"{cover['low']:.3f}; with as many random rows: {cover['random_mean']:.3f} and "
        f"{cover['random_low']:.3f} (two random rows: {cover['floor']:.3f})"
    ]
    if "fraction_of_best" in cover:
        lines.append(
            f"  coverage is at least {100 * cover['fraction_of_best']:.1f} % of the best possible "
            f"with as many rows (bound, on {cover['sample']:,} rows)"
        )
    return lines


def _group_lines(found: dict[str, Any]) -> list[str]:
    if not found["by"]:
        return []
    titles = f"{'requested':>10} {'available':>10} {'selected':>10}"
    lines = [f"    {titles}  {'/'.join(found['by'])}"]
    for group in found["groups"]:
        note, missing = "", group["requested"] - group["selected"]
        if missing > 0:
            short = "too few rows" if group["selected"] == group["available"] else "at its bound"
            note = f"   {missing:,} missing: {short}"
        elif missing < 0:
            note = f"   {-missing:,} more, in place of rows missing in other groups"
        lines.append(
            f"    {group['requested']:>10,} {group['available']:>10,} {group['selected']:>10,}  "
            f"{'all other rows' if group['name'] == REST else group['name']}{note}"
        )
    if n := found["removed_by_reason"].get("no_target"):
        lines.append(f"    {counted(n, 'row')} in no group of the plan (rest: drop)")
    return lines


def _task_lines(found: dict[str, Any]) -> list[str]:
    tasks = found.get("tasks")
    if not tasks or "task" in found["by"]:
        return []
    kept, rows = max(1, found["kept"]), max(1, found["rows"])
    lines = ["  percentage of tasks in selected rows (in all rows):"]
    for name, count in tasks.items():
        rate = f"{100 * count['kept'] / kept:.1f} % ({100 * count['rows'] / rows:.1f} %)"
        lines.append(f"    {rate:>18}  {name}")
    return lines
