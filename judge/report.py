"""What a run of scores says, in figures and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from judge.rubric import Rubric
from pairwright.vlm.types import label_names

if TYPE_CHECKING:
    import polars as pl

# Below this share of its probability on the labels, the judge did not really answer.
LOW_MASS = 0.5


def summarise(marks: pl.LazyFrame | None, rubric: Rubric) -> dict[str, Any]:
    """Figures of a run: marks by criterion, doubtful ones, errors, tokens."""
    import polars as pl

    out: dict[str, Any] = {"label_range": rubric.label_range, "rubric_hash": rubric.hash}
    if marks is None:
        return out | {"targets": 0, "marks": 0, "errors": 0, "low_label_mass": 0, "criteria": {}}
    score = pl.col("score")
    names = label_names(tuple(rubric.labels))
    values = list(rubric.labels.values())
    gaps = pl.concat_list([(score - value).abs() for value in values])
    # Grouped in the engine: nothing of the size of the table comes to Python.
    found = (
        marks.group_by("criterion", nearest=pl.when(score.is_not_null()).then(gaps.list.arg_min()))
        .agg(
            rows=pl.len(),
            total=score.sum(),
            low=(score.is_not_null() & (pl.col("label_mass") < LOW_MASS)).sum(),
            prompt_tokens=pl.col("n_prompt_tokens").sum(),
            completion_tokens=pl.col("n_tokens").sum(),
        )
        .collect(engine="streaming")
    )
    marked = found.filter(pl.col("nearest").is_not_null())
    targets = marks.select(pl.col("target_id").n_unique()).collect(engine="streaming").item()
    return out | {
        "targets": int(targets),
        "marks": int(marked["rows"].sum()),
        "errors": int(found["rows"].sum()) - int(marked["rows"].sum()),
        "low_label_mass": int(marked["low"].sum()),
        "prompt_tokens": int(found["prompt_tokens"].sum()),
        "completion_tokens": int(found["completion_tokens"].sum()),
        "criteria": {
            criterion.name: _distribution(
                marked.filter(pl.col("criterion") == criterion.name), names
            )
            for criterion in rubric.criteria
        },
    }


def _distribution(nearest: pl.DataFrame, names: tuple[str, ...]) -> dict[str, Any]:
    """Mean, and how many marks are nearest to each label's value."""
    counts = dict.fromkeys(names, 0)
    for label, rows in nearest.select("nearest", "rows").iter_rows():
        counts[names[label]] = rows
    total = int(nearest["rows"].sum())
    mean = round(float(nearest["total"].sum()) / total, 4) if total else None
    return {"mean": mean, "counts": counts}


def describe(summary: dict[str, Any], rubric: Rubric) -> str:
    """The figures for people."""
    lines = [f"{summary['marks']:,} marks on {summary['targets']:,} answers"]
    width = max(len(c.name) for c in rubric.criteria)
    for name, found in summary["criteria"].items():
        if found["mean"] is None:
            continue
        total = sum(found["counts"].values()) or 1
        shares = "  ".join(f"{k}: {100 * n / total:.0f} %" for k, n in found["counts"].items())
        lines.append(f"  {name:<{width}}  mean {found['mean']:.2f}   {shares}")
    if summary["low_label_mass"]:
        lines.append(
            f"  {summary['low_label_mass']:,} marks rest on less than half of the judge's "
            "probability: it wanted to say something else than a label there"
        )
    if summary["errors"]:
        lines.append(f"  {summary['errors']:,} replies without a verdict (no score, see `error`)")
    if summary.get("prompt_tokens"):
        lines.append(
            f"  {summary['prompt_tokens']:,} prompt tokens, "
            f"{summary['completion_tokens']:,} completion tokens"
        )
    return "\n".join(lines)
