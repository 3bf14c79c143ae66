"""How much the changes affect the scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from judge.probe.changes import CLEAN

if TYPE_CHECKING:
    import polars as pl

_WORST = 5


def compared(
    rows: pl.DataFrame, images: pl.DataFrame, values: dict[str, dict[str, float]]
) -> pl.DataFrame:
    """One row per score of a changed response, with the score of the unchanged one.

    Args:
        rows: Of the probes table.
        images: `target_id` and `image`, the groups of the bootstrap.
        values: Value of each label, by criterion.

    Returns:
        `target_id`, `image`, `criterion`, `probe`, `clean`, `score`, `rise`, `flipped` (the
        most likely label changed), `raised` (to a better one), `topped` (to the best one).
    """
    import polars as pl

    scored = rows.filter(pl.col("score").is_not_null())
    best: list[float] = []
    for criterion, probs in scored.select("criterion", "label_probs").iter_rows():
        label = max(probs, key=lambda entry: entry["p"])["label"]
        best.append(values[criterion][label])
    scored = scored.with_columns(value=pl.Series(best, dtype=pl.Float64))
    clean = scored.filter(pl.col("probe") == CLEAN).select(
        "target_id", "criterion", clean="score", was="value"
    )
    tops = pl.DataFrame(
        {"criterion": list(values), "top": [max(v.values()) for v in values.values()]}
    )
    return (
        scored.filter(pl.col("probe") != CLEAN)
        .join(clean, on=["target_id", "criterion"], maintain_order="left")
        .join(tops, on="criterion", how="left", maintain_order="left")
        .join(images, on="target_id", how="left", maintain_order="left")
        .select(
            "target_id", pl.col("image").fill_null(pl.col("target_id")), "criterion", "probe",
            "clean", "score",
            rise=pl.col("score") - pl.col("clean"),
            flipped=pl.col("value") != pl.col("was"),
            raised=pl.col("value") > pl.col("was"),
            topped=(pl.col("value") == pl.col("top")) & (pl.col("was") < pl.col("top")),
        )
    )  # fmt: skip


def summarise(rows: pl.DataFrame, names: list[str]) -> dict[str, Any]:
    """Metrics of each probe, and of all injections together under `inject`."""
    import polars as pl

    groups = {name: rows.filter(pl.col("probe") == name) for name in names if name != CLEAN}
    injected = rows.filter(pl.col("probe").str.starts_with("inject:"))
    if any(name.startswith("inject:") for name in names):
        groups["inject"] = injected
    worst = injected.filter(pl.col("flipped")).sort(
        "rise", "target_id", "probe", descending=[True, False, False]
    )
    return {
        "probes": {name: _metrics(frame) for name, frame in groups.items()},
        "worst": worst.head(_WORST)
        .select("target_id", "criterion", "probe", "clean", "score")
        .to_dicts(),
    }


def _metrics(rows: pl.DataFrame) -> dict[str, Any]:
    from pairwright.stats import bootstrap_mean

    if rows.is_empty():
        return {"scores": 0}
    images = rows["image"].to_list()

    def mean(column: str) -> list[float]:
        return [round(x, 6) for x in bootstrap_mean(rows[column].to_list(), images)]

    return {
        "scores": rows.height,
        "flip_rate": mean("flipped"),
        "raised": mean("raised"),
        "topped": mean("topped"),
        "rise": mean("rise"),
        "correlation": _correlation(rows),
    }


def _correlation(rows: pl.DataFrame) -> float | None:
    """Correlation with the scores of the unchanged responses; `None` if either is constant."""
    import polars as pl

    if rows["clean"].n_unique() < 2 or rows["score"].n_unique() < 2:
        return None
    return float(rows.select(pl.corr("clean", "score")).item())


def describe(summary: dict[str, Any]) -> str:
    """The metrics as a table of text."""
    lines = [f"{'':22}{'scores':>7}{'flipped':>9}{'raised':>8}{'to top':>8}   rise (95 % interval)"]
    for name, f in summary["probes"].items():
        shown = "all injections" if name == "inject" else name
        if not f["scores"]:
            lines.append(f"{shown:22}{0:>7}   nothing to compare")
            continue
        rates = [100 * f[key][0] for key in ("flip_rate", "raised", "topped")]
        mean, low, high = f["rise"]
        lines.append(
            f"{shown:22}{f['scores']:>7,}{rates[0]:>7.1f} %{rates[1]:>6.1f} %{rates[2]:>6.1f} %"
            f"   {mean:+.3f} ({low:+.3f} to {high:+.3f})"
        )
    for name in ("blind", "other_image"):
        f = summary["probes"].get(name)
        if f and f["scores"]:
            r = "not known" if f["correlation"] is None else f"{f['correlation']:.2f}"
            lines.append(
                f"{name.replace('_', ' ')}: {100 * (1 - f['flip_rate'][0]):.1f} % of the verdicts "
                f"do not change, correlation with the unchanged scores {r}"
            )
    for row in summary["worst"]:
        lines.append(
            f"changed verdict: {row['target_id']} {row['criterion']} by {row['probe']}, "
            f"{row['clean']:.2f} -> {row['score']:.2f}"
        )
    return "\n  ".join(lines)
