"""A jury: the scores of several judges combined into one, as rows of the judge `jury`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from judge.ask.options import JuryBy
from judge.rubric.rubric import Rubric
from pairwright.scores import JURY

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.writer import RunWriter

KEYS = ("target_id", "criterion", "repeat")
_ROWS_AT_ONCE = 500_000


def add_jury(writer: RunWriter, rubric: Rubric, *, judges: int, by: JuryBy) -> dict[str, Any]:
    """Write the jury's rows for all that every judge has scored, and return how they agree.

    A jury that lacks a judge gives no score: it would not be the same jury for every response. The
    next run asks the missing judge again.
    """
    import polars as pl

    scores = writer.scan()
    if scores is None:
        return {}
    disagreement = Disagreement()
    incomplete = 0
    values = {c.name: sorted(set(rubric.labels_of(c).values())) for c in rubric.criteria}
    for part in parts_of(scores):
        counts = part.group_by(KEYS, maintain_order=True).agg(
            members=(pl.col("judge") != JURY).sum(), done=(pl.col("judge") == JURY).any()
        )
        members = part.filter(pl.col("judge") != JURY)
        incomplete += counts.filter(pl.col("members") < judges).height
        full = counts.filter(pl.col("members") == judges)
        disagreement.add(members.join(full, on=KEYS, how="semi"))
        new = full.filter(~pl.col("done"))
        if new.height:
            writer.add(jury_rows(members.join(new, on=KEYS, how="semi"), by=by, values=values))
    return {"by": by, "without_a_full_jury": incomplete, **disagreement.metrics()}


def parts_of(scores: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The scores in parts of bounded size; all rows of a target are in one part."""
    import polars as pl

    rows = int(scores.select(pl.len()).collect(engine="streaming").item())
    parts = max(1, -(-rows // _ROWS_AT_ONCE))
    for number in range(parts):
        part = scores.filter(pl.col("target_id").hash(7) % parts == number)
        yield part.sort("target_id", "criterion", "repeat", "judge").collect()


def jury_rows(
    scores: pl.DataFrame,
    *,
    by: JuryBy,
    values: Mapping[str, Sequence[float]],
    weights: Mapping[str, float] | None = None,
) -> pl.DataFrame:
    """One row for each target, criterion and repeat, from its judges' rows.

    Args:
        scores: Rows of the scores table, none of a jury.
        by: `mean` or `median` of the scores; `vote`: each judge votes for the value nearest to its
            score, most votes win, and the mean is taken of values with equally many.
        values: Values that can be voted for, by criterion.
        weights: How much each judge counts in mean and vote; 1 if not given.

    Returns:
        Rows of the scores table; `text` lists each judge's score and their standard deviation.
        Judges without a verdict are left out; if none has one, there is no score.
    """
    import polars as pl

    weight = _weight(weights or {})
    scores = scores.with_columns(weight=weight, score=pl.col("score").fill_nan(None))
    given = pl.col("score").is_not_null()
    total = pl.col("weight").filter(given).sum()
    mean = (pl.col("score") * pl.col("weight")).sum() / total
    each = pl.col("judge") + " " + pl.col("score").round(2).cast(pl.String).fill_null("no verdict")
    all_calibrated = pl.col("calibrated").count() == given.sum()
    calibrated = (pl.col("calibrated") * pl.col("weight")).sum() / total
    rows = scores.group_by(KEYS, maintain_order=True).agg(
        pl.col("rubric", "target_kind", "rubric_hash", "prompt_hash", "turn").first(),
        pl.lit(JURY).alias("judge"),
        pl.when(given.any()).then(pl.col("score").median() if by == "median" else mean)
        .alias("score"),
        pl.when(given.any() & all_calibrated).then(calibrated).alias("calibrated"),
        pl.col("label_mass").mean(),
        each.str.join("; ").alias("text"),
        pl.col("score").std(ddof=0).alias("sd"),
        pl.when(~given.any()).then(pl.lit("no_verdict")).alias("error"),
    )  # fmt: skip
    if by == "vote":
        rows = rows.drop("score").join(
            _votes(scores.filter(given), values), on=KEYS, how="left", maintain_order="left"
        )
    with_sd = pl.format("{} (standard deviation {})", "text", pl.col("sd").round(2))
    return rows.with_columns(
        text=pl.when(pl.col("sd").is_not_null()).then(with_sd).otherwise("text")
    ).drop("sd")


def _weight(weights: Mapping[str, float]) -> pl.Expr:
    import polars as pl

    if not weights:
        return pl.lit(1.0)
    return pl.col("judge").replace_strict(dict(weights), default=1.0, return_dtype=pl.Float64)


def _votes(scores: pl.DataFrame, values: Mapping[str, Sequence[float]]) -> pl.DataFrame:
    import polars as pl

    candidates = pl.DataFrame(
        [{"criterion": c, "value": float(v)} for c, some in values.items() for v in some],
        schema={"criterion": pl.String, "value": pl.Float64},
    )
    distance = (pl.col("score") - pl.col("value")).abs()
    votes = (
        scores.select(*KEYS, "judge", "weight", "score")
        .join(candidates, on="criterion", maintain_order="left")
        .sort(*KEYS, "judge", distance, "value")
        .unique([*KEYS, "judge"], keep="first", maintain_order=True)
    )
    counted = votes.group_by(*KEYS, "value").agg(pl.col("weight").sum())
    winners = pl.col("weight") >= pl.col("weight").max().over(KEYS) - 1e-9
    return counted.filter(winners).group_by(KEYS).agg(pl.col("value").mean().alias("score"))


class Disagreement:
    """How much judges disagree, over parts of a table."""

    def __init__(self) -> None:
        """Start without rows."""
        self._parts: list[pl.DataFrame] = []

    def add(self, scores: pl.DataFrame) -> None:
        """Add rows of judges."""
        self._parts.append(scores.select(*KEYS, "judge", "score"))

    def metrics(self) -> dict[str, Any]:
        """By criterion: mean standard deviation between judges, Krippendorff's alpha, means."""
        import polars as pl

        if not self._parts or sum(part.height for part in self._parts) == 0:
            return {"criteria": {}}
        scores = pl.concat(self._parts)
        out: dict[str, Any] = {}
        for (criterion,), rows in sorted(scores.group_by("criterion")):
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


def agreement_text(found: Mapping[str, Any]) -> str:
    """The disagreement on one criterion, in one line."""
    means = ", ".join(
        f"{who} {mean:.2f}" for who, mean in found["means"].items() if mean is not None
    )
    sd = "" if found["sd"] is None else f"; standard deviation between judges {found['sd']:.2f}"
    alpha = "" if found["alpha"] is None else f", Krippendorff's alpha {found['alpha']:.2f}"
    return f"{means}{sd}{alpha}"


def _alpha(ratings: pl.DataFrame) -> float:
    import numpy as np

    from judge.measures.agreement import alpha

    values = ratings.to_numpy().astype(np.float64)
    return float(alpha(values, "interval")(np.ones(values.shape[0])))


def _rounded(value: Any) -> float | None:
    if value is None or value != value:  # not a number
        return None
    return round(float(value), 4)
