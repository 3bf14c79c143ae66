"""Several judges' marks become one: rows of the judge `jury`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from judge.rubric.rubric import Rubric
from judge.score.options import JuryBy
from pairwright.scores import JURY

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.writer import RunWriter

_ROWS_AT_ONCE = 500_000
KEYS = ("target_id", "criterion", "repeat")


def add_jury(writer: RunWriter, rubric: Rubric, *, judges: int, by: JuryBy) -> dict[str, Any]:
    """Write the jury's rows for all that every judge has answered, and say how they agree.

    A jury with an empty chair gives no mark: it would not be the same jury for every answer. What
    the missing judge is still to say is asked for by the next run.
    """
    import polars as pl

    marks = writer.scan()
    if marks is None:
        return {}
    disagreement = Disagreement()
    missing = 0
    values = {c.name: sorted(set(rubric.labels_of(c).values())) for c in rubric.criteria}
    for part in parts_of(marks):
        told = part.group_by(KEYS, maintain_order=True).agg(
            chairs=(pl.col("judge") != JURY).sum(), done=(pl.col("judge") == JURY).any()
        )
        members = part.filter(pl.col("judge") != JURY)
        missing += told.filter(pl.col("chairs") < judges).height
        full = told.filter(pl.col("chairs") == judges)
        disagreement.see(members.join(full, on=KEYS, how="semi"))
        new = full.filter(~pl.col("done"))
        if new.height:
            writer.add(jury_rows(members.join(new, on=KEYS, how="semi"), by=by, values=values))
    return {"by": by, "without_a_full_jury": missing, **disagreement.figures()}


def parts_of(marks: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The marks in parts of bounded size; all rows of a target are in one."""
    import polars as pl

    rows = int(marks.select(pl.len()).collect(engine="streaming").item())
    parts = max(1, -(-rows // _ROWS_AT_ONCE))
    for number in range(parts):
        mine = marks.filter(pl.col("target_id").hash(7) % parts == number)
        yield mine.sort("target_id", "criterion", "repeat", "judge").collect()


def jury_rows(
    marks: pl.DataFrame,
    *,
    by: JuryBy,
    values: Mapping[str, Sequence[float]],
    weights: Mapping[str, float] | None = None,
) -> pl.DataFrame:
    """One row an answer, criterion and draw, from its judges' rows.

    Args:
        marks: Rows of the scores table, none of a jury.
        by: `mean` and `median` of the marks; `vote`: each judge votes for the value nearest to its
            mark, most votes win, and the mean stands for values with equally many.
        values: Values that can be voted for, by criterion.
        weights: How much each judge counts in mean and vote; 1 if not given.

    Returns:
        Rows of the scores table; `text` shows who said what and how far they are apart. Judges
        without a verdict are left out; there is no mark if none has one.
    """
    import polars as pl

    weight = _weight(weights or {})
    marks = marks.with_columns(weight=weight, score=pl.col("score").fill_nan(None))
    given = pl.col("score").is_not_null()
    mean = (pl.col("score") * pl.col("weight")).sum() / pl.col("weight").filter(given).sum()
    said = pl.col("judge") + " " + pl.col("score").round(2).cast(pl.String).fill_null("no verdict")
    full = pl.col("calibrated").count() == given.sum()
    calibrated = (pl.col("calibrated") * pl.col("weight")).sum() / pl.col("weight").filter(
        given
    ).sum()
    rows = marks.group_by(KEYS, maintain_order=True).agg(
        pl.col("rubric", "target_kind", "rubric_hash", "prompt_hash", "turn").first(),
        pl.lit(JURY).alias("judge"),
        pl.when(given.any()).then(pl.col("score").median() if by == "median" else mean)
        .alias("score"),
        pl.when(given.any() & full).then(calibrated).alias("calibrated"),
        pl.col("label_mass").mean(),
        said.str.join("; ").alias("text"),
        pl.col("score").std(ddof=0).alias("sd"),
        pl.when(~given.any()).then(pl.lit("no_verdict")).alias("error"),
    )  # fmt: skip
    if by == "vote":
        rows = rows.drop("score").join(
            _votes(marks.filter(given), values), on=KEYS, how="left", maintain_order="left"
        )
    apart = pl.format("{} (apart by {})", "text", pl.col("sd").round(2))
    return rows.with_columns(
        text=pl.when(pl.col("sd").is_not_null()).then(apart).otherwise("text")
    ).drop("sd")


def _weight(weights: Mapping[str, float]) -> pl.Expr:
    import polars as pl

    if not weights:
        return pl.lit(1.0)
    return pl.col("judge").replace_strict(dict(weights), default=1.0, return_dtype=pl.Float64)


def _votes(marks: pl.DataFrame, values: Mapping[str, Sequence[float]]) -> pl.DataFrame:
    import polars as pl

    ballots = pl.DataFrame(
        [{"criterion": c, "value": float(v)} for c, some in values.items() for v in some],
        schema={"criterion": pl.String, "value": pl.Float64},
    )
    away = (pl.col("score") - pl.col("value")).abs()
    cast = (
        marks.select(*KEYS, "judge", "weight", "score")
        .join(ballots, on="criterion", maintain_order="left")
        .sort(*KEYS, "judge", away, "value")
        .unique([*KEYS, "judge"], keep="first", maintain_order=True)
    )
    counted = cast.group_by(*KEYS, "value").agg(pl.col("weight").sum())
    most = pl.col("weight") >= pl.col("weight").max().over(KEYS) - 1e-9
    return counted.filter(most).group_by(KEYS).agg(pl.col("value").mean().alias("score"))


class Disagreement:
    """How far apart judges are, over parts of a table."""

    def __init__(self) -> None:
        """None seen."""
        self._parts: list[pl.DataFrame] = []

    def see(self, marks: pl.DataFrame) -> None:
        """Add rows of judges."""
        self._parts.append(marks.select(*KEYS, "judge", "score"))

    def figures(self) -> dict[str, Any]:
        """By criterion: mean standard deviation between judges, Krippendorff's alpha, means."""
        import polars as pl

        if not self._parts or sum(part.height for part in self._parts) == 0:
            return {"criteria": {}}
        marks = pl.concat(self._parts)
        out: dict[str, Any] = {}
        for (criterion,), rows in sorted(marks.group_by("criterion")):
            wide = rows.pivot("judge", index=["target_id", "repeat"], values="score")
            judges = [name for name in wide.columns if name not in ("target_id", "repeat")]
            ratings = wide.select(pl.col(judges).cast(pl.Float64))
            sd = rows.group_by("target_id", "repeat").agg(pl.col("score").std(ddof=0))["score"]
            means = ratings.mean().row(0, named=True)
            out[str(criterion)] = {
                "sd": _rounded(sd.mean()),
                "alpha": _rounded(_alpha(ratings)),
                "means": {name: _rounded(means[name]) for name in sorted(judges)},
            }
        return {"criteria": out}


def _alpha(ratings: pl.DataFrame) -> float:
    import numpy as np

    from judge.measures.agreement import alpha

    values = ratings.to_numpy().astype(np.float64)
    return float(alpha(values, "interval")(np.ones(values.shape[0])))


def _rounded(value: Any) -> float | None:
    if value is None or value != value:  # not a number
        return None
    return round(float(value), 4)
