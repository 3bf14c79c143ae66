"""What decisions runs dropped, by reason, with examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from curate.report.examples import cut_text, pick, similarity_value
from curate.report.facts import Facts, Step
from curate.report.words import step_title

if TYPE_CHECKING:
    import polars as pl

    from curate.report.options import ReportOptions
    from pairwright.dataset.store import Dataset

_BY_SIMILARITY: Final = ("dedup", "decontaminate")  # steps whose value is a similarity

Row = dict[str, Any]


def dropped(dataset: Dataset, facts: Facts, options: ReportOptions) -> list[Row]:
    """What every decisions run dropped, by reason, the borderline rows first; duplicates are elsewhere."""
    out = []
    for step in facts.steps:
        out += _dropped_by(dataset, step, options)
    return out


def _dropped_by(dataset: Dataset, step: Step, options: ReportOptions) -> list[Row]:
    import polars as pl

    frame = dataset.scan(step.manifest)
    is_dropped = ~pl.col("kept")
    if step.manifest.step == "dedup":
        is_dropped &= pl.col("kept_id").is_null()
    rows = frame.filter(is_dropped).select(
        "sample_id", "reason", "method", similarity_value(), "kept_id", pl.col("sample_id").alias("key")
    ).collect()  # fmt: skip
    if rows.is_empty():
        return []
    order = rows["reason"].value_counts().sort("count", "reason", descending=[True, False])
    # Few of many reasons, more of few: a page shows about fifty cards per step.
    n_each = min(options.examples, max(4, 48 // order.height))
    out = []
    for reason, n in order.iter_rows():
        mine = rows.filter(pl.col("reason") == reason)
        value = mine["similarity"].drop_nulls()
        method = mine["method"].mode().sort()[0]
        rule, threshold = _rule(step, str(reason))
        out.append(
            {
                "run": step.manifest.ref,
                "step": step.manifest.step,
                "title": step_title(step.manifest.step),
                "reason": reason,
                "words": step.words(str(reason)),
                "method": method,
                "rule": rule,
                "threshold": threshold,
                "rows": n,
                "value": _range(value),
                "examples": _picked(mine, n_each, threshold, step, options.seed),
            }
        )
    _add_benchmark_rows(dataset, step, out)
    return out


def _add_benchmark_rows(dataset: Dataset, step: Step, reasons: list[Row]) -> None:
    """Add the benchmark's rows to those that were dropped because of them."""
    import polars as pl

    found = dataset.manifest("overlaps", step.manifest.run)
    if found is None or not found.is_complete:
        return
    shown = {one["sample_id"]: one for reason in reasons for one in reason["examples"]}
    rows = dataset.scan(found).filter(pl.col("sample_id").is_in(list(shown)))
    for row in rows.collect().iter_rows(named=True):
        shown[row["sample_id"]]["benchmark_row"] = {
            "benchmark": row["benchmark"],
            "kind": row["kind"],
            "id": cut_text(row["bench_source_id"], 120),
            "text": cut_text(row["bench_text"] or "", 300),
        }


def _rule(step: Step, reason: str) -> tuple[str | None, float | None]:
    """What a filter's run recorded of a rule: it in words, and its threshold."""
    rules = step.manifest.summary.get("filters")
    one = rules.get(reason) if isinstance(rules, dict) else None
    if isinstance(one, dict):
        threshold = one.get("threshold")
        rule = one.get("rule")
        return (
            rule if isinstance(rule, str) else None,
            float(threshold) if isinstance(threshold, int | float) else None,
        )
    least = step.manifest.config.get("min_score")
    if reason == "score" and isinstance(least, int | float):
        return f"score below {least:g}", float(least)
    return None, None


def _picked(
    mine: pl.DataFrame, n: int, threshold: float | None, step: Step, seed: int
) -> list[Row]:
    """The rows nearest to the threshold first; without one, in a seeded order."""
    import polars as pl

    nearest: list[pl.Expr] = []
    if threshold is not None:
        nearest = [(pl.col("similarity") - threshold).abs()]
    elif step.manifest.step in _BY_SIMILARITY:
        nearest = [pl.col("similarity")]
    chosen = pick(mine, n, seed=seed, nearest=nearest)
    return [
        {"sample_id": r["sample_id"], "value": r["similarity"], "method": r["method"],
         "because_of": r["kept_id"], "benchmark_row": None, "sampled": bool(nearest) and not r["borderline"]}
        for r in chosen.iter_rows(named=True)
    ]  # fmt: skip


def _range(value: pl.Series) -> dict[str, float] | None:
    if value.is_empty():
        return None
    values = {"min": value.min(), "median": value.median(), "max": value.max()}
    return {name: round(float(v), 4) for name, v in values.items()}  # type: ignore[arg-type]
