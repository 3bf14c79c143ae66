"""`judge jury`: marks of runs that exist, of judges or people, become a jury's; nothing is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from judge.ask.jury import KEYS, Disagreement, jury_rows, parts_of
from judge.jury.options import JuryOptions
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions, as_config
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.scores import JURY

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.writer import RunWriter

_LABELS = 20


def jury(dataset: Dataset, options: JuryOptions, run: RunOptions) -> Outcome:
    """Write the jury's marks for what enough of the judges have marked.

    Raises:
        UsageError: If a run is missing, or the runs do not mark the same things.
    """
    runs = [_run(dataset, name) for name in options.scores]
    marks = _members(dataset, runs)
    judges, kind = _who(marks, options, runs)
    name = run.run or "jury"
    ref = f"scores/{name}"
    if run.dry_run:
        message = f"dry run, nothing written: {ref} would join {', '.join(judges)}"
        return Outcome(message=message, summary={"judges": judges})
    config = as_config(options) | {"label_range": _range(runs[0]), "limit": run.limit}
    with dataset.write(
        "scores",
        name,
        step="score" if kind == "sample" else "score-responses",
        config=config,
        inputs=runs,
        replace=run.replace,
        resumable=False,
    ) as writer:
        done = writer.is_complete
        if not done:
            writer.summary.update(judges=judges, label_range=_range(runs[0]))
            _fill(writer, marks, options, _values(marks, runs), run.limit)
    said = _describe(writer.summary, writer.n_rows)
    return Outcome(
        message=f"{'nothing to do: ' if done else ''}{ref}: {said}\n"
        f"  readers take it where you say so: `pairwright use {ref}`",
        table=ref,
        rows=writer.n_rows,
        summary=writer.summary,
    )


def _fill(
    writer: RunWriter,
    marks: pl.LazyFrame,
    options: JuryOptions,
    values: dict[str, list[float]],
    limit: int | None,
) -> None:
    """Write the jury's rows, and into the summary how its judges agree."""
    disagreement = Disagreement()
    few, left = 0, limit
    for part in parts_of(marks):
        counted = part.filter(_has_mark()).group_by(KEYS, maintain_order=True).len()
        enough = counted.filter(counted["len"] >= options.min_judges)
        few += part.select(KEYS).n_unique() - enough.height
        if left is not None:
            enough = enough.head(left)
            left -= enough.height
        members = part.join(enough, on=KEYS, how="semi", maintain_order="left")
        disagreement.see(members)
        if members.height:
            weights = options.weight_of()
            writer.add(jury_rows(members, by=options.jury_by, values=values, weights=weights))
    found = disagreement.figures()
    writer.summary.update(jury_by=options.jury_by, too_few_judges=few, **found)


def _run(dataset: Dataset, name: str) -> Manifest:
    found = dataset.pick("scores", name.removeprefix("scores/"))
    assert found is not None
    return found


def _members(dataset: Dataset, runs: list[Manifest]) -> pl.LazyFrame:
    """One row an answer, criterion and judge, on the first run's range; draws are averaged."""
    import polars as pl

    start, end = _range(runs[0]) or (0.0, 1.0)
    parts = []
    for run in runs:
        low, high = _range(run) or (start, end)
        rows = dataset.scan(run).filter(pl.col("judge") != JURY)
        stretch = (end - start) / ((high - low) or 1.0)
        # Another run's scale is stretched onto the first one's.
        score = start + (pl.col("score").fill_nan(None) - low) * stretch
        parts.append(rows.with_columns(score=score, run=pl.lit(run.run)))
    marks = pl.concat(parts, how="diagonal_relaxed")
    several = marks.group_by("judge").agg(pl.col("run").n_unique().alias("runs"))
    marks = marks.join(several, on="judge").with_columns(
        judge=pl.when(pl.col("runs") > 1)
        .then(pl.format("{} in {}", "judge", "run"))
        .otherwise("judge")
    )
    return marks.group_by("target_id", "criterion", "judge").agg(
        pl.col("target_kind", "rubric", "rubric_hash", "prompt_hash").first(),
        pl.lit(0, pl.Int32).alias("repeat"),
        pl.lit(None, pl.Int32).alias("turn"),
        pl.col("score", "calibrated", "label_mass").mean(),
    )


def _has_mark() -> pl.Expr:
    import polars as pl

    return pl.col("score").is_not_null()


def _range(run: Manifest) -> list[float] | None:
    found = run.summary.get("label_range") or run.config.get("label_range")
    return [float(x) for x in found] if found else None


def _who(marks: pl.LazyFrame, options: JuryOptions, runs: list[Manifest]) -> tuple[list[str], str]:
    """The judges, and the kind of what they mark.

    Raises:
        UsageError: If they are no jury.
    """
    import polars as pl

    known = marks.select("judge", "target_kind", "criterion").unique().collect()
    judges = sorted(known["judge"].unique().to_list())
    refs = ", ".join(run.ref for run in runs)
    if len(judges) < options.min_judges:
        found = f"{len(judges)} judge{'' if len(judges) == 1 else 's'} ({', '.join(judges)})"
        msg = f"{refs}: {found}, --min-judges asks for {options.min_judges}: name more runs with --scores"
        raise UsageError(msg)
    kinds = sorted(known["target_kind"].unique().to_list())
    if len(kinds) > 1:
        msg = f"{refs}: some mark samples and some responses: a jury marks one kind"
        raise UsageError(msg)
    shared = known.group_by("criterion").agg(pl.col("judge").n_unique())
    if shared.filter(pl.col("judge") >= options.min_judges).is_empty():
        names = ", ".join(sorted(known["criterion"].unique().to_list()))
        msg = f"{refs}: no criterion is marked by {options.min_judges} judges (there are {names})"
        raise UsageError(msg)
    for name in options.weight_of():
        if name not in judges:
            msg = f"--weights {name}: no such judge; there are {', '.join(judges)}"
            raise UsageError(msg)
    return judges, kinds[0]


def _values(marks: pl.LazyFrame, runs: list[Manifest]) -> dict[str, list[float]]:
    """Values that can be voted for: whole numbers of the range, or its ends if it is short."""
    import polars as pl

    low, high = _range(runs[0]) or marks.select(
        pl.col("score").min().alias("low"), pl.col("score").max().alias("high")
    ).collect().row(0)
    steps = [low + n for n in range(int(high - low) + 1)] if 1 < high - low < _LABELS else []
    names = marks.select("criterion").unique().collect()["criterion"].to_list()
    return {name: steps or [low, high] for name in names}


def _describe(summary: dict[str, Any], rows: int) -> str:
    lines = [
        f"{rows:,} marks of a jury of {len(summary['judges'])}: {', '.join(summary['judges'])}"
    ]
    for name, found in summary["criteria"].items():
        means = ", ".join(f"{who} {m:.2f}" for who, m in found["means"].items() if m is not None)
        alpha = "" if found["alpha"] is None else f", Krippendorff's alpha {found['alpha']:.2f}"
        apart = "" if found["sd"] is None else f"; apart by {found['sd']:.2f}"
        lines.append(f"  {name}: {means}{apart}{alpha}")
    if summary["too_few_judges"]:
        lines.append(f"  {summary['too_few_judges']:,} marks left out: too few judges")
    return "\n".join(lines)
