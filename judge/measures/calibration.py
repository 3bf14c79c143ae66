"""What a judge's mark means to people: a fitted, monotone curve, its file and its use.

`judge agree` fits it, `judge calibrate` and later scores read it. A curve belongs to one judge, one
rubric (by its hash) and one criterion, and is refused for any other.
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
VERSION: Final = 1
Method = Literal["isotonic", "platt"]
MapsTo = Literal["probability", "mark"]
_PLATT_STEPS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One fitted curve.

    Attributes:
        judge: The judge whose marks it reads.
        rubric_hash: The rubric they were given by.
        criterion: Their criterion.
        method: `isotonic` (linear between knots, flat outside) or `platt` (a sigmoid).
        maps_to: `probability` that people say good, or the `mark` that people give.
        xs: Isotonic: the knots' marks, rising. Platt: slope and intercept.
        ys: Isotonic: the knots' values, never falling. Platt: empty.
        n: Rows it was fitted on.
    """

    judge: str
    rubric_hash: str
    criterion: str
    method: Method
    maps_to: MapsTo
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    n: int

    def values(self, marks: Floats) -> Floats:
        """The curve at these marks."""
        import numpy as np
        from scipy.special import expit

        if self.method == "platt":
            slope, intercept = self.xs
            return np.asarray(expit(slope * marks + intercept), dtype=np.float64)
        return np.interp(marks, self.xs, self.ys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The curves of one file.

    Attributes:
        curves: One a judge, rubric and criterion.
        labels: `kind/run` of the people's labels.
        fitted_at: UTC time.
    """

    curves: tuple[Curve, ...]
    labels: str
    fitted_at: str

    def curve(self, judge: str, rubric_hash: str, criterion: str) -> Curve | None:
        """The curve for exactly these marks, if there is one."""
        wanted = (judge, rubric_hash, criterion)
        return next(
            (c for c in self.curves if (c.judge, c.rubric_hash, c.criterion) == wanted), None
        )

    def need(self, judge: str, rubric_hash: str, criterion: str) -> Curve:
        """The curve for exactly these marks.

        Raises:
            UsageError: If it is another's.
        """
        found = self.curve(judge, rubric_hash, criterion)
        if found is None:
            known = "; ".join(
                f"judge {c.judge}, rubric {c.rubric_hash}, criterion {c.criterion}"
                for c in self.curves
            )
            msg = (
                f"this calibration was not fitted for judge {judge}, rubric {rubric_hash}, criterion "
                f"{criterion} but for {known}: fit one with `judge agree`"
            )
            raise UsageError(msg)
        return found

    def apply(
        self, judge: str, rubric_hash: str, criterion: str, scores: pl.Series | float | None
    ) -> Any:
        """The calibrated marks: a series for a series, a number for a number.

        A mark that is null or not a number stays null. `None` if no curve was fitted for this
        judge, rubric and criterion; `need` says so to a user.
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
        marks = scores.cast(pl.Float64).to_numpy()
        return pl.Series(scores.name, curve.values(marks), dtype=pl.Float64).fill_nan(None)


def save_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration."""
    from pairwright.dataset.manifest import write_json

    write_json(path, {"format": FORMAT, "version": VERSION, **asdict(calibration)})


def load_calibration(path: Path) -> Calibration:
    """Read what `save_calibration` wrote.

    Raises:
        UsageError: If there is no such file.
        DataError: If it is no calibration, or a curve in it means nothing.
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
    if raw.get("version") != VERSION:
        msg = f"{path}: calibration version {raw.get('version')}, this pairwright reads {VERSION}"
        raise DataError(msg)
    try:
        curves = tuple(_checked(one) for one in raw["curves"])
        return Calibration(
            curves=curves, labels=str(raw["labels"]), fitted_at=str(raw["fitted_at"])
        )
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{path}: a broken calibration ({error}); fit it again with `judge agree`"
        raise DataError(msg) from error


def _checked(raw: dict[str, Any]) -> Curve:
    numbers = {name: tuple(float(x) for x in raw[name]) for name in ("xs", "ys")}
    curve = Curve(**{**raw, **numbers})
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


def fit_curve(marks: Floats, labels: Floats, method: Method) -> tuple[list[float], list[float]]:
    """Numbers of the monotone curve that reads the marks as the labels.

    Isotonic: pool adjacent violators (Barlow et al. 1972) on the mean label of each distinct mark;
    the knots are the ends of each level. Platt: logistic regression of labels in [0, 1] with
    Platt's smoothed targets (Platt 1999), by Newton's steps (Lin, Lin and Weng 2007); a slope that
    would fall is flat, for a mark must not turn round what the judge says.

    Returns:
        `xs` and `ys` of a `Curve`.
    """
    if method == "platt":
        return list(_platt(marks, labels)), []
    import numpy as np
    from scipy.optimize import isotonic_regression

    xs, member = np.unique(marks, return_inverse=True)
    weights = np.bincount(member).astype(np.float64)
    means = np.bincount(member, weights=labels) / weights
    ys = isotonic_regression(means, weights=weights).x
    changes = np.flatnonzero(np.diff(ys) > 0)
    ends = np.unique(np.concatenate(([0], changes, changes + 1, [xs.size - 1])))
    return xs[ends].tolist(), ys[ends].tolist()


def _platt(marks: Floats, labels: Floats) -> tuple[float, float]:
    import numpy as np
    from scipy.special import expit

    n = float(marks.size)
    good = float(labels.sum())
    # Platt's targets: as if one more of either kind had been seen.
    high, low = (good + 1) / (good + 2), 1 / (n - good + 2)
    targets = low + labels * (high - low)
    center, spread = float(marks.mean()), float(marks.std()) or 1.0
    x = np.column_stack([(marks - center) / spread, np.ones_like(marks)])
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
        share = float(targets.mean())
        return 0.0, math.log(share / (1 - share))
    slope = float(beta[0]) / spread
    return slope, float(beta[1]) - slope * center


def cross_fitted(
    marks: Floats,
    labels: Floats,
    groups: Sequence[object],
    method: Method,
    *,
    folds: int = 5,
    seed: int = 0,
) -> Floats:
    """Calibrated marks of rows by curves that saw no row of their group.

    Args:
        marks: The judge's marks.
        labels: People's.
        groups: Group of each row (its image); a group is never split.
        method: As in `fit_curve`.
        folds: Number of parts, fewer where there are fewer groups.
        seed: Of the groups' shuffle.

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
    out = np.empty(marks.size)
    for fold in range(folds):
        mine = fold_of[member] == fold
        xs, ys = fit_curve(marks[~mine], labels[~mine], method)
        curve = Curve(
            judge="", rubric_hash="", criterion="", method=method, maps_to="probability",
            xs=tuple(xs), ys=tuple(ys), n=int((~mine).sum()),
        )  # fmt: skip
        out[mine] = curve.values(marks[mine])
    return out
