"""Near vectors: exactly the pairs that a comparison of all vectors finds."""

import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.near.images.matching import match_embeddings
from curate.near.kernels.matching import IMAGES_PAIRS, IMAGES_VECTORS
from curate.near.vectors.search import near_pairs, plan
from pairwright.errors import MissingExtraError


def brute(vectors: np.ndarray, threshold: float) -> dict[tuple[int, int], float]:
    rows = vectors.astype(np.float32).astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    with np.errstate(all="ignore"):
        cosines = (rows @ rows.T) / np.outer(norms, norms)
    a, b = np.nonzero(np.triu(cosines >= threshold - 1e-12, 1))
    return {(i, j): cosines[i, j] for i, j in zip(a.tolist(), b.tolist(), strict=True)}


def same(vectors: np.ndarray, threshold: float, **options: object) -> int:
    found = near_pairs(vectors, threshold, **options)
    pairs = list(zip(found.a.tolist(), found.b.tolist(), strict=True))
    expected = brute(vectors, threshold)
    assert pairs == sorted(expected)
    np.testing.assert_allclose(found.cosine, [expected[pair] for pair in pairs], atol=1e-9)
    return len(pairs)


def clip_vectors(n: int, width: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(n, width)) * (np.arange(width) + 5.0) ** -0.75
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[:, 0] += 1
    copies = generator.integers(0, n, n // 8)
    rows[generator.integers(0, n, n // 8)] = rows[copies] + generator.normal(
        scale=0.5 / width**0.5, size=(len(copies), width)
    )
    return (rows @ np.linalg.qr(generator.normal(size=(width, width)))[0]).astype(np.float32)


@pytest.mark.parametrize("lead", [None, 8, 24, 64, 256])
def test_exactly_the_pairs_of_a_brute_force(lead):
    assert same(clip_vectors(3000, 192), 0.92, lead=lead) > 50


def test_blocks_of_any_size_meet_once(monkeypatch):
    monkeypatch.setattr("curate.near.vectors.exact._BLOCK", 7)
    monkeypatch.setattr("curate.near.vectors.exact._STRIP", 3)
    assert same(clip_vectors(150, 32), 0.8, lead=6) > 10


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 40),
    st.integers(1, 12),
    st.sampled_from([0.1, 0.5, 0.9, 0.999, 1.0]),
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
)
def test_small_sets_with_equal_and_unusable_vectors(n, width, threshold, seed, lead):
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(n, width)).astype(np.float32)
    for value in (0, np.nan, np.inf, -np.inf):
        vectors[generator.random(n) < 0.05] = value
    if n:
        copied = generator.integers(0, n, n // 3)
        scale = generator.choice([1, 2, -1, 1e-30, 1e30, 3], (len(copied), 1))
        with np.errstate(over="ignore"):
            vectors[generator.integers(0, n, n // 3)] = vectors[copied] * scale
    same(vectors, threshold, lead=lead)


@pytest.mark.parametrize("threshold", [0.5, 1.0])
def test_equal_vectors_are_all_near(threshold):
    vectors = np.repeat(np.random.default_rng(1).normal(size=(2, 40)), 300, axis=0)
    vectors[0] *= 3
    assert same(vectors, threshold, lead=8) == 2 * 300 * 299 / 2


def test_vectors_all_over_the_sphere_are_compared_whole():
    vectors = np.random.default_rng(2).normal(size=(2000, 256)).astype(np.float32)
    assert plan(vectors, 0.2).cost.lead == 256
    assert same(vectors, 0.2) > 100


def test_order_of_rows_changes_nothing():
    vectors = clip_vectors(1500, 96)
    order = np.random.default_rng(3).permutation(len(vectors))
    one, other = near_pairs(vectors, 0.9), near_pairs(vectors[order], 0.9)
    back = np.sort(np.c_[order[other.a], order[other.b]], axis=1)
    place = np.lexsort((back[:, 1], back[:, 0]))
    np.testing.assert_array_equal(back[place], np.c_[one.a, one.b])
    np.testing.assert_array_equal(other.cosine[place], one.cosine)  # to the last bit


def test_the_cost_is_estimated_before():
    cost = plan(clip_vectors(3000, 192), 0.92).cost
    assert cost.words(2).startswith("comparing 3,000 vectors of 192 dimensions exactly: 4,498,500")
    assert cost.lead < 192
    assert cost.seconds < 10


def test_a_graph_finds_nearly_all_and_measures_its_recall():
    pytest.importorskip("usearch")
    vectors = clip_vectors(4000, 64)
    search = plan(vectors, 0.92, index="hnsw")
    assert search.cost.method == "hnsw"
    found = {
        pair for part in search.pairs(True) for pair in zip(part.a, part.b, strict=True)
    }  # fmt: skip
    expected = brute(vectors, 0.92)
    assert found <= set(expected)  # verified, so never a wrong pair
    assert len(found) > 0.98 * len(expected)
    assert search.recall().wanted > 20
    assert search.recall().rate > 0.95


def test_a_graph_searches_further_if_all_neighbors_are_near():
    pytest.importorskip("usearch")
    generator = np.random.default_rng(4)
    vectors = np.repeat(generator.normal(size=(5, 64)), 60, axis=0)
    vectors += generator.normal(scale=0.02, size=vectors.shape)
    found = near_pairs(vectors, 0.9, index="hnsw")
    assert len(found.a) > 0.9 * len(brute(vectors, 0.9))  # 16 neighbors alone give 0.27


def test_without_usearch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with pytest.raises(MissingExtraError, match=r"usearch.*--extra hnsw"):
        near_pairs(clip_vectors(50, 16), 0.9, index="hnsw")


def frame(vectors: np.ndarray) -> tuple[pl.Series, pl.DataFrame]:
    names = [f"i{k}" for k in range(len(vectors))]
    table = pl.DataFrame({"item_id": names}).with_columns(
        vector=pl.Series(vectors.astype(np.float32)).cast(pl.Array(pl.Float16, vectors.shape[1]))
    )
    return pl.Series(["unknown", *reversed(names)]), table


def test_images_by_their_embeddings():
    vectors = clip_vectors(800, 48)
    ids, table = frame(vectors)
    found = match_embeddings(ids, table.sample(fraction=1, shuffle=True, seed=1), 0.9)
    stored = vectors.astype(np.float16)[::-1]
    expected = brute(stored, 0.9)
    keys = [((i + 1) << 32) | (j + 1) for i, j in sorted(expected)]
    assert found.same.mode == IMAGES_PAIRS
    assert found.same.keys.tolist() == keys
    assert all(found.component[i + 1] == found.component[j + 1] for i, j in expected)
    assert found.component[0] == 0
    assert found.summary["images_without_embedding"] == 1
    assert found.summary["clip_near_pairs"] == len(expected)
    assert found.summary["clip_pairs_at"]["0.99"] == len(brute(stored, 0.99))
    assert 0 < found.summary["clip_random_median"] < found.summary["clip_random_p99"] < 1


def test_too_many_pairs_are_not_listed(monkeypatch):
    monkeypatch.setattr("curate.near.images.matching.MAX_PAIRS", 100)
    vectors = clip_vectors(800, 48)
    vectors[300:500] = vectors[300]
    ids, table = frame(vectors)
    found = match_embeddings(ids, table, 0.95)
    assert found.same.mode == IMAGES_VECTORS
    expected = brute(vectors.astype(np.float16)[::-1], 0.95)
    assert abs(found.summary["clip_near_pairs"] - len(expected)) <= 2
    assert all(found.component[i + 1] == found.component[j + 1] for i, j in expected)


def test_no_vectors_at_all():
    ids, table = frame(np.zeros((3, 4)))
    found = match_embeddings(ids, table, 0.9)
    assert found.summary["images_without_embedding"] == 4
    assert found.component.tolist() == [0, 1, 2, 3]
