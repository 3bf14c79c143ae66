"""Measures of agreement against scipy, brute force and published worked examples."""

import itertools
import time
from typing import Any

import krippendorff
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from judge.measures import agreement as measures
from pairwright.stats import bootstrap, bootstrap_mean

NAN = float("nan")
# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), example C: 4 observers, 12 units.
EXAMPLE = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T


def value(statistic: Any, n: int) -> float:
    return statistic(np.ones(n))


@pytest.mark.parametrize(
    ("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_krippendorffs_own_example(level, published):
    assert value(measures.alpha(EXAMPLE, level), 12) == pytest.approx(published, abs=0.0006)


def test_cohens_kappa_of_a_worked_example():
    # 20 both yes, 5 and 10 split, 15 both no: (0.7 - 0.5) / (1 - 0.5) = 0.4.
    a = np.repeat([1, 1, 0, 0], [20, 5, 10, 15])
    b = np.repeat([1, 0, 1, 0], [20, 5, 10, 15])
    assert value(measures.kappa(a, b, 2), 50) == pytest.approx(0.4)
    # AC1: pi = (25 + 30) / 100 = 0.55, chance = 2 * 0.55 * 0.45 = 0.495.
    assert value(measures.gwet_ac1(a, b, 2), 50) == pytest.approx((0.7 - 0.495) / 0.505)
    # Raw agreement of 90 % that is worth nothing: all of it is chance.
    a, b = np.repeat([0, 0, 1], [90, 5, 5]), np.repeat([0, 1, 0], [90, 5, 5])
    assert value(measures.mean((a == b).astype(float)), 100) == 0.9
    assert value(measures.kappa(a, b, 2), 100) < 0


def test_quadratic_kappa_is_the_concordance_of_means_and_spreads():
    # Lin's concordance with population moments equals quadratic kappa (Krippendorff 1970).
    rng = np.random.default_rng(1)
    a = rng.integers(0, 5, 300)
    b = np.clip(a + rng.integers(-1, 2, 300), 0, 4)
    lin = 2 * np.cov(a, b, bias=True)[0, 1] / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    assert value(measures.kappa(a, b, 5, quadratic=True), 300) == pytest.approx(lin)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=4, max_size=40))
def test_correlations_are_scipys(rows):
    x, y = (np.array(c, dtype=float) for c in zip(*rows, strict=True))
    got = [
        value(one(x, y), len(rows))
        for one in (measures.spearman, measures.pearson, measures.kendall)
    ]
    if len(set(x)) < 2 or len(set(y)) < 2:
        assert np.isnan(got).all()
        return
    expected = [f(x, y).statistic for f in (stats.spearmanr, stats.pearsonr, stats.kendalltau)]
    assert got == pytest.approx(expected, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), min_size=2, max_size=40))
def test_auc_is_the_fraction_of_pairs(rows):
    scores, good = (np.array(c, dtype=float) for c in zip(*rows, strict=True))
    pairs = [
        (p > n) + (p == n) / 2 for p, n in itertools.product(scores[good == 1], scores[good == 0])
    ]
    got = value(measures.auc(scores, good), len(rows))
    assert got == pytest.approx(np.mean(pairs)) if pairs else np.isnan(got)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([1.0, 2.0, 4.0, NAN]), min_size=3, max_size=3),
        min_size=2, max_size=12,
    ),
    st.sampled_from(["nominal", "ordinal", "interval"]),
)  # fmt: skip
@example([[NAN] * 3] * 2, "nominal")
def test_alpha_is_that_of_the_package_krippendorff(rows, level):
    got = value(measures.alpha(np.array(rows), level), len(rows))
    units = [[v for v in row if not np.isnan(v)] for row in rows]
    if len({v for unit in units if len(unit) > 1 for v in unit}) < 2:
        assert np.isnan(got), "ratings that do not differ have no alpha"
        return
    expected = krippendorff.alpha(np.array(rows).T, level_of_measurement=level)
    assert got == pytest.approx(expected, abs=1e-9)


def test_weights_are_repeated_rows():
    rng = np.random.default_rng(5)
    x, y, z = rng.integers(0, 4, (3, 50)).astype(float)
    good = (y > 1).astype(float)
    a, b = x.astype(np.int64), y.astype(np.int64)
    weights = rng.integers(0, 4, 50)
    rows = np.repeat(np.arange(50), weights)

    def pick(v: np.ndarray) -> np.ndarray:
        return v[rows]

    both = np.column_stack([x, y])
    for weighted, repeated in (
        (measures.spearman(x, y), measures.spearman(pick(x), pick(y))),
        (measures.kendall(x, y), measures.kendall(pick(x), pick(y))),
        (measures.partial_spearman(x, y, z), measures.partial_spearman(pick(x), pick(y), pick(z))),
        (measures.auc(x, good), measures.auc(pick(x), pick(good))),
        (measures.kappa(a, b, 4), measures.kappa(pick(a), pick(b), 4)),
        (measures.gwet_ac1(a, b, 4), measures.gwet_ac1(pick(a), pick(b), 4)),
        *((measures.alpha(both, k), measures.alpha(both[rows], k))
          for k in ("nominal", "ordinal", "interval")),
    ):  # fmt: skip
        assert weighted(weights.astype(float)) == pytest.approx(value(repeated, rows.size))


def test_kendall_of_many_levels_is_that_of_the_table(monkeypatch):
    rng = np.random.default_rng(4)
    x = rng.normal(size=60).round(1)
    y = (x + rng.normal(size=60)).round(1)
    weights = rng.integers(0, 3, 60).astype(float)
    table = measures.kendall(x, y)(weights)
    monkeypatch.setattr(measures, "_LARGEST_TABLE", 0)
    assert measures.kendall(x, y)(weights) == pytest.approx(table)


def test_calibration_error_by_hand():
    # Two bins: (0.2, 0.2) with 0 and 1 good of 2, (0.9, 0.9) both good.
    p, good = np.array([0.2, 0.2, 0.9, 0.9]), np.array([0.0, 1, 1, 1])
    got = value(measures.calibration_error(p, good, bins=2), 4)
    assert got == pytest.approx((2 * 0.3 + 2 * 0.1) / 4)


def test_bins_hold_equal_numbers_and_equal_values_share_one():
    bins = measures.equal_mass(np.arange(100.0), 10)
    assert np.bincount(bins).tolist() == [10] * 10 or set(np.bincount(bins)) <= {9, 10, 11}
    assert len(set(measures.equal_mass(np.ones(50), 10))) == 1


def test_the_bootstrap_of_a_mean_is_the_bootstrap_of_a_mean():
    rng = np.random.default_rng(2)
    values = rng.uniform(size=600)
    groups = (np.arange(600) // 3).tolist()
    general = bootstrap(measures.mean(values), groups)
    special = bootstrap_mean(values.tolist(), groups)
    assert general == pytest.approx(special, abs=0.003)


def test_ten_thousand_rows_take_seconds():
    rng = np.random.default_rng(2)
    x = rng.normal(size=10_000)
    started = time.monotonic()
    bootstrap(measures.spearman(x, x + rng.normal(size=10_000)), list(range(10_000)))
    assert time.monotonic() - started < 30
