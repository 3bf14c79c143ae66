"""What affects a judge but should not: the position of a response, its length, manipulation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from judge.agreement.judgments import Judgments
from judge.agreement.matching import DECIDED, Matched, lengths, with_groups
from judge.ask.options import LOW_MASS
from judge.measures import agreement as measures
from pairwright.dataset.store import Dataset
from pairwright.stats import bootstrap

if TYPE_CHECKING:
    import polars as pl


def _rate(good: pl.Series, groups: pl.Series, resamples: int) -> dict[str, Any] | None:
    """Fraction of true values, with its interval."""
    if good.is_empty():
        return None
    found = bootstrap(
        measures.mean(good.cast(float).to_numpy()), groups.to_list(), resamples=resamples
    )
    return _with_bounds(found, n=good.len(), count=int(good.sum()))


def _with_bounds(found: Any, **more: Any) -> dict[str, Any]:
    value, low, high = (x if math.isfinite(x) else None for x in found)
    return {"value": value, "low": low, "high": high, **more}


def position(dataset: Dataset, judge: Judgments, resamples: int) -> dict[str, Any] | None:
    """How the order of two responses affects verdicts; `None` if no pair was judged in both orders.

    In a strict flip, the two orders name different winners. A pair that is decided in one order
    only is a half flip: it is counted separately.
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
    # The low response is shown first in `first`, the high one in `second`.
    single = pl.concat(
        [
            rows.filter(pl.col(name).is_in(DECIDED)).select("group", won=pl.col(name) == winner)
            for name, winner in (("first", "a"), ("second", "b"))
        ]
    )
    return {
        "pairs": rows.height,
        "strict_flips": _rate(rows["strict"], rows["group"], resamples),
        "half_flips": _rate(rows["half"], rows["group"], resamples),
        "first_shown_wins": _rate(single["won"], single["group"], resamples),
    }


def length_of_winners(
    dataset: Dataset, rows: pl.DataFrame, verdict: str, resamples: int
) -> dict[str, Any] | None:
    """How often the longer of two responses wins, among pairs with a winner.

    Pairs of equal length are counted separately.

    Args:
        dataset: For the texts of the responses.
        rows: `low`, `high` and a column with the winner.
        verdict: Name of that column.
        resamples: Of the bootstrap.
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
        unequal = both.filter(pl.col(unit) != pl.col(f"{unit}_high"))
        low_longer = unequal[unit] > unequal[f"{unit}_high"]
        won = low_longer == (unequal[verdict] == "a")
        out[unit] = _rate(won, unequal["group"], resamples)
        out[f"{unit}_equal"] = both.height - unequal.height
    return out


def length_of_scores(dataset: Dataset, matched: Matched, resamples: int) -> dict[str, Any] | None:
    """Rank correlation of length with scores, with labels, and with scores given the labels."""
    import numpy as np

    known = lengths(dataset, matched.rows["target_id"].to_list())
    both = matched.rows.join(known, on="target_id")
    if both.height < 3 or both["unit"].n_unique() != both["target_id"].n_unique():
        return None  # scores of claims are not about the length of the response
    judge, label = both["judge"].to_numpy(), both["label"].to_numpy()
    log = np.log1p(both["chars"].to_numpy())
    groups = both["group"].to_list()
    found = {
        "judge": measures.spearman(judge, log),
        "labels": measures.spearman(label, log),
        "judge_given_labels": measures.partial_spearman(judge, log, label),
    }
    return {
        "rows": both.height,
        **{
            name: _with_bounds(bootstrap(one, groups, resamples=resamples))
            for name, one in found.items()
        },
    }


def length_of_own_scores(
    dataset: Dataset, judge: Judgments, resamples: int
) -> dict[str, Any] | None:
    """Rank correlation of a judge's scores with the length of responses, without labels."""
    import numpy as np
    import polars as pl

    scores = judge.rows.group_by("target_id", maintain_order=True).agg(pl.col("score").mean())
    both = scores.join(lengths(dataset, scores["target_id"].to_list()), on="target_id")
    if both.height < 3 or judge.unit != "response":
        return None
    both = with_groups(dataset, both, "target_id")
    log = np.log1p(both["chars"].to_numpy())
    found = measures.spearman(both["score"].to_numpy(), log)
    return {
        "rows": both.height,
        "judge": _with_bounds(bootstrap(found, both["group"].to_list(), resamples=resamples)),
    }


def mass(judge: Judgments) -> dict[str, Any] | None:
    """How much of the judge's probability is on the labels."""
    known = judge.rows["mass"].drop_nulls()
    if known.is_empty():
        return None
    return {
        "rows": known.len(),
        "mean": float(known.mean()),  # type: ignore[arg-type]
        "low_rate": float((known < LOW_MASS).sum() / known.len()),
        "low": LOW_MASS,
    }


def probes(dataset: Dataset, judge: Judgments, resamples: int) -> list[dict[str, Any]]:
    """How scores change when the response or its image is changed, from runs of `judge probe`."""
    import polars as pl

    out = []
    for manifest in dataset.runs("probes"):
        if not manifest.is_complete:
            continue
        rows = dataset.scan(manifest).filter(pl.col("judge").is_in(judge.names)).collect()
        rows = rows.drop_nulls("score")
        most_likely = pl.col("label_probs").list.eval(
            pl.element().sort_by(pl.element().struct.field("p"), descending=True).first()
        )
        rows = rows.with_columns(verdict=most_likely.list.first().struct.field("label"))
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
            known = some.drop_nulls(["verdict", "was"])
            change = (some["score"] - some["clean"]).to_numpy()
            ranks = measures.spearman(some["clean"].to_numpy(), some["score"].to_numpy())
            groups = some["group"].to_list()
            out.append(
                {"run": manifest.ref, "probe": probe, "n": some.height,
                 "change": _with_bounds(bootstrap(measures.mean(change), groups, resamples=resamples)),
                 "flips": _rate(known["verdict"] != known["was"], known["group"], resamples),
                 "same_order": _with_bounds(bootstrap(ranks, groups, resamples=resamples))}
            )  # fmt: skip
    return out
