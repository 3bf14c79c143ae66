"""What moves a judge that should not: the place of an answer, its length, tampering."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from judge.agreement.sources import Votes
from judge.agreement.topics import DECIDED, Topic, lengths, with_groups
from judge.measures import agreement as measures
from pairwright.dataset.store import Dataset
from pairwright.stats import bootstrap

if TYPE_CHECKING:
    import polars as pl

LOW_MASS: Final = 0.5


def _share(good: pl.Series, groups: pl.Series, draws: int) -> dict[str, Any] | None:
    """Share of true values, with its interval."""
    if good.is_empty():
        return None
    found = bootstrap(measures.mean(good.cast(float).to_numpy()), groups.to_list(), resamples=draws)
    return _figure(found, n=good.len(), count=int(good.sum()))


def _figure(found: Any, **more: Any) -> dict[str, Any]:
    value, low, high = (x if math.isfinite(x) else None for x in found)
    return {"value": value, "low": low, "high": high, **more}


def position(dataset: Dataset, judge: Votes, draws: int) -> dict[str, Any] | None:
    """What the order of two answers does; `None` where no pair was judged in both.

    A strict flip names one answer in one order and the other in the other. A pair that is decided
    in one order only is counted apart: it is doubt, not contradiction.
    """
    import polars as pl

    rows = judge.rows.drop_nulls(["first", "second"])
    if rows.is_empty():
        return None
    rows = with_groups(dataset, rows, "low")
    one, other = (pl.col(name).is_in(DECIDED) for name in ("first", "second"))
    rows = rows.with_columns(
        strict=one & other & (pl.col("first") != pl.col("second")), half=one != other
    )
    # The low answer is shown first in `first`, the high one in `second`.
    single = pl.concat(
        [
            rows.filter(pl.col(name).is_in(DECIDED)).select("group", won=pl.col(name) == winner)
            for name, winner in (("first", "a"), ("second", "b"))
        ]
    )
    return {
        "pairs": rows.height,
        "strict_flips": _share(rows["strict"], rows["group"], draws),
        "half_flips": _share(rows["half"], rows["group"], draws),
        "first_shown_wins": _share(single["won"], single["group"], draws),
    }


def length_of_winners(
    dataset: Dataset, rows: pl.DataFrame, verdict: str, draws: int
) -> dict[str, Any] | None:
    """How often the longer of two answers wins, where one wins; equally long ones apart.

    Args:
        dataset: For the answers' texts.
        rows: `low`, `high` and a column with the winner.
        verdict: Name of that column.
        draws: Bootstrap draws.
    """
    import polars as pl

    decided = rows.filter(pl.col(verdict).is_in(DECIDED))
    if decided.is_empty():
        return None
    known = lengths(dataset, [*decided["low"], *decided["high"]])
    both = decided.join(known, left_on="low", right_on="target_id").join(
        known, left_on="high", right_on="target_id", suffix="_high"
    )
    if both.is_empty():
        return None
    both = both if "group" in both.columns else with_groups(dataset, both, "low")
    out: dict[str, Any] = {"decided": both.height}
    for unit in ("chars", "words"):
        apart = both.filter(pl.col(unit) != pl.col(f"{unit}_high"))
        low_longer = apart[unit] > apart[f"{unit}_high"]
        won = low_longer == (apart[verdict] == "a")
        out[unit] = _share(won, apart["group"], draws)
        out[f"{unit}_equal"] = both.height - apart.height
    return out


def length_of_marks(dataset: Dataset, topic: Topic, draws: int) -> dict[str, Any] | None:
    """Rank correlation of marks with length: the judge's, people's, and the judge's beyond people's."""
    import numpy as np

    known = lengths(dataset, topic.rows["target_id"].to_list())
    both = topic.rows.join(known, on="target_id")
    if both.height < 3 or both["unit"].n_unique() != both["target_id"].n_unique():
        return None  # marks of claims are not about the answer's length
    judge, label = both["judge"].to_numpy(), both["label"].to_numpy()
    log = np.log1p(both["chars"].to_numpy())
    groups = both["group"].to_list()
    found = {
        "judge": measures.spearman(judge, log),
        "people": measures.spearman(label, log),
        "judge_given_people": measures.partial_spearman(judge, log, label),
    }
    return {
        "rows": both.height,
        **{name: _figure(bootstrap(one, groups, resamples=draws)) for name, one in found.items()},
    }


def length_of_own_marks(dataset: Dataset, judge: Votes, draws: int) -> dict[str, Any] | None:
    """Rank correlation of a judge's marks with the length of answers, without people."""
    import numpy as np
    import polars as pl

    marks = judge.rows.group_by("target_id", maintain_order=True).agg(pl.col("mark").mean())
    both = marks.join(lengths(dataset, marks["target_id"].to_list()), on="target_id")
    if both.height < 3 or judge.unit != "answer":
        return None
    both = with_groups(dataset, both, "target_id")
    log = np.log1p(both["chars"].to_numpy())
    found = measures.spearman(both["mark"].to_numpy(), log)
    return {
        "rows": both.height,
        "judge": _figure(bootstrap(found, both["group"].to_list(), resamples=draws)),
    }


def mass(judge: Votes) -> dict[str, Any] | None:
    """How often the judge's answer was one of the labels at all."""
    known = judge.rows["mass"].drop_nulls()
    if known.is_empty():
        return None
    return {
        "rows": known.len(),
        "mean": float(known.mean()),  # type: ignore[arg-type]
        "low_share": float((known < LOW_MASS).sum() / known.len()),
        "low": LOW_MASS,
    }


def probes(dataset: Dataset, judge: Votes, draws: int) -> list[dict[str, Any]]:
    """How marks move when the answer or its image was tampered with, from runs of `judge probe`."""
    import polars as pl

    out = []
    for manifest in dataset.runs("probes"):
        if not manifest.is_complete:
            continue
        rows = dataset.scan(manifest).filter(pl.col("judge").is_in(judge.who)).collect()
        rows = rows.drop_nulls("score")
        likeliest = pl.col("label_probs").list.eval(
            pl.element().sort_by(pl.element().struct.field("p"), descending=True).first()
        )
        rows = rows.with_columns(verdict=likeliest.list.first().struct.field("label"))
        keys = ["target_id", "criterion", "judge"]
        clean = rows.filter(pl.col("probe") == "clean").select(
            *keys, pl.col("score").alias("clean"), pl.col("verdict").alias("was")
        )
        both = rows.filter(pl.col("probe") != "clean").join(clean, on=keys)
        if both.is_empty():
            continue
        both = with_groups(dataset, both, "target_id")
        name = pl.col("probe")
        kind = pl.when(name.str.starts_with("inject:")).then(pl.lit("injections")).otherwise(name)
        for (probe,), some in both.group_by(kind, maintain_order=True):
            told = some.drop_nulls(["verdict", "was"])
            change = (some["score"] - some["clean"]).to_numpy()
            ranks = measures.spearman(some["clean"].to_numpy(), some["score"].to_numpy())
            groups = some["group"].to_list()
            out.append(
                {"run": manifest.ref, "probe": probe, "n": some.height,
                 "change": _figure(bootstrap(measures.mean(change), groups, resamples=draws)),
                 "flips": _share(told["verdict"] != told["was"], told["group"], draws),
                 "same_order": _figure(bootstrap(ranks, groups, resamples=draws))}
            )  # fmt: skip
    return out
