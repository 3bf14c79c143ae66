"""What a run of comparisons found, as metrics and as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from judge.ask.options import LOW_MASS
from judge.pairwise.groups import SAMPLE
from pairwright.text.counts import counted

if TYPE_CHECKING:
    import polars as pl

    from judge.pairwise.strength import Floats
    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset

_ORDERS = ("first", "second")
_RESAMPLES = 500
_BLOCKS = 1_000  # samples are resampled in blocks where there are more


def outcomes(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows without an error, with `win_a`, `win_b` and `tie`, which sum to one.

    The same as `judge.compare.verdict.win_counts`, for columns.
    """
    import polars as pl

    def order(name: str) -> dict[str, pl.Expr]:
        probs = pl.col(f"probs_{name}_order")
        label, p = pl.element().struct.field("label"), pl.element().struct.field("p")

        def of(*names: str) -> pl.Expr:
            return probs.list.eval(p.filter(label.is_in(names))).list.sum().fill_null(0.0)

        return {
            f"_a_{name}": of("a"),
            f"_b_{name}": of("b"),
            f"_tie_{name}": of("tie", "both_bad"),
        }

    parts = {k: v for name in _ORDERS for k, v in order(name).items()}
    rows = rows.filter(pl.col("error").is_null()).with_columns(**parts)
    masses = [pl.sum_horizontal(f"_{k}_{n}" for k in ("a", "b", "tie")) for n in _ORDERS]
    known = pl.sum_horizontal((mass > 0).cast(pl.Int32) for mass in masses)
    verdict = pl.col("verdict")
    plain = {"a": verdict == "a", "b": verdict == "b", "tie": ~verdict.is_in(["a", "b"])}
    out = {}
    for what, name in (("a", "win_a"), ("b", "win_b"), ("tie", "tie")):
        both = pl.sum_horizontal(
            pl.when(mass > 0).then(pl.col(f"_{what}_{n}") / mass).otherwise(0.0)
            for mass, n in zip(masses, _ORDERS, strict=True)
        )
        out[name] = pl.when(known > 0).then(both / known).otherwise(plain[what].cast(pl.Float64))
    return rows.with_columns(**out).drop(list(parts))


def summarise(
    dataset: Dataset, responses: Manifest, rows: pl.LazyFrame | None, *, seed: int
) -> dict[str, Any]:
    """Metrics of a run: verdicts, flips, position bias, models."""
    import polars as pl

    if rows is None:
        return {"comparisons": 0, "verdicts": {}, "errors": 0, "models": []}
    decided, tied = pl.lit(["a", "b"]), pl.lit(["tie", "both_bad"])
    one, other = pl.col("verdict_first_order"), pl.col("verdict_second_order")
    whole = pl.col("error").is_null() & other.is_not_null()
    flip = one.is_in(decided) & other.is_in(decided) & (one != other)
    half = (one.is_in(decided) & other.is_in(tied)) | (one.is_in(tied) & other.is_in(decided))
    first = (pl.col("p_a_first_order") + 1 - pl.col("p_a_second_order")) / 2
    found = rows.select(
        comparisons=pl.len(),
        errors=pl.col("error").is_not_null().sum(),
        low_label_mass=(pl.col("error").is_null() & (pl.col("label_mass") < LOW_MASS)).sum(),
        both_orders=whole.sum(),
        flips=(whole & flip).sum(),
        half_flips=(whole & half).sum(),
        first_position=first.filter(whole).mean(),
        prompt_tokens=pl.col("n_prompt_tokens").sum(),
        completion_tokens=pl.col("n_tokens").sum(),
    ).collect(engine="streaming")
    kinds = rows.filter(pl.col("error").is_null()).group_by("criterion", "verdict").len()
    verdicts: dict[str, dict[str, int]] = {}
    for criterion, verdict, n in kinds.sort("criterion", "verdict").collect().iter_rows():
        verdicts.setdefault(criterion, {})[verdict] = n
    models = leaderboard(_blocks(dataset, responses, rows), seed=seed)
    return {**found.row(0, named=True), "verdicts": verdicts, "models": models}


def _blocks(dataset: Dataset, responses: Manifest, rows: pl.LazyFrame) -> pl.DataFrame:
    """Wins and draws of every two models, by block of samples."""
    import polars as pl

    who = dataset.scan(responses).select("response_id", "model")
    found = outcomes(rows).select("sample_id", "a", "b", "win_a", "win_b", "tie")
    for side in ("a", "b"):
        named = who.rename({"response_id": side, "model": f"model_{side}"})
        found = found.join(named, on=side, how="left")
    return (
        found.with_columns(pl.col("model_a", "model_b").fill_null(SAMPLE))
        .filter(pl.col("model_a") != pl.col("model_b"))
        .with_columns(block=pl.col("sample_id").rank("dense") % _BLOCKS)
        .group_by("block", "model_a", "model_b")
        .agg(pl.col("win_a", "win_b", "tie").sum())
        .sort("block", "model_a", "model_b")
        .collect(engine="streaming")
    )


def leaderboard(
    blocks: pl.DataFrame, *, seed: int, resamples: int = _RESAMPLES
) -> list[dict[str, Any]]:
    """Models by their expected win rate against the others, best first.

    Args:
        blocks: `block`, `model_a`, `model_b`, `win_a`, `win_b`, `tie`.
        seed: Of the bootstrap, which resamples blocks of samples.
        resamples: Number of resamples.
    """
    import numpy as np

    from judge.pairwise.strength import bradley_terry, win_rates

    names = sorted({*blocks["model_a"], *blocks["model_b"]})
    if len(names) < 2:
        return []
    pairs = sorted(set(zip(blocks["model_a"], blocks["model_b"], strict=True)))
    counts = _counts(blocks, pairs)
    first = np.array([names.index(a) for a, _ in pairs])
    second = np.array([names.index(b) for _, b in pairs])
    ties = bool(counts[:, :, 2].sum() > 0)
    rng = np.random.default_rng(seed)

    def fit(weights: Any) -> Any:
        total = np.tensordot(weights, counts, 1)
        return bradley_terry(len(names), first, second, total, ties=ties)

    n = len(counts)
    whole = fit(np.ones(n))
    resampled = [
        win_rates(fit(np.bincount(rng.integers(0, n, n), minlength=n).astype(float)))
        for _ in range(resamples)
    ]
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    rates = win_rates(whole)
    compared = counts.sum(axis=(0, 2))
    rows = [
        {
            "model": name,
            "win_rate": round(float(rates[i]), 4),
            "low": round(float(low[i]), 4),
            "high": round(float(high[i]), 4),
            "strength": round(float(whole.theta[i]), 4),
            "comparisons": round(float(compared[(first == i) | (second == i)].sum())),
        }
        for i, name in enumerate(names)
    ]
    return sorted(rows, key=lambda row: -row["win_rate"])


def _counts(blocks: pl.DataFrame, pairs: Sequence[tuple[str, str]]) -> Floats:
    """Wins of a, wins of b and ties, by block and pair of models."""
    import numpy as np

    index = {pair: number for number, pair in enumerate(pairs)}
    numbers = {b: n for n, b in enumerate(blocks["block"].unique(maintain_order=True))}
    counts = np.zeros((len(numbers), len(pairs), 3))
    for block, a, b, *found in blocks.select(
        "block", "model_a", "model_b", "win_a", "win_b", "tie"
    ).iter_rows():
        counts[numbers[block], index[a, b]] += found
    return counts


def describe(summary: dict[str, Any]) -> str:
    """The metrics as text."""
    lines = [f"{summary['comparisons']:,} comparisons"]
    for name, counts in summary["verdicts"].items():
        total = sum(counts.values())
        rates = "  ".join(f"{k}: {100 * n / total:.0f} %" for k, n in counts.items())
        lines.append(f"  {name}  {rates}")
    if summary.get("both_orders"):
        n, flips, half = (summary[k] for k in ("both_orders", "flips", "half_flips"))
        lines.append(
            f"  with the responses swapped, {100 * flips / n:.1f} % of the verdicts name the other "
            f"response, {100 * half / n:.1f} % change between a winner and none"
        )
        if summary["first_position"] is not None:
            lines.append(
                "  position bias: the response shown first gets "
                f"{100 * summary['first_position']:.1f} % of the preference"
            )
    if summary.get("skipped", {}).get("same_text"):
        n = summary["skipped"]["same_text"]
        text = counted(n, "pair has", "pairs have")
        lines.append(f"  {text} the same text twice and {'was' if n == 1 else 'were'} not compared")
    if summary.get("low_label_mass"):
        lines.append(
            f"  {counted(summary['low_label_mass'], 'comparison has', 'comparisons have')} a probability mass on the letters "
            f"below {LOW_MASS:g}: the judge preferred another reply there; another judge, or "
            "`judge score`, may work better"
        )
    if summary["errors"]:
        lines.append(f"  {summary['errors']:,} without a verdict (see `error`)")
    lines += [
        f"  {m['model']}  win rate {100 * m['win_rate']:.1f} % "
        f"({100 * m['low']:.1f} to {100 * m['high']:.1f})"
        for m in summary["models"]
    ]
    return "\n".join(lines)
