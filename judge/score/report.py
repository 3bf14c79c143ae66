"""What a run of scores says, in figures and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from judge.rubric.rubric import Rubric
from pairwright.scores import JURY
from pairwright.vlm.types import label_names

if TYPE_CHECKING:
    import polars as pl

# Below this share of its probability on the labels, the judge did not really answer.
LOW_MASS = 0.5
_BARS = " .:-=+*#%@"
_READ = {
    "top_logprobs": "{n:,} marks are read off the likeliest tokens only (the server tells no more): "
    "labels that are not among them count as 0",
    "text": "{n:,} marks are read off written verdicts (the server tells no probabilities): they "
    "are whole labels, coarser than expected values; --draws 8 makes them finer",
}


def summarise(
    marks: pl.LazyFrame | None,
    rubric: Rubric,
    facts: pl.LazyFrame | None = None,
    shown: Sequence[str] = (),
) -> dict[str, Any]:
    """Figures of a run: marks by criterion, doubtful ones, errors, tokens.

    Args:
        marks: Rows of the run.
        rubric: They were given by.
        facts: Of the targets, whether they have what is in `shown`.
        shown: `criteria`, `reference`: what the judge saw of a sample where there was some.
    """
    import polars as pl

    out: dict[str, Any] = {"label_range": rubric.label_range, "rubric_hash": rubric.hash}
    if marks is None:
        nothing = dict.fromkeys(("targets", "marks", "errors", "low_label_mass"), 0)
        return out | nothing | {"label_mass": None, "criteria": {}}
    # Of 64-bit hashes: a set of the ids themselves would grow to several times the table's column.
    ids = pl.col("target_id").hash().n_unique()
    everyone = marks.select(ids).collect(engine="streaming").item()
    marks = marks.filter(pl.col("judge") != JURY)
    by_criterion = {c.name: _count(marks, rubric, c.name) for c in rubric.criteria}
    found = pl.concat(by_criterion.values())
    marked = found.filter(pl.col("nearest").is_not_null())
    known = int(marked["with_mass"].sum())
    return out | {
        "targets": int(everyone),
        "marks": int(marked["rows"].sum()),
        "errors": int(found["rows"].sum()) - int(marked["rows"].sum()),
        "low_label_mass": int(marked["low"].sum()),
        "label_mass": float(marked["mass"].sum()) / known if known else None,
        "prompt_tokens": int(found["prompt_tokens"].sum()),
        "completion_tokens": int(found["completion_tokens"].sum()),
        "read_from": {
            str(how): int(rows) for how, rows in
            marked.drop_nulls("read_from").group_by("read_from").agg(pl.col("rows").sum())
            .sort("read_from").iter_rows()
        },
        "criteria": {
            c.name: _distribution(
                by_criterion[c.name].filter(pl.col("nearest").is_not_null()),
                label_names(tuple(rubric.labels_of(c))),
            )
            for c in rubric.criteria
        },
        "shown": {} if facts is None else _shown(marks, facts, shown),
    }  # fmt: skip


def _count(marks: pl.LazyFrame, rubric: Rubric, criterion: str) -> pl.DataFrame:
    """Marks of a criterion by the label they are nearest to, and by how they were read."""
    import polars as pl

    score = pl.col("score")
    values = rubric.labels_of(rubric.named(criterion)).values()
    gaps = pl.concat_list([(score - value).abs() for value in values])
    nearest = pl.when(score.is_not_null()).then(gaps.list.arg_min())
    # Grouped in the engine: nothing of the size of the table comes to Python.
    return (
        marks.filter(pl.col("criterion") == criterion)
        .group_by("read_from", nearest=nearest)
        .agg(
            rows=pl.len(),
            total=score.sum(),
            low=(score.is_not_null() & (pl.col("label_mass") < LOW_MASS)).sum(),
            mass=pl.col("label_mass").sum(),
            with_mass=pl.col("label_mass").count(),
            prompt_tokens=pl.col("n_prompt_tokens").sum(),
            completion_tokens=pl.col("n_tokens").sum(),
        )
        .collect(engine="streaming")
    )


def _distribution(nearest: pl.DataFrame, names: tuple[str, ...]) -> dict[str, Any]:
    """Mean, and how many marks are nearest to each label's value."""
    counts = dict.fromkeys(names, 0)
    for label, rows in nearest.select("nearest", "rows").iter_rows():
        counts[names[label]] += rows
    total = int(nearest["rows"].sum())
    mean = round(float(nearest["total"].sum()) / total, 4) if total else None
    return {"mean": mean, "counts": counts}


def _shown(marks: pl.LazyFrame, facts: pl.LazyFrame, names: Sequence[str]) -> dict[str, Any]:
    """Marks of answers with and without something of their own that the judge saw."""
    import polars as pl

    given = marks.filter(pl.col("score").is_not_null()).join(facts, on="target_id")
    out: dict[str, Any] = {}
    for name in names:
        found = given.group_by(name).agg(pl.len().alias("marks"), pl.col("score").mean())
        rows = found.collect(engine="streaming").iter_rows()
        sides = {bool(has): {"marks": n, "mean": round(mean, 4)} for has, n, mean in rows}
        if True in sides:
            out[name] = {"with": sides[True], "without": sides.get(False)}
    return out


def describe(summary: dict[str, Any], rubric: Rubric) -> str:
    """The figures for people."""
    if not summary["targets"]:
        return "no answers to mark; `pairwright status` shows what became of the samples"
    lines = [f"{summary['marks']:,} marks on {summary['targets']:,} answers"]
    width = max(len(c.name) for c in rubric.criteria)
    for name, found in summary["criteria"].items():
        if found["mean"] is None:
            continue
        total = sum(found["counts"].values()) or 1
        shares = "  ".join(f"{k}: {100 * n / total:.0f} %" for k, n in found["counts"].items())
        bars = _bars(list(found["counts"].values()))
        lines.append(f"  {name:<{width}}  mean {found['mean']:.2f}  [{bars}]  {shares}")
    lines += [f"  {line}" for line in (*_doubts(summary), *_company(summary), *_cost(summary))]
    return "\n".join(lines)


def _bars(counts: Sequence[int]) -> str:
    """A character a label, the darker the more marks."""
    most = max(counts, default=0) or 1
    return "".join(_BARS[-(-n * (len(_BARS) - 1) // most)] for n in counts)


def _doubts(summary: dict[str, Any]) -> list[str]:
    lines = []
    if summary.get("label_mass") is not None:
        share = 100 * summary["label_mass"]
        lines.append(f"{share:.1f} % of the judge's probability was on the labels, on average")
    lines += [
        _READ[how].format(n=n) for how, n in summary.get("read_from", {}).items() if how in _READ
    ]
    low = summary["low_label_mass"]
    if low:
        lines.append(
            f"{low:,} marks rest on less than half of the judge's "
            "probability: it wanted to say something else than a label there; look at them, or "
            "leave them out with --min-label-mass 0.5"
        )
        if low > summary["marks"] / 2:
            lines.append(
                "most marks are such: this judge does not follow the rubric's prompt; try another "
                "rubric, or --rationale before"
            )
    if summary["errors"]:
        lines.append(f"{summary['errors']:,} replies without a verdict (no score, see `error`)")
    return lines


def _company(summary: dict[str, Any]) -> list[str]:
    """What else the judge saw, and how several judges agree."""
    lines = []
    for name, sides in summary.get("shown", {}).items():
        what = "criteria of their own" if name == "criteria" else "a reference answer"
        mine, others = sides["with"], sides["without"]
        text = f"{mine['marks']:,} marks were given in sight of {what}: mean {mine['mean']:.2f}"
        if others:
            text += f"; the other {others['marks']:,} without: mean {others['mean']:.2f}"
        lines.append(text)
    jury = summary.get("jury", {})
    for name, found in jury.get("criteria", {}).items():
        means = ", ".join(
            f"{who} {mean:.2f}" for who, mean in found["means"].items() if mean is not None
        )
        alpha = "" if found["alpha"] is None else f", Krippendorff's alpha {found['alpha']:.2f}"
        apart = "" if found["sd"] is None else f"; judges are apart by {found['sd']:.2f}"
        lines.append(f"jury, {name}: {means}{apart}{alpha}")
    if jury.get("without_a_full_jury"):
        lines.append(
            f"{jury['without_a_full_jury']:,} marks lack a judge: the jury gives none there"
        )
    return lines


def _cost(summary: dict[str, Any]) -> list[str]:
    if not summary.get("prompt_tokens"):
        return []
    text = (
        f"{summary['prompt_tokens']:,} prompt tokens, "
        f"{summary['completion_tokens']:,} completion tokens"
    )
    asked = summary.get("asked", {})
    if asked.get("seconds"):
        pace = asked["requests"] / asked["seconds"]
        text += (
            f"; {asked['requests']:,} requests in {asked['seconds']:,.0f} s ({pace:,.1f} a second)"
        )
    return [text]
