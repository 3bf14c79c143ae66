"""Groups of duplicates next to their kept row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from curate.report.examples import pick, similarity_value
from curate.report.facts import Facts, Step

if TYPE_CHECKING:
    import polars as pl

    from curate.report.options import ReportOptions
    from pairwright.dataset.store import Dataset

_MEMBERS: Final = 2  # removed rows of a group that are shown

Row = dict[str, Any]


def duplicates(dataset: Dataset, facts: Facts, options: ReportOptions) -> dict[str, Any] | None:
    """Groups of duplicates, the least similar first; `None` where no dedup is active."""
    import polars as pl

    step = next((s for s in facts.steps if s.manifest.step == "dedup"), None)
    if step is None:
        return None
    removed = (
        dataset.scan(step.manifest)
        .filter(~pl.col("kept") & pl.col("kept_id").is_not_null())
        .select("sample_id", "kept_id", "reason", "method", similarity_value())
        .collect()
    )
    groups = removed.group_by("kept_id").agg(
        pl.len().alias("removed"),
        pl.col("similarity").min(),
        pl.col("reason").sort_by("similarity", "sample_id").first(),
    )
    sizes = groups.group_by((pl.col("removed") + 1).alias("rows")).len("groups").sort("rows")
    summary = step.manifest.summary
    distinct = summary.get("distinct_pair_examples", summary.get("held_back_examples", []))
    return {
        "run": step.manifest.ref,
        "groups": groups.height,
        "rows": removed.height,
        "on": step.manifest.config.get("on"),
        "threshold": step.manifest.config.get("threshold"),
        "sizes": sizes.to_dicts(),
        "similarity": _similarity(removed["similarity"]),
        "kept_as_distinct": summary.get("distinct_pairs", summary.get("held_back_pairs")),
        "examples": _groups(removed, groups, step, options),
        "kept_as_distinct_examples": [{"a": a, "b": b} for a, b in distinct[: options.examples]],
    }


def _groups(
    removed: pl.DataFrame, groups: pl.DataFrame, step: Step, options: ReportOptions
) -> list[Row]:
    """Some groups of every reason, because one kind could crowd out the others."""
    import polars as pl

    if groups.is_empty() or not options.examples:
        return []
    kinds = groups["reason"].unique().sort().to_list()
    n_each = max(2, -(-options.examples // len(kinds)))
    keyed = groups.with_columns(pl.col("kept_id").alias("key"))
    chosen = pl.concat(
        [
            pick(keyed.filter(pl.col("reason") == kind), n_each, seed=options.seed,
                 nearest=[pl.col("similarity")])
            for kind in kinds
        ]
    ).sort(~pl.col("borderline"), "similarity", "key", nulls_last=True)  # fmt: skip
    members = removed.join(chosen.select("kept_id"), on="kept_id", how="semi")
    out = []
    for group in chosen.head(max(options.examples, len(kinds))).iter_rows(named=True):
        mine = members.filter(pl.col("kept_id") == group["kept_id"]).sort("similarity", "sample_id")
        out.append(
            {
                "kept": group["kept_id"],
                "removed": [
                    {"sample_id": r["sample_id"], "reason": r["reason"], "method": r["method"],
                     "similarity": r["similarity"], "words": step.words(r["reason"])}
                    for r in mine.head(_MEMBERS).iter_rows(named=True)
                ],
                "removed_in_all": group["removed"],
                "similarity": group["similarity"],
                "borderline": group["borderline"],
            }
        )  # fmt: skip
    return out


def _similarity(values: pl.Series) -> dict[str, Any]:
    """Similarity of removed rows to their kept row, below 1 in steps of 0.01."""
    import polars as pl

    given = values.drop_nulls()
    below = given.filter(given < 1)
    step = (below * 100).floor().cast(pl.Int64)
    counts = step.value_counts().sort(by=step.name) if len(below) else None
    bins = [] if counts is None else list(counts.iter_rows())
    return {
        "equal": len(given) - len(below),
        "below": len(below),
        "bins": [{"from": b / 100, "to": (b + 1) / 100, "rows": n} for b, n in bins],
    }
