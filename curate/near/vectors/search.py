"""Pairs of vectors whose cosine reaches a threshold.

Exact up to a stated size: what is found are the pairs that comparing all would find, with their
cosines computed in 64-bit floats from the vectors as given. Above it candidates come from a graph
(HNSW), are measured just as exactly, and the share of pairs that it finds is measured on a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

Index = Literal["auto", "exact", "hnsw"]
# Above this many vectors `auto` takes the graph: there it gets cheaper than comparing all exactly.
EXACT_MOST = 1_000_000
# Cosines this much below the threshold reach it: what 64-bit floats lose, so that equal vectors
# have a cosine of 1.
SLACK = 1e-12


class NearPairs(NamedTuple):
    """Pairs of vectors by number, the lower first, and their cosines."""

    a: np.ndarray
    b: np.ndarray
    cosine: np.ndarray


@dataclass(frozen=True, slots=True)
class Cost:
    """What a search is expected to take.

    Attributes:
        method: `exact` or `hnsw`.
        n: Vectors that are compared.
        width: Their dimensions.
        lead: Leading dimensions that most pairs are told apart by; `width` if there are none.
        n_pairs: Pairs of vectors that there are.
        n_near: Pairs that reach the threshold, guessed from a sample.
        seconds: Processor seconds, guessed from a short trial.
        n_bytes: Memory beside the vectors.
    """

    method: Literal["exact", "hnsw"]
    n: int
    width: int
    lead: int
    n_pairs: int
    n_near: int
    seconds: float
    n_bytes: int

    def words(self, threads: int) -> str:
        """One line for people."""
        how = "by a graph (hnsw)" if self.method == "hnsw" else "exactly"
        return (
            f"comparing {self.n:,} vectors of {self.width} dimensions {how}: "
            f"{self.n_pairs:,} pairs, about {max(1, round(self.seconds / threads)):,} s on "
            f"{threads} threads, {self.n_bytes / 1e6:,.0f} MB"
        )


class Recall(NamedTuple):
    """How many of the pairs of a sample of vectors a graph found."""

    found: int
    wanted: int

    @property
    def share(self) -> float:
        """Found / wanted; 1 if there was nothing to find."""
        return self.found / self.wanted if self.wanted else 1.0


class Vectors(NamedTuple):
    """Vectors that have a direction.

    Attributes:
        rows: 32-bit floats, as given.
        norms: Lengths, 64-bit floats.
        numbers: Number of each among all that were given; vectors that are zero or not finite are
            left out, they match nothing.
    """

    rows: np.ndarray
    norms: np.ndarray
    numbers: np.ndarray


@dataclass(frozen=True, slots=True)
class Search:
    """A planned search.

    Attributes:
        cost: What it is expected to take.
        pairs: Runs it and gives the pairs, each once, some at a time in bounded memory; with the
            argument false a pair within 1e-4 below the threshold may be among them and cosines
            may be missing (NaN), which is much cheaper where nearly all vectors are near.
        recall: After a search by a graph: what it found of a sample. An exact search has none.
    """

    cost: Cost
    pairs: Callable[[bool], Iterator[NearPairs]]
    recall: Callable[[], Recall | None]


def plan(
    vectors: np.ndarray, threshold: float, *, index: Index = "auto", lead: int | None = None
) -> Search:
    """Prepare a search and say what it costs.

    Args:
        vectors: One a row, of any length above zero.
        threshold: Least cosine, at most 1.
        index: Compare all (`exact`), search by a graph (`hnsw`), or choose by the number.
        lead: Leading dimensions; by default chosen so that the search is fastest.

    Raises:
        MissingExtraError: If the graph is wanted and usearch is not installed.
    """
    from curate.near.vectors.exact import ExactSearch
    from curate.near.vectors.hnsw import GraphSearch

    known = with_direction(vectors)
    if index == "hnsw" or (index == "auto" and len(known.rows) > EXACT_MOST):
        graph = GraphSearch(known, threshold)
        return Search(graph.cost, graph.pairs, lambda: graph.recall)
    exact = ExactSearch(known, threshold, lead)
    return Search(exact.cost, exact.pairs, lambda: None)


def near_pairs(
    vectors: np.ndarray, threshold: float, *, index: Index = "auto", lead: int | None = None
) -> NearPairs:
    """All pairs whose cosine reaches a threshold, sorted; see `plan` for the arguments."""
    found = list(plan(vectors, threshold, index=index, lead=lead).pairs(True))
    return in_order(found)


def in_order(found: list[NearPairs]) -> NearPairs:
    """Pairs of many blocks in one, sorted."""
    empty = NearPairs(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0))
    a, b, cosine = (np.concatenate(parts) for parts in zip(empty, *found, strict=True))
    order = np.lexsort((b, a))
    return NearPairs(a[order], b[order], cosine[order])


def with_direction(vectors: np.ndarray) -> Vectors:
    """The vectors that are finite and not zero, and their lengths."""
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    norms = np.empty(len(rows))
    for first in range(0, len(rows), 8192):
        part = rows[first : first + 8192].astype(np.float64)
        norms[first : first + 8192] = np.sqrt(np.einsum("ij,ij->i", part, part))
    usable = np.isfinite(norms) & (norms > 0)
    numbers = np.flatnonzero(usable).astype(np.int32)
    if len(numbers) == len(rows):
        return Vectors(rows, norms, numbers)
    return Vectors(rows[numbers], norms[numbers], numbers)
