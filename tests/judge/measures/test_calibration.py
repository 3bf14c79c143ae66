"""Calibration curves against closed forms, brute force and an independent optimiser."""

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from judge.measures.calibration import (
    Calibration,
    Curve,
    cross_fitted,
    fit_curve,
    load_calibration,
    save_calibration,
)
from pairwright.errors import DataError, UsageError


def curve(**changes: object) -> Curve:
    values: dict = {
        "judge": "j", "rubric_hash": "h", "criterion": "accuracy", "method": "isotonic",
        "maps_to": "probability", "xs": (1.0, 3.0), "ys": (0.2, 0.8), "n": 9,
    }  # fmt: skip
    return Curve(**{**values, **changes})


def calibration(*curves: Curve) -> Calibration:
    return Calibration(curves=curves, labels="scores/people", fitted_at="2026-01-01T00:00:00")


def test_scores_between_and_outside_the_knots():
    one = calibration(curve())
    assert one.apply("j", "h", "accuracy", 2.0) == pytest.approx(0.5)
    series = one.apply("j", "h", "accuracy", pl.Series("s", [0.0, 1.5, None, 9.0, float("nan")]))
    assert series.to_list() == [0.2, pytest.approx(0.35), None, 0.8, None]
    assert one.apply("j", "h", "accuracy", None) is None


def test_scores_of_another_judge_rubric_or_criterion_are_refused():
    one = calibration(curve())
    for other in (("k", "h", "accuracy"), ("j", "i", "accuracy"), ("j", "h", "relevance")):
        assert one.apply(*other, 2.0) is None
        with pytest.raises(UsageError, match=r"not fitted for judge .* but for judge j, rubric h"):
            one.need(*other)


def test_it_is_the_same_after_writing_and_reading(tmp_path: Path):
    one = calibration(curve(), curve(criterion="x", method="platt", xs=(1.5, -2.0), ys=()))
    save_calibration(tmp_path / "c.json", one)
    assert load_calibration(tmp_path / "c.json") == one
    assert one.apply("j", "h", "x", 2.0) == pytest.approx(1 / (1 + math.exp(-1.0)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "x"}, "not a calibration"),
        ({"version": 9}, "version 9"),
        ({"curves": [{"judge": "j"}]}, "not a valid calibration"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, change: dict, says: str):
    path = tmp_path / "c.json"
    save_calibration(path, calibration(curve()))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=says):
        load_calibration(path)


def test_a_file_of_version_1_is_read(tmp_path: Path):
    path = tmp_path / "c.json"
    save_calibration(path, calibration(curve(maps_to="score")))
    raw = json.loads(path.read_text()) | {"version": 1}
    raw["curves"][0]["maps_to"] = "mark"
    path.write_text(json.dumps(raw))
    assert load_calibration(path) == calibration(curve(maps_to="score"))


def test_a_falling_curve_and_a_missing_file_are_refused(tmp_path: Path):
    save_calibration(tmp_path / "c.json", calibration(curve(ys=(0.8, 0.2))))
    with pytest.raises(DataError, match="does not rise"):
        load_calibration(tmp_path / "c.json")
    with pytest.raises(UsageError, match="cannot be read"):
        load_calibration(tmp_path / "none.json")


def test_isotonic_by_hand():
    # Means by score: 1 -> 1, 2 -> 0, 3 -> 1; the first two are pooled to 1/2.
    xs, ys = fit_curve(np.array([1.0, 2, 3]), np.array([1.0, 0, 1]), "isotonic")
    assert (xs, ys) == ([1, 2, 3], [0.5, 0.5, 1])
    # Ties in the score are one point: (1+1+0)/3 at 1, 1 at 2.
    xs, ys = fit_curve(np.array([1.0, 1, 1, 2]), np.array([1.0, 1, 0, 1]), "isotonic")
    assert (xs, ys) == ([1, 2], [pytest.approx(2 / 3), 1])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 1)), min_size=1, max_size=40))
def test_isotonic_is_the_min_max_formula(rows):
    scores, labels = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    xs, ys = fit_curve(scores, labels, "isotonic")
    levels = sorted(set(scores))
    for level in levels:  # max over starts of the min over ends of the mean between them
        starts, ends = [s for s in levels if s <= level], [e for e in levels if e >= level]
        best = max(min(labels[(scores >= s) & (scores <= e)].mean() for e in ends) for s in starts)
        assert np.interp(level, xs, ys) == pytest.approx(best)


def test_platt_is_the_optimum_of_its_loss():
    rng = np.random.default_rng(3)
    scores = rng.uniform(1, 5, 400)
    labels = (rng.uniform(size=400) < 1 / (1 + np.exp(-(1.3 * scores - 4)))).astype(float)
    (slope, intercept), _ = fit_curve(scores, labels, "platt")
    good = labels.sum()
    targets = np.where(labels == 1, (good + 1) / (good + 2), 1 / (400 - good + 2))

    def loss(beta: np.ndarray) -> float:
        z = beta[0] * scores + beta[1]
        return float(np.sum(np.logaddexp(0, z) - targets * z))

    best = minimize(loss, [0, 0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10})
    assert (slope, intercept) == pytest.approx(tuple(best.x), abs=1e-4)


def test_platt_never_reverses_a_judge_and_handles_separable_labels():
    scores = np.array([1.0, 2, 3, 4])
    (slope, intercept), _ = fit_curve(scores, np.array([1.0, 1, 0, 0]), "platt")
    assert (slope, intercept) == (0, pytest.approx(0))
    (slope, intercept), _ = fit_curve(scores, np.array([0.0, 0, 1, 1]), "platt")
    assert slope > 0
    assert math.isfinite(intercept)


def test_no_row_is_calibrated_by_a_curve_that_was_fitted_with_its_group():
    # Each group has its own label: a curve that saw the group would know it.
    scores = np.repeat(np.arange(4.0), 10)
    labels = np.repeat([0.0, 1, 0, 1], 10)
    groups = np.repeat(["a", "b", "c", "d"], 10).tolist()
    out = cross_fitted(scores, labels, groups, "isotonic", folds=4)
    for group in range(4):
        rest = scores != group
        xs, ys = fit_curve(scores[rest], labels[rest], "isotonic")
        assert np.allclose(out[scores == group], np.interp(group, xs, ys))
    with pytest.raises(ValueError, match="one group"):
        cross_fitted(scores[:10], labels[:10], groups[:10], "isotonic")
