"""Vectors, pairs of near vectors, and what a search for them costs: shared by both searches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import polars as pl

# A cosine this much below the threshold still reaches it: the rounding of 64-bit floats, so that
# equal vectors have a cosine of 1.
SLACK = 1e-12


class Vectors(NamedTuple):
    """n vectors that are finite and not zero.

    Attributes:
        rows: [n, width] 32-bit floats, as given.
        norms: [n] their norms, 64-bit floats.
        numbers: [n] number of each among all vectors that were given.
    """

    rows: np.ndarray
    norms: np.ndarray
    numbers: np.ndarray


class NearPairs(NamedTuple):
    """[p] pairs of vectors by number, the lower first, and their cosines."""

    a: np.ndarray
    b: np.ndarray
    cosine: np.ndarray


@dataclass(frozen=True, slots=True)
class Cost:
    """Expected cost of a search.

    Attributes:
        method: `exact` or `hnsw`.
        n: Number of vectors.
        width: Their dimensions.
        lead: Leading dimensions that rule out most pairs; `width` if all dimensions are used.
        n_pairs: Number of pairs of vectors.
        n_near: Pairs that reach the threshold, estimated from a sample.
        seconds: CPU time, estimated from a short trial.
        n_bytes: Memory in addition to the vectors.
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
        """One line for the user."""
        how = "by a graph (hnsw)" if self.method == "hnsw" else "exactly"
        return (
            f"comparing {self.n:,} vectors of {self.width} dimensions {how}: "
            f"{self.n_pairs:,} pairs, about {max(1, round(self.seconds / threads)):,} s on "
            f"{threads} threads, {self.n_bytes / 1e6:,.0f} MB"
        )


class Recall(NamedTuple):
    """Recall of a graph, measured on a sample: pairs found, and pairs that exist."""

    found: int
    wanted: int

    @property
    def rate(self) -> float:
        """Found / wanted; 1 if there was nothing to find."""
        return self.found / self.wanted if self.wanted else 1.0


@dataclass(frozen=True, slots=True)
class Search:
    """A search that is ready to run.

    Attributes:
        cost: Its expected cost.
        pairs: Runs the search and yields the pairs, each once, in batches of bounded size. With the
            argument false, a pair up to 1e-4 below the threshold may be included and cosines may be
            missing (NaN), which is much cheaper if nearly all vectors are near.
        recall: After a search by a graph: its recall on a sample; None for an exact search.
    """

    cost: Cost
    pairs: Callable[[bool], Iterator[NearPairs]]
    recall: Callable[[], Recall | None]


def usable_vectors(vectors: np.ndarray) -> Vectors:
    """The vectors that are finite and not zero, with their norms; others match nothing."""
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


def vector_matrix(vectors: pl.Series, width: int | None = None) -> np.ndarray:
    """[n, width] vectors of a column as 32-bit floats; NaN where the column is null."""
    import polars as pl

    width = len(vectors[0]) if width is None else width
    return np.array(vectors.cast(pl.Array(pl.Float32, width)).to_numpy(), dtype=np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    """[n, width] vectors divided by their norms, as 32-bit floats; zero remains zero."""
    dense: np.ndarray = vectors.astype(np.float32)
    dense /= np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)
    return dense


def in_order(found: list[NearPairs]) -> NearPairs:
    """Batches of pairs as one, sorted."""
    empty = NearPairs(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0))
    a, b, cosine = (np.concatenate(parts) for parts in zip(empty, *found, strict=True))
    order = np.lexsort((b, a))
    return NearPairs(a[order], b[order], cosine[order])
