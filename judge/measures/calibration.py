"""Calibration: a fitted, monotone curve from a judge's scores to human labels, and its file.

`judge agree` fits it; `judge calibrate` and `judge score --calibration` apply it. A curve belongs
to one judge, one rubric (by its hash) and one criterion, and is refused for any other.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pairwright.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FORMAT: Final = "pairwright-calibration"
VERSION: Final = 2  # 1: `maps_to` was `mark` for what is `score` now
Method = Literal["isotonic", "platt"]
MapsTo = Literal["probability", "score"]
_PLATT_STEPS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One fitted curve.

    Attributes:
        judge: The judge whose scores it calibrates.
        rubric_hash: Their rubric.
        criterion: Their criterion.
        method: `isotonic` (linear between knots, flat outside) or `platt` (a sigmoid).
        maps_to: `probability` that annotators say good, or the `score` that annotators give.
        xs: Isotonic: the scores of the knots, rising. Platt: slope and intercept.
        ys: Isotonic: the values of the knots, never falling. Platt: empty.
        n: Number of rows it was fitted on.
    """

    judge: str
    rubric_hash: str
    criterion: str
    method: Method
    maps_to: MapsTo
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    n: int

    def values(self, scores: Floats) -> Floats:
        """The curve at these scores."""
        import numpy as np
        from scipy.special import expit

        if self.method == "platt":
            slope, intercept = self.xs
            return np.asarray(expit(slope * scores + intercept), dtype=np.float64)
        return np.interp(scores, self.xs, self.ys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The curves of one file.

    Attributes:
        curves: One per judge, rubric and criterion.
        labels: `kind/run` of the human labels.
        fitted_at: UTC time.
    """

    curves: tuple[Curve, ...]
    labels: str
    fitted_at: str

    def curve(self, judge: str, rubric_hash: str, criterion: str) -> Curve | None:
        """The curve for exactly these scores, if there is one."""
        wanted = (judge, rubric_hash, criterion)
        return next(
            (c for c in self.curves if (c.judge, c.rubric_hash, c.criterion) == wanted), None
        )

    def need(self, judge: str, rubric_hash: str, criterion: str) -> Curve:
        """The curve for exactly these scores.

        Raises:
            UsageError: If there is none.
        """
        found = self.curve(judge, rubric_hash, criterion)
        if found is None:
            known = "; ".join(
                f"judge {c.judge}, rubric {c.rubric_hash}, criterion {c.criterion}"
                for c in self.curves
            )
            msg = (
                f"this calibration was not fitted for judge {judge}, rubric {rubric_hash}, criterion "
                f"{criterion}, but for {known}: fit one with `judge agree`"
            )
            raise UsageError(msg)
        return found

    def apply(
        self, judge: str, rubric_hash: str, criterion: str, scores: pl.Series | float | None
    ) -> Any:
        """The calibrated scores: a series for a series, a number for a number.

        A score that is null or NaN gives null. `None` if no curve was fitted for this judge, rubric
        and criterion; `need` raises an error instead.
        """
        import numpy as np
        import polars as pl

        curve = self.curve(judge, rubric_hash, criterion)
        if curve is None or scores is None:
            return None
        if isinstance(scores, int | float):
            if math.isnan(scores):
                return None
            return float(curve.values(np.array([float(scores)]))[0])
        values = scores.cast(pl.Float64).to_numpy()
        return pl.Series(scores.name, curve.values(values), dtype=pl.Float64).fill_nan(None)


def save_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration."""
    from pairwright.dataset.manifest import write_json

    write_json(path, {"format": FORMAT, "version": VERSION, **asdict(calibration)})


def load_calibration(path: Path) -> Calibration:
    """Read what `save_calibration` wrote.

    Raises:
        UsageError: If there is no such file.
        DataError: If it is no calibration, or a curve in it is not valid.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror}); `judge agree` writes a calibration"
        raise UsageError(msg) from error
    except ValueError as error:
        msg = f"{path}: not a calibration (not valid JSON)"
        raise DataError(msg) from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        msg = f"{path}: not a calibration; give the calibration.json that `judge agree` wrote"
        raise DataError(msg)
    if raw.get("version") not in (1, VERSION):
        msg = f"{path}: calibration version {raw.get('version')}, this pairwright reads up to {VERSION}"
        raise DataError(msg)
    try:
        curves = tuple(_checked(one) for one in raw["curves"])
        return Calibration(
            curves=curves, labels=str(raw["labels"]), fitted_at=str(raw["fitted_at"])
        )
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{path}: not a valid calibration ({error}); fit it again with `judge agree`"
        raise DataError(msg) from error


def _checked(raw: dict[str, Any]) -> Curve:
    numbers = {name: tuple(float(x) for x in raw[name]) for name in ("xs", "ys")}
    maps_to = "score" if raw["maps_to"] == "mark" else raw["maps_to"]  # version 1
    curve = Curve(**{**raw, **numbers, "maps_to": maps_to})
    xs, ys = curve.xs, curve.ys
    if curve.method not in ("isotonic", "platt") or not all(map(math.isfinite, (*xs, *ys))):
        msg = f"the curve of {curve.criterion!r} has no method or no numbers"
        raise ValueError(msg)
    falls = any(b < a for values in (xs, ys) for a, b in itertools.pairwise(values))
    good = len(xs) == len(ys) > 0 and not falls if curve.method == "isotonic" else len(xs) == 2
    if not good:
        msg = f"the curve of {curve.criterion!r} does not rise"
        raise ValueError(msg)
    return curve


def fit_curve(scores: Floats, labels: Floats, method: Method) -> tuple[list[float], list[float]]:
    """Numbers of the monotone curve from the scores to the labels.

    Isotonic: pool adjacent violators (Barlow et al. 1972) on the mean label of each distinct score;
    the knots are the ends of each level. Platt: logistic regression of labels in [0, 1] with
    Platt's smoothed targets (Platt 1999), by Newton's steps (Lin, Lin and Weng 2007); a slope that
    would fall is set to 0, because a calibration must not reverse the order of the scores.

    Returns:
        `xs` and `ys` of a `Curve`.
    """
    if method == "platt":
        return list(_platt(scores, labels)), []
    import numpy as np
    from scipy.optimize import isotonic_regression

    xs, member = np.unique(scores, return_inverse=True)
    weights = np.bincount(member).astype(np.float64)
    means = np.bincount(member, weights=labels) / weights
    ys = isotonic_regression(means, weights=weights).x
    changes = np.flatnonzero(np.diff(ys) > 0)
    ends = np.unique(np.concatenate(([0], changes, changes + 1, [xs.size - 1])))
    return xs[ends].tolist(), ys[ends].tolist()


def _platt(scores: Floats, labels: Floats) -> tuple[float, float]:
    import numpy as np
    from scipy.special import expit

    n = float(scores.size)
    good = float(labels.sum())
    # Platt's targets: as if there were one more of either kind.
    high, low = (good + 1) / (good + 2), 1 / (n - good + 2)
    targets = low + labels * (high - low)
    center, spread = float(scores.mean()), float(scores.std()) or 1.0
    x = np.column_stack([(scores - center) / spread, np.ones_like(scores)])
    beta = np.zeros(2)
    for _ in range(_PLATT_STEPS):
        p = expit(x @ beta)
        gradient = x.T @ (p - targets)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        beta -= step * min(1.0, 4.0 / (1e-12 + float(np.abs(step).max())))
        if float(np.abs(step).max()) < 1e-10:
            break
    if beta[0] < 0:
        rate = float(targets.mean())
        return 0.0, math.log(rate / (1 - rate))
    slope = float(beta[0]) / spread
    return slope, float(beta[1]) - slope * center


def cross_fitted(
    scores: Floats,
    labels: Floats,
    groups: Sequence[object],
    method: Method,
    *,
    folds: int = 5,
    seed: int = 0,
) -> Floats:
    """Calibrated scores of rows, by curves that were fitted without the rows of their group.

    Args:
        scores: Of the judge.
        labels: Of human annotators.
        groups: Group of each row (its image); a group is never split.
        method: As in `fit_curve`.
        folds: Number of parts, fewer if there are fewer groups.
        seed: Of the order of the groups.

    Raises:
        ValueError: If there is one group only.
    """
    import numpy as np

    places: dict[object, int] = {}
    member = np.array([places.setdefault(name, len(places)) for name in groups])
    if len(places) < 2:
        msg = "one group of rows cannot be fitted and tested"
        raise ValueError(msg)
    folds = min(folds, len(places))
    fold_of = np.random.default_rng(seed).permutation(len(places)) % folds
    out = np.empty(scores.size)
    for fold in range(folds):
        in_fold = fold_of[member] == fold
        xs, ys = fit_curve(scores[~in_fold], labels[~in_fold], method)
        curve = Curve(
            judge="", rubric_hash="", criterion="", method=method, maps_to="probability",
            xs=tuple(xs), ys=tuple(ys), n=int((~in_fold).sum()),
        )  # fmt: skip
        out[in_fold] = curve.values(scores[in_fold])
    return out
