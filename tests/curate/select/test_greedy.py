"""Greedy selection equals its definition: compared with plain loops."""

import itertools

import numpy as np
import pytest

from curate.near.vectors.base import unit
from curate.select.blocks import in_blocks, near_blocks
from curate.select.greedy import Points, facility_location, k_center, proportional


def make_points(n: int, *, rows: int = 1, width: int = 8, seed: int = 0) -> Points:
    """Random points, each with one to `rows` rows of random quality."""
    generator = np.random.default_rng(seed)
    centers = generator.standard_normal((4, width))
    vectors = unit(centers[generator.integers(0, 4, n)] + generator.standard_normal((n, width)))
    counts = generator.integers(1, rows + 1, n)
    at = np.r_[0, np.cumsum(counts)].astype(np.int64)
    quality = generator.random(at[-1])
    order = np.lexsort((-quality, np.repeat(np.arange(n), counts)))
    return Points(vectors.astype(np.float16), at, order, quality, generator.permutation(n))


def naive(points: Points, budget: int, weight: float, gain) -> list[int]:
    """Always the row with the largest value, everything computed again."""
    chosen: list[int] = []
    rows: list[int] = []
    for _ in range(budget):
        best = None
        for p in range(len(points)):
            left = [r for r in points.rows[points.at[p] : points.at[p + 1]] if r not in rows]
            if left:
                value = gain(chosen, p) * (1 - weight) + weight * points.quality[left[0]] * (
                    1 / budget if gain.__name__ == "coverage" else 1
                )
                key = (round(value, 9), -points.tie[p])
                if best is None or key > best[0]:
                    best = (key, p, left[0])
        assert best is not None
        chosen.append(best[1])
        rows.append(int(best[2]))
    return rows


def covering(points: Points, floor: float):
    dense = points.dense(slice(None)).astype(np.float64)
    similarity = np.maximum(dense @ dense.T - floor, 0) / (1 - floor)
    np.fill_diagonal(similarity, 1)
    weights = np.diff(points.at) / np.diff(points.at).sum()

    def coverage(chosen: list[int], p: int) -> float:
        before = similarity[chosen].max(axis=0) if chosen else np.zeros(len(points))
        return float((np.maximum(similarity[p] - before, 0) * weights).sum())

    return coverage


def spreading(points: Points):
    dense = points.dense(slice(None)).astype(np.float64)
    apart = np.sqrt(np.maximum(1 - dense @ dense.T, 0))
    np.fill_diagonal(apart, 0)

    def distance(chosen: list[int], p: int) -> float:
        return float(apart[p, chosen].min()) if chosen else 2**0.5

    return distance


@pytest.mark.parametrize(
    ("weight", "rows", "floor"), [(0, 1, 0), (0, 3, 0.2), (0.4, 3, 0.1), (1, 2, 0)]
)
def test_facility_location_is_greedy(weight, rows, floor):
    points = make_points(60, rows=rows, seed=3)
    budget = 25
    found = facility_location(points, budget, quality=weight, floor=floor)
    assert found.rows.tolist() == naive(points, budget, weight, covering(points, floor))
    if weight == 0:
        assert (np.diff(found.gains) <= 1e-9).all(), (
            "gains of a submodular objective never increase"
        )


@pytest.mark.parametrize(
    ("weight", "rows", "pool"), [(0, 1, 7), (0, 3, 16), (0.4, 3, 7), (1, 2, 9), (0.2, 1, 999)]
)
def test_k_center_is_greedy_whatever_the_pool(weight, rows, pool):
    points = make_points(60, rows=rows, seed=4)
    budget = 40
    found = k_center(points, budget, quality=weight, pool=pool)
    assert found.rows.tolist() == naive(points, budget, weight, spreading(points))


def test_both_reach_their_guarantees_against_the_best_subset():
    for seed in range(10):
        points = make_points(11, width=3, seed=seed)
        gain, distance = covering(points, 0.0), spreading(points)

        def value(subset: tuple[int, ...], gain=gain) -> float:
            return sum(gain(list(subset[:k]), subset[k]) for k in range(len(subset)))

        def radius(subset: tuple[int, ...], distance=distance) -> float:
            return max(distance(list(subset), p) for p in range(11))

        subsets = list(itertools.combinations(range(11), 3))
        best = max(value(s) for s in subsets)
        assert value(tuple(facility_location(points, 3).rows)) >= (1 - 1 / np.e) * best - 1e-6
        least = min(radius(s) for s in subsets)
        assert radius(tuple(k_center(points, 3).rows)) <= 2 * least + 1e-3


def test_every_row_can_be_selected_once_also_with_zero_vectors():
    points = make_points(30, rows=3, seed=5)
    points.vectors[:3] = 0
    total = len(points.rows)
    for found in (facility_location(points, total + 5), k_center(points, total + 5, pool=8)):
        assert sorted(found.rows) == list(range(total))


@pytest.mark.parametrize("quality", [0.0, 0.3])
def test_blocks_nearly_reach_the_whole(quality):
    points = make_points(900, rows=2, seed=6)
    whole = facility_location(points, 60, quality=quality)
    parts = in_blocks(points, 60, block=200, quality=quality)
    assert len(set(parts.rows)) == 60
    assert (np.diff(parts.gains) <= 0).all()
    of_row = np.empty(len(points.rows), dtype=np.int64)
    of_row[points.rows] = np.repeat(np.arange(900), np.diff(points.at))
    dense, weights = points.dense(slice(None)), np.diff(points.at) / len(points.rows)

    def value(rows: np.ndarray) -> float:
        near = np.maximum(dense @ dense[of_row[rows]].T, 0).max(axis=1)
        return float((1 - quality) * near @ weights + quality * points.quality[rows].mean())

    random = value(np.random.default_rng(1).permutation(len(points.rows))[:60])
    assert value(parts.rows) - random > 0.8 * (value(whole.rows) - random) > 0


def test_blocks_contain_every_point_once_also_with_equal_vectors():
    points = make_points(500, seed=7)
    points.vectors[100:400] = points.vectors[0]
    blocks = near_blocks(points, 64)
    assert sorted(np.concatenate(blocks)) == list(range(500))
    assert max(len(b) for b in blocks) <= 64
    found = in_blocks(points, 500, block=64)
    assert sorted(found.rows) == list(range(500))


def test_proportional_parts():
    assert proportional(np.array([5, 3, 2]), 5).tolist() == [3, 1, 1]
    assert proportional(np.array([5, 3, 2]), 50).tolist() == [5, 3, 2]
    assert proportional(np.array([0, 3]), 2).tolist() == [0, 2]
