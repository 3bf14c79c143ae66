"""What a run of scores found, as metrics and as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from judge.ask.jury import agreement_text
from judge.ask.options import LOW_MASS
from judge.rubric.rubric import Rubric
from pairwright.scores import JURY
from pairwright.text.counts import counted
from pairwright.vlm.types import label_names

if TYPE_CHECKING:
    import polars as pl

_BARS = " .:-=+*#%@"
_READ = {
    "top_logprobs": (
        "score uses",
        "scores use",
        "the most likely tokens only (the server reports no others): labels that are not among "
        "them count as 0",
    ),
    "text": (
        "score is",
        "scores are",
        "read from the text of the verdict (the server reports no probabilities): a whole label, "
        "coarser than an expected value; --repeats 8 makes it finer",
    ),
}


def summarise(
    scores: pl.LazyFrame | None,
    rubric: Rubric,
    context: pl.LazyFrame | None = None,
    shown: Sequence[str] = (),
) -> dict[str, Any]:
    """Metrics of a run: scores by criterion, doubtful ones, errors, tokens.

    Args:
        scores: Rows of the run.
        rubric: Their rubric.
        context: By target, whether it has what `shown` names.
        shown: `criteria`, `reference`: what the judge saw of a sample that has it.
    """
    import polars as pl

    out: dict[str, Any] = {"label_range": rubric.label_range, "rubric_hash": rubric.hash}
    if scores is None:
        nothing = dict.fromkeys(("targets", "scores", "errors", "low_label_mass"), 0)
        return out | nothing | {"label_mass": None, "criteria": {}}
    # Of 64-bit hashes: a set of the ids themselves would grow to several times the table's column.
    ids = pl.col("target_id").hash().n_unique()
    targets = scores.select(ids).collect(engine="streaming").item()
    scores = scores.filter(pl.col("judge") != JURY)
    by_criterion = {c.name: _count(scores, rubric, c.name) for c in rubric.criteria}
    found = pl.concat(by_criterion.values())
    scored = found.filter(pl.col("nearest").is_not_null())
    with_mass = int(scored["with_mass"].sum())
    return out | {
        "targets": int(targets),
        "scores": int(scored["rows"].sum()),
        "errors": int(found["rows"].sum()) - int(scored["rows"].sum()),
        "low_label_mass": int(scored["low"].sum()),
        "label_mass": float(scored["mass"].sum()) / with_mass if with_mass else None,
        "prompt_tokens": int(found["prompt_tokens"].sum()),
        "completion_tokens": int(found["completion_tokens"].sum()),
        "read_from": {
            str(how): int(rows) for how, rows in
            scored.drop_nulls("read_from").group_by("read_from").agg(pl.col("rows").sum())
            .sort("read_from").iter_rows()
        },
        "criteria": {
            c.name: _distribution(
                by_criterion[c.name].filter(pl.col("nearest").is_not_null()),
                label_names(tuple(rubric.labels_of(c))),
            )
            for c in rubric.criteria
        },
        "shown": {} if context is None else _shown(scores, context, shown),
    }  # fmt: skip


def _count(scores: pl.LazyFrame, rubric: Rubric, criterion: str) -> pl.DataFrame:
    """Scores of a criterion, counted by the nearest label and by how they were read."""
    import polars as pl

    score = pl.col("score")
    values = rubric.labels_of(rubric.named(criterion)).values()
    distances = pl.concat_list([(score - value).abs() for value in values])
    nearest = pl.when(score.is_not_null()).then(distances.list.arg_min())
    # Grouped in the engine: nothing of the size of the table comes to Python.
    return (
        scores.filter(pl.col("criterion") == criterion)
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
    """The mean, and how many scores are nearest to each label's value."""
    counts = dict.fromkeys(names, 0)
    for label, rows in nearest.select("nearest", "rows").iter_rows():
        counts[names[label]] += rows
    total = int(nearest["rows"].sum())
    mean = round(float(nearest["total"].sum()) / total, 4) if total else None
    return {"mean": mean, "counts": counts}


def _shown(scores: pl.LazyFrame, context: pl.LazyFrame, names: Sequence[str]) -> dict[str, Any]:
    """Scores of targets with and without own criteria or a reference that the judge saw."""
    import polars as pl

    given = scores.filter(pl.col("score").is_not_null()).join(context, on="target_id")
    out: dict[str, Any] = {}
    for name in names:
        found = given.group_by(name).agg(pl.len().alias("scores"), pl.col("score").mean())
        rows = found.collect(engine="streaming").iter_rows()
        sides = {bool(has): {"scores": n, "mean": round(mean, 4)} for has, n, mean in rows}
        if True in sides:
            out[name] = {"with": sides[True], "without": sides.get(False)}
    return out


def describe(summary: dict[str, Any], rubric: Rubric) -> str:
    """The metrics as text."""
    if not summary["targets"]:
        return "no responses to score; `pairwright status` shows what happened to the samples"
    lines = [f"{counted(summary['scores'], 'score')} of {counted(summary['targets'], 'response')}"]
    width = max(len(c.name) for c in rubric.criteria)
    for name, found in summary["criteria"].items():
        if found["mean"] is None:
            continue
        total = sum(found["counts"].values()) or 1
        rates = "  ".join(f"{k}: {100 * n / total:.0f} %" for k, n in found["counts"].items())
        bars = _bars(list(found["counts"].values()))
        lines.append(f"  {name:<{width}}  mean {found['mean']:.2f}  [{bars}]  {rates}")
    details = (*_doubts(summary), *_context_lines(summary), *_jury_lines(summary), *_cost(summary))
    return "\n".join([*lines, *(f"  {line}" for line in details)])


def _bars(counts: Sequence[int]) -> str:
    """One character per label, darker for more scores."""
    largest = max(counts, default=0) or 1
    return "".join(_BARS[-(-n * (len(_BARS) - 1) // largest)] for n in counts)


def _doubts(summary: dict[str, Any]) -> list[str]:
    lines = []
    if summary.get("label_mass") is not None:
        mass = 100 * summary["label_mass"]
        lines.append(f"mean probability mass on the labels: {mass:.1f} %")
    lines += [
        f"{counted(n, *_READ[how][:2])} {_READ[how][2]}"
        for how, n in summary.get("read_from", {}).items()
        if how in _READ
    ]
    low = summary["low_label_mass"]
    if low:
        lines.append(
            f"{counted(low, 'score has', 'scores have')} a probability mass on the labels below {LOW_MASS:g}: the judge "
            "preferred another reply; check these rows, or leave them out with --min-label-mass "
            f"{LOW_MASS:g}"
        )
        if low > summary["scores"] / 2:
            lines.append(
                "this is more than half of the scores: the judge does not follow the rubric's "
                "prompt; try another rubric, or --rationale before"
            )
    if summary["errors"]:
        lines.append(
            f"{counted(summary['errors'], 'reply', 'replies')} without a verdict (no score, see `error`)"
        )
    return lines


def _context_lines(summary: dict[str, Any]) -> list[str]:
    """Scores with and without own criteria or a reference."""
    lines = []
    for name, sides in summary.get("shown", {}).items():
        what = "the sample's own criteria" if name == "criteria" else "a reference answer"
        own, others = sides["with"], sides["without"]
        text = (
            f"{counted(own['scores'], 'score')} with {what} in the prompt: mean {own['mean']:.2f}"
        )
        if others:
            text += f"; {others['scores']:,} without: mean {others['mean']:.2f}"
        lines.append(text)
    return lines


def _jury_lines(summary: dict[str, Any]) -> list[str]:
    """How several judges agree."""
    jury = summary.get("jury", {})
    lines = [
        f"jury, {name}: {agreement_text(found)}" for name, found in jury.get("criteria", {}).items()
    ]
    if jury.get("without_a_full_jury"):
        lines.append(
            f"{counted(jury['without_a_full_jury'], 'score lacks', 'scores lack')} a judge: the jury gives no score there"
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
        rate = asked["requests"] / asked["seconds"]
        text += f"; {asked['requests']:,} requests in {asked['seconds']:,.0f} s ({rate:,.1f} per second)"
    return [text]
