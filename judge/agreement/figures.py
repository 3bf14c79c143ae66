"""The figures of one topic, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from judge.agreement.topics import DECIDED, Topic
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
    "kappa_all": "Cohen's kappa, neither as a third verdict",
    "kappa_quadratic": "Cohen's kappa, quadratic weights",
    "ac1": "Gwet's AC1",
    "accuracy": "accuracy (raw agreement)",
    "accuracy_half": "accuracy, the judge's undecided counted half",
    "spearman": "Spearman's rank correlation",
    "kendall": "Kendall's tau-b",
    "pearson": "Pearson's correlation",
    "auc": "area under the ROC curve",
    "brier": "Brier score (0 is best)",
    "ece": "expected calibration error (0 is best)",
    "ece_calibrated": "the same after calibration, cross-fitted",
}
_MOST_LEVELS: Final = 11
_NEITHER: Final = "neither"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How the judge's marks are read.

    Attributes:
        low: Least mark that can be given.
        high: Greatest.
        method: Calibration to fit, if any.
        draws: Bootstrap draws.
    """

    low: float
    high: float
    method: str | None
    draws: int


def figures_of(topic: Topic, scale: Scale) -> dict[str, Any]:
    """All figures of a topic, as JSON values."""
    if topic.verdicts:
        return _verdicts(topic, scale)
    if topic.is_binary:
        return _binary(topic, scale)
    return _marks(topic, scale)


def _measured(
    statistics: dict[str, measures.Statistic], groups: Sequence[Any], draws: int
) -> list[dict[str, Any]]:
    out = []
    for name, statistic in statistics.items():
        found = bootstrap(statistic, groups, resamples=draws)
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


def _verdicts(topic: Topic, scale: Scale) -> dict[str, Any]:
    import numpy as np
    import polars as pl

    rows = topic.rows
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
        found = _measured(statistics, decided["group"].to_list(), scale.draws)
    if clear.height:
        half = clear.select(
            pl.when(~split["judge"]).then(0.5).otherwise((pl.col("judge") == pl.col("label")).cast(pl.Float64))
        ).to_series().to_numpy()  # fmt: skip
        found += _measured(
            {"accuracy_half": measures.mean(half)}, clear["group"].to_list(), scale.draws
        )
    found += _measured(
        {"kappa_all": measures.kappa(x3, y3, 3)}, rows["group"].to_list(), scale.draws
    )
    known = clear.filter(pl.col("p").is_not_null())
    reliability = []
    if known.height:
        p, good = known["p"].to_numpy(), (known["label"] == "a").to_numpy().astype(float)
        probability = _probability(p, good)
        found += _measured(probability, known["group"].to_list(), scale.draws)
        reliability = bins_of(p, good)
    return {
        "shape": "verdicts",
        "figures": found,
        "counts": _decided(rows),
        "confusion": {"names": ["a", "b", _NEITHER], "table": table},
        "reliability": {"raw": reliability, "calibrated": []},
        "people": ceiling(topic, "nominal", scale.draws),
    }


def _decided(rows: pl.DataFrame) -> dict[str, int]:
    """How many pairs which side decided."""
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


def _binary(topic: Topic, scale: Scale) -> dict[str, Any]:
    import numpy as np

    rows, groups = topic.rows, topic.rows["group"].to_list()
    marks, good = rows["judge"].to_numpy(), rows["label"].to_numpy()
    p = (marks - scale.low) / ((scale.high - scale.low) or 1.0)
    said = (p > 0.5).astype(np.int64)
    truth = good.astype(np.int64)
    _, _, table = _categories(said.tolist(), truth.tolist(), (0, 1))
    statistics = {
        "alpha": measures.alpha(np.column_stack([said, truth]).astype(float), "nominal"),
        "kappa": measures.kappa(said, truth, 2),
        "ac1": measures.gwet_ac1(said, truth, 2),
        "accuracy": measures.mean((said == truth).astype(float)),
        "spearman": measures.spearman(marks, good),
        **_probability(np.clip(p, 0, 1), good),
    }
    fitted = _calibrated(marks, good, groups, scale)
    if fitted is not None:
        statistics["ece_calibrated"] = measures.calibration_error(fitted, good)
    return {
        "shape": "yes or no",
        "figures": _measured(statistics, groups, scale.draws),
        "counts": {
            "rows": rows.height,
            "labels_good": int(truth.sum()),
            "judge_good": int(said.sum()),
            "on_the_middle": int((p == 0.5).sum()),
        },
        "confusion": {"names": ["bad", "good"], "table": table},
        "reliability": {
            "raw": bins_of(np.clip(p, 0, 1), good),
            "calibrated": [] if fitted is None else bins_of(fitted, good),
        },
        "people": ceiling(topic, "nominal", scale.draws),
    }


def _marks(topic: Topic, scale: Scale) -> dict[str, Any]:
    import numpy as np

    rows, groups = topic.rows, topic.rows["group"].to_list()
    marks, label = rows["judge"].to_numpy(), rows["label"].to_numpy()
    fitted = _calibrated(marks, label, groups, scale)
    same = scale.low <= label.min() and label.max() <= scale.high
    read = marks if same or fitted is None else fitted
    statistics: dict[str, measures.Statistic] = {
        "spearman": measures.spearman(marks, label),
        "kendall": measures.kendall(marks, label),
        "pearson": measures.pearson(marks, label),
    }
    confusion = None
    if same or fitted is not None:
        statistics["alpha"] = measures.alpha(np.column_stack([read, label]), "interval")
    # Values that one annotator gives; the mean of several lies between them.
    given = topic.raters.to_numpy().astype(float)
    levels = np.unique(given[np.isfinite(given)])
    if len(levels) <= _MOST_LEVELS and "alpha" in statistics:
        nearest = np.abs(read[:, None] - levels[None, :]).argmin(1)
        truth = np.abs(label[:, None] - levels[None, :]).argmin(1)
        statistics["kappa_quadratic"] = measures.kappa(nearest, truth, len(levels), quadratic=True)
        statistics["accuracy"] = measures.mean((nearest == truth).astype(float))
        names = [f"{level:g}" for level in levels]
        _, _, table = _categories([names[i] for i in nearest], [names[i] for i in truth], names)
        confusion = {"names": names, "table": table}
    return {
        "shape": "marks",
        "figures": _measured(statistics, groups, scale.draws),
        "counts": {"rows": rows.height},
        "same_scale": bool(same),
        "confusion": confusion,
        "reliability": {
            "raw": bins_of(marks, label) if same else [],
            "calibrated": [] if fitted is None else bins_of(fitted, label),
        },
        "people": ceiling(topic, "interval", scale.draws),
    }


def _calibrated(
    marks: Floats, label: Floats, groups: Sequence[object], scale: Scale
) -> Floats | None:
    if scale.method is None or len(set(groups)) < 2:
        return None
    return cross_fitted(marks, label, groups, scale.method)  # type: ignore[arg-type]


def fitted_curve(topic: Topic, method: str) -> tuple[list[float], list[float]]:
    """The curve on all rows, for later use."""
    marks, labels = (topic.rows[side].to_numpy() for side in ("judge", "label"))
    return fit_curve(marks, labels, method)  # type: ignore[arg-type]


def bins_of(marks: Floats, label: Floats, bins: int = 10) -> list[dict[str, float]]:
    """Rows of a reliability diagram: mean mark and mean label of bins of equal numbers of rows."""
    import numpy as np

    member = measures.equal_mass(marks, bins)
    out = []
    for one in range(int(member.max()) + 1):
        mine = member == one
        n, mean = int(mine.sum()), float(label[mine].mean())
        error = 1.96 * float(np.std(label[mine])) / math.sqrt(n)
        out.append(
            {"mark": float(marks[mine].mean()), "label": mean, "n": n, "low": mean - error,
             "high": mean + error}
        )  # fmt: skip
    return out


def ceiling(topic: Topic, level: measures.Level, draws: int) -> dict[str, Any] | None:
    """How far the annotators agree among themselves; `None` where there is one only."""
    import numpy as np

    if topic.raters.width < 2:
        return None
    if topic.verdicts:
        codes = {"a": 0.0, "b": 1.0}  # as for the judge: among decided verdicts
        columns: list[Any] = [
            [codes.get(v, math.nan) for v in topic.raters[name].to_list()]
            for name in topic.raters.columns
        ]
        ratings = np.array(columns, dtype=float).T
    else:
        ratings = topic.raters.to_numpy().astype(float)
    several = int((np.isfinite(ratings).sum(1) > 1).sum())
    if not several:
        return None
    found = bootstrap(
        measures.alpha(ratings, level), topic.rows["group"].to_list(), resamples=draws
    )
    value, low, high = (x if math.isfinite(x) else None for x in found)
    return {
        "annotators": topic.raters.width, "rows_of_several": several, "alpha": value, "low": low,
        "high": high,
    }  # fmt: skip


def pick(figures: Sequence[dict[str, Any]], metric: str) -> dict[str, Any] | None:
    """One figure by its name."""
    return next((one for one in figures if one["metric"] == metric), None)
