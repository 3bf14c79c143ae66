"""What a run of scores says, in figures and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from judge.rubric import Rubric
from pairwright.vlm.types import label_names

if TYPE_CHECKING:
    import polars as pl

# Below this share of its probability on the labels, the judge did not really answer.
LOW_MASS = 0.5


def summarise(frame: pl.DataFrame | None, rubric: Rubric) -> dict[str, Any]:
    """Figures of a run: marks by criterion, doubtful ones, errors, tokens."""
    import polars as pl

    out: dict[str, Any] = {"label_range": rubric.label_range, "rubric_hash": rubric.hash}
    if frame is None or frame.is_empty():
        return out | {"targets": 0, "marks": 0, "errors": 0, "low_label_mass": 0, "criteria": {}}
    marked = frame.filter(pl.col("score").is_not_null())
    return out | {
        "targets": frame["target_id"].n_unique(),
        "marks": marked.height,
        "errors": frame.height - marked.height,
        "low_label_mass": marked.filter(pl.col("label_mass") < LOW_MASS).height,
        "prompt_tokens": int(frame["n_prompt_tokens"].sum()),
        "completion_tokens": int(frame["n_tokens"].sum()),
        "criteria": {
            criterion.name: _distribution(
                marked.filter(pl.col("criterion") == criterion.name)["score"], rubric
            )
            for criterion in rubric.criteria
        },
    }


def _distribution(scores: pl.Series, rubric: Rubric) -> dict[str, Any]:
    """Mean, and how many marks are nearest to each label's value."""
    names = label_names(tuple(rubric.labels))
    values = list(rubric.labels.values())
    counts = dict.fromkeys(names, 0)
    for mark in scores:
        nearest = min(range(len(values)), key=lambda i: abs(values[i] - mark))
        counts[names[nearest]] += 1
    mean = scores.mean()
    return {"mean": mean if mean is None else round(float(mean), 4), "counts": counts}  # type: ignore[arg-type]


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
