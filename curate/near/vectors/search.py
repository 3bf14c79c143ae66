"""Pairs of vectors whose cosine reaches a threshold.

Up to `EXACT_MAX` vectors the search is exact: it finds the pairs that a comparison of all vectors
finds, and computes their cosines in 64-bit floats from the vectors as given. Above, a graph (HNSW)
proposes candidates, which are verified in the same way, and its recall is measured on a sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from curate.near.vectors.base import NearPairs, Search, in_order, usable_vectors
from curate.near.vectors.exact import ExactSearch
from curate.near.vectors.hnsw import GraphSearch

if TYPE_CHECKING:
    import numpy as np

Index = Literal["auto", "exact", "hnsw"]
# Above this number `auto` uses the graph: there it becomes cheaper than comparing all exactly.
EXACT_MAX = 1_000_000


def plan(
    vectors: np.ndarray, threshold: float, *, index: Index = "auto", lead: int | None = None
) -> Search:
    """Prepare a search and estimate its cost.

    Args:
        vectors: [n, width] vectors of any norm.
        threshold: Min cosine, at most 1.
        index: Compare all (`exact`), search by a graph (`hnsw`), or choose by the number.
        lead: Leading dimensions of the exact search; chosen for speed by default.

    Raises:
        MissingExtraError: If the graph is requested and usearch is not installed.
    """
    usable = usable_vectors(vectors)
    if index == "hnsw" or (index == "auto" and len(usable.rows) > EXACT_MAX):
        graph = GraphSearch(usable, threshold)
        return Search(graph.cost, graph.pairs, lambda: graph.recall)
    exact = ExactSearch(usable, threshold, lead)
    return Search(exact.cost, exact.pairs, lambda: None)


def near_pairs(
    vectors: np.ndarray, threshold: float, *, index: Index = "auto", lead: int | None = None
) -> NearPairs:
    """All pairs whose cosine reaches a threshold, sorted; see `plan` for the arguments."""
    found = list(plan(vectors, threshold, index=index, lead=lead).pairs(True))
    return in_order(found)
