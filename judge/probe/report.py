"""How far tampering moved the marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from judge.probe.tricks import CLEAN

if TYPE_CHECKING:
    import polars as pl

_WORST = 5


def movements(
    rows: pl.DataFrame, images: pl.DataFrame, values: dict[str, dict[str, float]]
) -> pl.DataFrame:
    """One row for each tampered mark that has a clean one beside it.

    Args:
        rows: Of the probes table.
        images: `target_id` and `image`, which marks are resampled by.
        values: Value of each label, by criterion.

    Returns:
        `target_id`, `image`, `criterion`, `probe`, `clean`, `score`, `rise`, `flipped` (the
        likeliest label changed), `raised` (to a better one), `topped` (to the best one).
    """
    import polars as pl

    told = rows.filter(pl.col("score").is_not_null())
    best: list[float] = []
    for criterion, probs in told.select("criterion", "label_probs").iter_rows():
        label = max(probs, key=lambda entry: entry["p"])["label"]
        best.append(values[criterion][label])
    told = told.with_columns(value=pl.Series(best, dtype=pl.Float64))
    clean = told.filter(pl.col("probe") == CLEAN).select(
        "target_id", "criterion", clean="score", was="value"
    )
    tops = pl.DataFrame(
        {"criterion": list(values), "top": [max(v.values()) for v in values.values()]}
    )
    return (
        told.filter(pl.col("probe") != CLEAN)
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


def summarise(moved: pl.DataFrame, names: list[str]) -> dict[str, Any]:
    """Figures for each probe, and for all injections together under `inject`."""
    import polars as pl

    groups = {name: moved.filter(pl.col("probe") == name) for name in names if name != CLEAN}
    injected = moved.filter(pl.col("probe").str.starts_with("inject:"))
    if any(name.startswith("inject:") for name in names):
        groups["inject"] = injected
    worst = injected.filter(pl.col("flipped")).sort(
        "rise", "target_id", "probe", descending=[True, False, False]
    )
    return {
        "probes": {name: _figures(frame) for name, frame in groups.items()},
        "worst": worst.head(_WORST)
        .select("target_id", "criterion", "probe", "clean", "score")
        .to_dicts(),
    }


def _figures(moved: pl.DataFrame) -> dict[str, Any]:
    from pairwright.stats import bootstrap_mean

    if moved.is_empty():
        return {"marks": 0}
    images = moved["image"].to_list()

    def share(column: str) -> list[float]:
        return [round(x, 6) for x in bootstrap_mean(moved[column].to_list(), images)]

    return {
        "marks": moved.height,
        "flip_rate": share("flipped"),
        "raised": share("raised"),
        "topped": share("topped"),
        "rise": share("rise"),
        "correlation": _correlation(moved),
    }


def _correlation(moved: pl.DataFrame) -> float | None:
    """Of tampered marks with clean ones; nothing if either never changes."""
    import polars as pl

    if moved["clean"].n_unique() < 2 or moved["score"].n_unique() < 2:
        return None
    return float(moved.select(pl.corr("clean", "score")).item())


def describe(summary: dict[str, Any]) -> str:
    """The figures as a table, for people."""
    lines = [f"{'':22}{'marks':>7}{'flipped':>9}{'raised':>8}{'to top':>8}   rise (95 % interval)"]
    for name, f in summary["probes"].items():
        shown = "all injections" if name == "inject" else name
        if not f["marks"]:
            lines.append(f"{shown:22}{0:>7}   nothing to compare")
            continue
        shares = [100 * f[key][0] for key in ("flip_rate", "raised", "topped")]
        mean, low, high = f["rise"]
        lines.append(
            f"{shown:22}{f['marks']:>7,}{shares[0]:>7.1f} %{shares[1]:>6.1f} %{shares[2]:>6.1f} %"
            f"   {mean:+.3f} ({low:+.3f} to {high:+.3f})"
        )
    for name in ("blind", "other_image"):
        f = summary["probes"].get(name)
        if f and f["marks"]:
            r = "not known" if f["correlation"] is None else f"{f['correlation']:.2f}"
            lines.append(
                f"{name.replace('_', ' ')}: {100 * (1 - f['flip_rate'][0]):.1f} % of the verdicts "
                f"stay what they are, correlation with the clean marks {r}"
            )
    for row in summary["worst"]:
        lines.append(
            f"swayed: {row['target_id']} {row['criterion']} by {row['probe']}, "
            f"{row['clean']:.2f} -> {row['score']:.2f}"
        )
    return "\n  ".join(lines)
