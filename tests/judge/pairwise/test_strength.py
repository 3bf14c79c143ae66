import choix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from judge.pairwise.strength import Strengths, bradley_terry, plackett_luce, win_rates


def test_two_items_have_the_log_odds_of_their_wins():
    counts = np.array([[30.0, 10.0, 0.0]])
    fit = bradley_terry(2, np.array([0]), np.array([1]), counts, ties=False, prior=0.0)
    assert fit.theta[0] - fit.theta[1] == pytest.approx(np.log(3), abs=1e-6)
    assert win_rates(fit) == pytest.approx([0.75, 0.25], abs=1e-6)


def test_ties_have_the_rate_that_was_counted():
    # Davidson's model fits three rates of one pair exactly: .5, .2, .3.
    counts = np.array([[50.0, 20.0, 30.0]])
    fit = bradley_terry(2, np.array([0]), np.array([1]), counts, prior=0.0)
    assert fit.theta[0] - fit.theta[1] == pytest.approx(np.log(2.5), abs=1e-6)
    assert fit.tie == pytest.approx(np.log(30 / np.sqrt(50 * 20)), abs=1e-6)
    assert win_rates(fit) == pytest.approx([0.65, 0.35], abs=1e-6)


def by_scipy(n, first, second, counts, prior):
    """The same likelihood, written out, by another optimizer."""

    def loss(x):
        total = prior / 2 * (x[:n] @ x[:n]) + prior / 20 * x[n] ** 2
        for i, j, (w, lost, t) in zip(first, second, counts, strict=True):
            pi, pj = np.exp(x[i]), np.exp(x[j])
            nu = np.exp(x[n]) * np.sqrt(pi * pj)
            z = pi + pj + nu
            total -= w * np.log(pi / z) + lost * np.log(pj / z) + t * np.log(nu / z)
        return total

    found = minimize(loss, np.zeros(n + 1), method="BFGS", options={"gtol": 1e-8})
    return found.x[:n] - found.x[:n].mean(), found.x[n]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 6), rows=st.integers(1, 15))
def test_it_finds_what_an_independent_optimizer_finds(seed, n, rows):
    rng = np.random.default_rng(seed)
    pairs = np.array([rng.permutation(n)[:2] for _ in range(rows)])
    counts = rng.dirichlet((1, 1, 1), rows)
    fit = bradley_terry(n, pairs[:, 0], pairs[:, 1], counts, prior=0.1)
    theta, tie = by_scipy(n, pairs[:, 0], pairs[:, 1], counts, 0.1)
    assert fit.theta == pytest.approx(theta, abs=1e-4)
    assert fit.tie == pytest.approx(tie, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), n=st.integers(2, 6), prior=st.sampled_from([0.02, 0.1, 1.0])
)  # fmt: skip
def test_it_finds_what_the_package_choix_finds(seed, n, prior):
    rng = np.random.default_rng(seed)
    first, second = np.array([rng.permutation(n)[:2] for _ in range(12)]).T
    counts = np.column_stack([rng.integers(0, 4, (12, 2)), np.zeros(12, int)])
    wins = [
        game
        for i, j, (won, lost, _) in zip(first, second, counts, strict=True)
        for game in [(i, j)] * won + [(j, i)] * lost
    ]
    # choix adds alpha * |theta|^2 to the loss, ours adds prior / 2 * |theta|^2.
    expected = choix.opt_pairwise(n, wins, alpha=prior / 2, tol=1e-10)
    fit = bradley_terry(n, first, second, counts.astype(float), ties=False, prior=prior)
    assert fit.theta == pytest.approx(expected - expected.mean(), abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), prior=st.sampled_from([0.02, 0.1, 1.0]))
def test_plackett_luce_finds_what_the_package_choix_finds(seed, prior):
    rng = np.random.default_rng(seed)
    groups = [rng.permutation(6)[: rng.integers(2, 5)] for _ in range(8)]
    counts = [rng.integers(0, 4, len(group)) for group in groups]
    choices = [
        (group[k], np.delete(group, k))
        for group, count in zip(groups, counts, strict=True)
        for k, times in enumerate(count)
        for _ in range(times)
    ]
    expected = choix.opt_top1(6, choices, alpha=prior / 2, tol=1e-10)
    theta = plackett_luce(6, groups, [count.astype(float) for count in counts], prior=prior)
    assert theta == pytest.approx(expected - expected.mean(), abs=1e-5)


def test_an_item_that_won_everything_stays_finite():
    first, second = np.array([0, 0, 1]), np.array([1, 2, 2])
    counts = np.array([[1.0, 0, 0]] * 3)
    fit = bradley_terry(3, first, second, counts, ties=False)
    assert np.isfinite(fit.theta).all()
    assert list(np.argsort(-fit.theta)) == [0, 1, 2]
    assert fit.theta.mean() == pytest.approx(0)


def test_without_comparisons_all_are_equal():
    fit = bradley_terry(3, np.array([], int), np.array([], int), np.zeros((0, 3)))
    assert list(fit.theta) == [0, 0, 0]
    assert win_rates(fit) == pytest.approx([0.5] * 3)


def test_win_rates_do_not_overflow():
    assert win_rates(Strengths(np.array([2000.0, -2000.0]), 0.0)) == pytest.approx([1, 0])


def test_plackett_luce_of_one_group_is_its_choices():
    theta = plackett_luce(3, [np.array([0, 1, 2])], [np.array([0.6, 0.3, 0.1])], prior=0.0)
    assert np.exp(theta) / np.exp(theta).sum() == pytest.approx([0.6, 0.3, 0.1], abs=1e-5)


def test_plackett_luce_combines_groups_that_overlap():
    # Consistent with strengths 4 : 2 : 1 : 1; groups of two and three members.
    groups = [np.array([0, 1]), np.array([1, 2, 3]), np.array([3, 0])]
    choices = [np.array([4, 2]) / 6, np.array([2, 1, 1]) / 4, np.array([1, 4]) / 5]
    theta = plackett_luce(4, groups, choices, prior=0.0)
    assert np.exp(theta) / np.exp(theta).sum() == pytest.approx([0.5, 0.25, 0.125, 0.125], abs=1e-5)
