"""`judge jury`: existing runs of scores, by models or human annotators, combined into a jury's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from judge.ask.jury import KEYS, Disagreement, agreement_text, jury_rows, parts_of
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

_MAX_VALUES = 20


def jury(dataset: Dataset, options: JuryOptions, run: RunOptions) -> Outcome:
    """Write the jury's score of everything that enough judges have scored; no model is asked.

    Raises:
        UsageError: If a run is missing, or the runs do not score the same things.
    """
    runs = [_run(dataset, name) for name in options.scores]
    scores = _members(dataset, runs)
    judges, kind = _judges(scores, options, runs)
    name = run.run or "jury"
    ref = f"scores/{name}"
    if run.dry_run:
        message = f"dry run, nothing written: {ref} would combine {', '.join(judges)}"
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
            _fill(writer, scores, options, _values(scores, runs), run.limit)
    text = _describe(writer.summary, writer.n_rows)
    return Outcome(
        message=f"{'nothing to do: ' if done else ''}{ref}: {text}\n"
        f"  `pairwright use {ref}` makes it the run that downstream commands read",
        table=ref,
        rows=writer.n_rows,
        summary=writer.summary,
    )


def _fill(
    writer: RunWriter,
    scores: pl.LazyFrame,
    options: JuryOptions,
    values: dict[str, list[float]],
    limit: int | None,
) -> None:
    """Write the jury's rows, and into the summary how its judges agree."""
    import polars as pl

    disagreement = Disagreement()
    too_few, left = 0, limit
    for part in parts_of(scores):
        counted = part.filter(pl.col("score").is_not_null()).group_by(KEYS, maintain_order=True)
        enough = counted.len().filter(pl.col("len") >= options.min_judges)
        too_few += part.select(KEYS).n_unique() - enough.height
        if left is not None:
            enough = enough.head(left)
            left -= enough.height
        members = part.join(enough, on=KEYS, how="semi", maintain_order="left")
        disagreement.add(members)
        if members.height:
            weights = options.weight_of()
            writer.add(jury_rows(members, by=options.jury_by, values=values, weights=weights))
    found = disagreement.metrics()
    writer.summary.update(jury_by=options.jury_by, too_few_judges=too_few, **found)


def _run(dataset: Dataset, name: str) -> Manifest:
    found = dataset.pick("scores", name.removeprefix("scores/"))
    assert found is not None
    return found


def _members(dataset: Dataset, runs: list[Manifest]) -> pl.LazyFrame:
    """One row per target, criterion and judge, on the first run's range; repeats are averaged."""
    import polars as pl

    start, end = _range(runs[0]) or (0.0, 1.0)
    parts = []
    for run in runs:
        low, high = _range(run) or (start, end)
        rows = dataset.scan(run).filter(pl.col("judge") != JURY)
        # The range of each run is mapped onto the range of the first one.
        factor = (end - start) / ((high - low) or 1.0)
        score = start + (pl.col("score").fill_nan(None) - low) * factor
        parts.append(rows.with_columns(score=score, run=pl.lit(run.run)))
    scores = pl.concat(parts, how="diagonal_relaxed")
    several = scores.group_by("judge").agg(pl.col("run").n_unique().alias("runs"))
    scores = scores.join(several, on="judge").with_columns(
        judge=pl.when(pl.col("runs") > 1)
        .then(pl.format("{} in {}", "judge", "run"))
        .otherwise("judge")
    )
    return scores.group_by("target_id", "criterion", "judge").agg(
        pl.col("target_kind", "rubric", "rubric_hash", "prompt_hash").first(),
        pl.lit(0, pl.Int32).alias("repeat"),
        pl.lit(None, pl.Int32).alias("turn"),
        pl.col("score", "calibrated", "label_mass").mean(),
    )


def _range(run: Manifest) -> list[float] | None:
    found = run.summary.get("label_range") or run.config.get("label_range")
    return [float(x) for x in found] if found else None


def _judges(
    scores: pl.LazyFrame, options: JuryOptions, runs: list[Manifest]
) -> tuple[list[str], str]:
    """The judges, and the kind of what they score.

    Raises:
        UsageError: If they cannot be combined.
    """
    import polars as pl

    known = scores.select("judge", "target_kind", "criterion").unique().collect()
    judges = sorted(known["judge"].unique().to_list())
    refs = ", ".join(run.ref for run in runs)
    if len(judges) < options.min_judges:
        found = f"{len(judges)} judge{'' if len(judges) == 1 else 's'} ({', '.join(judges)})"
        msg = f"{refs}: {found}, --min-judges asks for {options.min_judges}: name more runs with --scores"
        raise UsageError(msg)
    kinds = sorted(known["target_kind"].unique().to_list())
    if len(kinds) > 1:
        msg = f"{refs}: some score samples and some score responses: a jury needs one kind"
        raise UsageError(msg)
    shared = known.group_by("criterion").agg(pl.col("judge").n_unique())
    if shared.filter(pl.col("judge") >= options.min_judges).is_empty():
        names = ", ".join(sorted(known["criterion"].unique().to_list()))
        msg = f"{refs}: no criterion is scored by {options.min_judges} judges; the criteria are {names}"
        raise UsageError(msg)
    for name in options.weight_of():
        if name not in judges:
            msg = f"--weights {name}: no such judge; there are {', '.join(judges)}"
            raise UsageError(msg)
    return judges, kinds[0]


def _values(scores: pl.LazyFrame, runs: list[Manifest]) -> dict[str, list[float]]:
    """Values that can be voted for: whole numbers of the range, or its ends if it is short."""
    import polars as pl

    low, high = _range(runs[0]) or scores.select(
        pl.col("score").min().alias("low"), pl.col("score").max().alias("high")
    ).collect().row(0)
    steps = [low + n for n in range(int(high - low) + 1)] if 1 < high - low < _MAX_VALUES else []
    names = scores.select("criterion").unique().collect()["criterion"].to_list()
    return {name: steps or [low, high] for name in names}


def _describe(summary: dict[str, Any], rows: int) -> str:
    judges = summary["judges"]
    lines = [f"{rows:,} scores by a jury of {len(judges)}: {', '.join(judges)}"]
    lines += [f"  {name}: {agreement_text(found)}" for name, found in summary["criteria"].items()]
    if summary["too_few_judges"]:
        lines.append(f"  {summary['too_few_judges']:,} scores left out: too few judges")
    return "\n".join(lines)
