"""The metrics of one criterion, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from judge.agreement.matching import DECIDED, Matched
from judge.measures import agreement as measures
from judge.measures.calibration import cross_fitted, fit_curve
from pairwright.stats import bootstrap

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NAMES: Final = {
    "alpha": "Krippendorff's alpha",
    "kappa": "Cohen's kappa",
    "kappa_all": "Cohen's kappa, undecided as a third verdict",
    "kappa_quadratic": "Cohen's kappa, quadratic weights",
    "ac1": "Gwet's AC1",
    "accuracy": "accuracy (raw agreement)",
    "accuracy_half": "accuracy, undecided verdicts of the judge counted half",
    "spearman": "Spearman's rank correlation",
    "kendall": "Kendall's tau-b",
    "pearson": "Pearson's correlation",
    "auc": "area under the ROC curve",
    "brier": "Brier score (0 is best)",
    "ece": "expected calibration error (0 is best)",
    "ece_calibrated": "expected calibration error after calibration, cross-fitted",
}
_MAX_LEVELS: Final = 11
_NEITHER: Final = "neither"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Range of the judge's scores, and how metrics are computed.

    Attributes:
        low: Lowest possible score.
        high: Highest possible score.
        method: Calibration to fit, if any.
        resamples: Of the bootstrap.
    """

    low: float
    high: float
    method: str | None
    resamples: int


def metrics_of(matched: Matched, scale: Scale) -> dict[str, Any]:
    """All metrics of a criterion, as JSON values."""
    if matched.is_pairwise:
        return _verdicts(matched, scale)
    if matched.is_binary:
        return _binary(matched, scale)
    return _scores(matched, scale)


def _measured(
    statistics: dict[str, measures.Statistic], groups: Sequence[Any], resamples: int
) -> list[dict[str, Any]]:
    out = []
    for name, statistic in statistics.items():
        found = bootstrap(statistic, groups, resamples=resamples)
        value, low, high = (x if math.isfinite(x) else None for x in found)
        out.append(
            {"metric": name, "name": NAMES[name], "value": value, "low": low, "high": high,
             "n": len(groups)}
        )  # fmt: skip
    return out


def _categories(a: Any, b: Any, names: Sequence[Any]) -> tuple[Any, Any, list[list[int]]]:
    import numpy as np

    codes = {name: code for code, name in enumerate(names)}
    x, y = (np.array([codes[v] for v in values], dtype=np.int64) for values in (a, b))
    table = np.bincount(x * len(names) + y, minlength=len(names) ** 2)
    return x, y, table.reshape(len(names), -1).tolist()


def _verdicts(matched: Matched, scale: Scale) -> dict[str, Any]:
    import numpy as np
    import polars as pl

    rows = matched.rows
    split = {side: pl.col(side).is_in(DECIDED) for side in ("judge", "label")}
    decided = rows.filter(split["judge"] & split["label"])
    clear = rows.filter(split["label"])
    three = [
        [v if v in DECIDED else _NEITHER for v in rows[side].to_list()]
        for side in ("judge", "label")
    ]
    x3, y3, table = _categories(three[0], three[1], (*DECIDED, _NEITHER))
    statistics: dict[str, measures.Statistic] = {}
    found = []
    if decided.height:
        x, y, _ = _categories(decided["judge"], decided["label"], DECIDED)
        statistics = {
            "alpha": measures.alpha(np.column_stack([x, y]).astype(float), "nominal"),
            "kappa": measures.kappa(x, y, 2),
            "ac1": measures.gwet_ac1(x, y, 2),
            "accuracy": measures.mean((x == y).astype(float)),
        }
        found = _measured(statistics, decided["group"].to_list(), scale.resamples)
    if clear.height:
        half = clear.select(
            pl.when(~split["judge"]).then(0.5).otherwise((pl.col("judge") == pl.col("label")).cast(pl.Float64))
        ).to_series().to_numpy()  # fmt: skip
        found += _measured(
            {"accuracy_half": measures.mean(half)}, clear["group"].to_list(), scale.resamples
        )
    found += _measured(
        {"kappa_all": measures.kappa(x3, y3, 3)}, rows["group"].to_list(), scale.resamples
    )
    known = clear.filter(pl.col("p").is_not_null())
    reliability = []
    if known.height:
        p, good = known["p"].to_numpy(), (known["label"] == "a").to_numpy().astype(float)
        probability = _probability(p, good)
        found += _measured(probability, known["group"].to_list(), scale.resamples)
        reliability = bins_of(p, good)
    return {
        "shape": "verdicts",
        "metrics": found,
        "counts": _decided(rows),
        "confusion": {"names": ["a", "b", _NEITHER], "table": table},
        "reliability": {"raw": reliability, "calibrated": []},
        "human_agreement": human_agreement(matched, "nominal", scale.resamples),
    }


def _decided(rows: pl.DataFrame) -> dict[str, int]:
    """How many pairs were decided by which side."""
    judge, label = (rows[side].is_in(DECIDED) for side in ("judge", "label"))
    return {
        "rows": rows.height,
        "decided_by_both": int((judge & label).sum()),
        "judge_undecided": int((~judge & label).sum()),
        "labels_undecided": int((judge & ~label).sum()),
        "neither_decided": int((~judge & ~label).sum()),
    }


def _probability(p: Floats, good: Floats) -> dict[str, measures.Statistic]:
    return {
        "auc": measures.auc(p, good),
        "brier": measures.mean((p - good) ** 2),
        "ece": measures.calibration_error(p, good),
    }


def _binary(matched: Matched, scale: Scale) -> dict[str, Any]:
    import numpy as np

    rows, groups = matched.rows, matched.rows["group"].to_list()
    scores, good = rows["judge"].to_numpy(), rows["label"].to_numpy()
    p = (scores - scale.low) / ((scale.high - scale.low) or 1.0)
    verdicts = (p > 0.5).astype(np.int64)
    truth = good.astype(np.int64)
    _, _, table = _categories(verdicts.tolist(), truth.tolist(), (0, 1))
    statistics = {
        "alpha": measures.alpha(np.column_stack([verdicts, truth]).astype(float), "nominal"),
        "kappa": measures.kappa(verdicts, truth, 2),
        "ac1": measures.gwet_ac1(verdicts, truth, 2),
        "accuracy": measures.mean((verdicts == truth).astype(float)),
        "spearman": measures.spearman(scores, good),
        **_probability(np.clip(p, 0, 1), good),
    }
    fitted = _calibrated(scores, good, groups, scale)
    if fitted is not None:
        statistics["ece_calibrated"] = measures.calibration_error(fitted, good)
    return {
        "shape": "yes or no",
        "metrics": _measured(statistics, groups, scale.resamples),
        "counts": {
            "rows": rows.height,
            "labels_good": int(truth.sum()),
            "judge_good": int(verdicts.sum()),
            "at_midpoint": int((p == 0.5).sum()),
        },
        "confusion": {"names": ["bad", "good"], "table": table},
        "reliability": {
            "raw": bins_of(np.clip(p, 0, 1), good),
            "calibrated": [] if fitted is None else bins_of(fitted, good),
        },
        "human_agreement": human_agreement(matched, "nominal", scale.resamples),
    }


def _scores(matched: Matched, scale: Scale) -> dict[str, Any]:
    import numpy as np

    rows, groups = matched.rows, matched.rows["group"].to_list()
    scores, label = rows["judge"].to_numpy(), rows["label"].to_numpy()
    fitted = _calibrated(scores, label, groups, scale)
    same = scale.low <= label.min() and label.max() <= scale.high
    values = scores if same or fitted is None else fitted
    statistics: dict[str, measures.Statistic] = {
        "spearman": measures.spearman(scores, label),
        "kendall": measures.kendall(scores, label),
        "pearson": measures.pearson(scores, label),
    }
    confusion = None
    if same or fitted is not None:
        statistics["alpha"] = measures.alpha(np.column_stack([values, label]), "interval")
    # Values that one annotator gives; the mean of several annotators lies between them.
    given = matched.raters.to_numpy().astype(float)
    levels = np.unique(given[np.isfinite(given)])
    if len(levels) <= _MAX_LEVELS and "alpha" in statistics:
        nearest = np.abs(values[:, None] - levels[None, :]).argmin(1)
        truth = np.abs(label[:, None] - levels[None, :]).argmin(1)
        statistics["kappa_quadratic"] = measures.kappa(nearest, truth, len(levels), quadratic=True)
        statistics["accuracy"] = measures.mean((nearest == truth).astype(float))
        names = [f"{level:g}" for level in levels]
        _, _, table = _categories([names[i] for i in nearest], [names[i] for i in truth], names)
        confusion = {"names": names, "table": table}
    return {
        "shape": "scores",
        "metrics": _measured(statistics, groups, scale.resamples),
        "counts": {"rows": rows.height},
        "same_scale": bool(same),
        "confusion": confusion,
        "reliability": {
            "raw": bins_of(scores, label) if same else [],
            "calibrated": [] if fitted is None else bins_of(fitted, label),
        },
        "human_agreement": human_agreement(matched, "interval", scale.resamples),
    }


def _calibrated(
    scores: Floats, label: Floats, groups: Sequence[object], scale: Scale
) -> Floats | None:
    if scale.method is None or len(set(groups)) < 2:
        return None
    return cross_fitted(scores, label, groups, scale.method)  # type: ignore[arg-type]


def fitted_curve(matched: Matched, method: str) -> tuple[list[float], list[float]]:
    """The curve on all rows, for later use."""
    scores, labels = (matched.rows[side].to_numpy() for side in ("judge", "label"))
    return fit_curve(scores, labels, method)  # type: ignore[arg-type]


def bins_of(scores: Floats, label: Floats, bins: int = 10) -> list[dict[str, float]]:
    """Bins of a reliability diagram, with equal numbers of rows: mean score and mean label."""
    import numpy as np

    member = measures.equal_mass(scores, bins)
    out = []
    for one in range(int(member.max()) + 1):
        in_bin = member == one
        n, mean = int(in_bin.sum()), float(label[in_bin].mean())
        error = 1.96 * float(np.std(label[in_bin])) / math.sqrt(n)
        out.append(
            {"score": float(scores[in_bin].mean()), "label": mean, "n": n, "low": mean - error,
             "high": mean + error}
        )  # fmt: skip
    return out


def human_agreement(
    matched: Matched, level: measures.Level, resamples: int
) -> dict[str, Any] | None:
    """How much the annotators agree with each other; `None` if there is only one."""
    import numpy as np

    if matched.raters.width < 2:
        return None
    if matched.is_pairwise:
        codes = {"a": 0.0, "b": 1.0}  # decided verdicts only, as for the judge
        columns: list[Any] = [
            [codes.get(v, math.nan) for v in matched.raters[name].to_list()]
            for name in matched.raters.columns
        ]
        ratings = np.array(columns, dtype=float).T
    else:
        ratings = matched.raters.to_numpy().astype(float)
    several = int((np.isfinite(ratings).sum(1) > 1).sum())
    if not several:
        return None
    found = bootstrap(
        measures.alpha(ratings, level), matched.rows["group"].to_list(), resamples=resamples
    )
    value, low, high = (x if math.isfinite(x) else None for x in found)
    return {
        "annotators": matched.raters.width, "rows_of_several": several, "alpha": value, "low": low,
        "high": high,
    }  # fmt: skip


def pick(metrics: Sequence[dict[str, Any]], metric: str) -> dict[str, Any] | None:
    """One metric by its name."""
    return next((one for one in metrics if one["metric"] == metric), None)
