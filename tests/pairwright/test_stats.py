"""Bootstrap intervals over groups."""

import numpy as np
import pytest

from pairwright.stats import Interval, bootstrap_mean


def test_constant_values_have_no_width() -> None:
    assert bootstrap_mean([1, 1, 1], ["a", "a", "b"]) == Interval(1.0, 1.0, 1.0)


def test_singletons_match_the_binomial() -> None:
    values = [1] * 300 + [0] * 700
    found = bootstrap_mean(values)
    width = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    assert found.mean == 0.3
    assert found.low == pytest.approx(0.3 - width, abs=0.005)
    assert found.high == pytest.approx(0.3 + width, abs=0.005)
    assert found == bootstrap_mean(values), "seeded"
    assert found != bootstrap_mean(values, seed=1)


def test_groups_that_agree_widen_the_interval() -> None:
    values = [float(group % 2) for group in range(50) for _ in range(10)]
    groups = [group for group in range(50) for _ in range(10)]
    alone, grouped = bootstrap_mean(values), bootstrap_mean(values, groups)
    ratio = (grouped.high - grouped.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(np.sqrt(10), rel=0.1)
    assert alone.mean == grouped.mean == 0.5


def test_wrong_input_and_text() -> None:
    with pytest.raises(ValueError, match="no values"):
        bootstrap_mean([])
    with pytest.raises(ValueError, match="one group a value"):
        bootstrap_mean([1.0], ["a", "b"])
    assert str(Interval(0.716, 0.692, 0.74)) == "71.6 % (69.2 to 74.0)"
