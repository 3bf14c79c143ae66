"""Embeddings of rows: that of the image, or the mean of the embeddings of several images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.near.vectors.base import unit
from curate.select.greedy import Points

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset

_RANDOM_PAIRS, _BATCH = 20_000, 2000


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors of n rows.

    Attributes:
        matrix: [v, width] distinct vectors, 16-bit floats.
        of_row: [n] vector of each row; -1 for rows without one.
        floor: Mean cosine of two random rows.
    """

    matrix: np.ndarray
    of_row: np.ndarray
    floor: float

    @property
    def n_bytes(self) -> int:
        """Memory of the vectors."""
        return int(self.matrix.nbytes)

    def points(self, rows: pl.DataFrame, quality: np.ndarray, tie: np.ndarray) -> Points:
        """The points of some rows that have vectors; the best row of each point comes first.

        Args:
            rows: `row`.
            quality: [n] quality of all rows.
            tie: [n] rank of all rows.
        """
        mine = rows["row"].to_numpy()
        order = np.lexsort((tie[mine], -quality[mine], self.of_row[mine]))
        mine = mine[order]
        which, first = np.unique(self.of_row[mine], return_index=True)
        at = np.r_[first, len(mine)].astype(np.int64)
        lowest = np.minimum.reduceat(tie[mine], first) if len(mine) else np.empty(0, np.int64)
        return Points(self.matrix[which], at, mine, quality, lowest)


def read_vectors(dataset: Dataset, manifest: Manifest, rows: pl.DataFrame, seed: int) -> Vectors:
    """Read the vectors of rows.

    Args:
        dataset: The dataset.
        manifest: Run of embeddings.
        rows: `image_ids`, `image_key`, `tie`.
        seed: Seed of the random pairs.
    """
    import polars as pl

    keys = rows.filter(pl.col("image_key") != "").unique("image_key", maintain_order=True)
    images = keys["image_ids"].explode().unique(maintain_order=True)
    stored, known = _stored(dataset, manifest, images)
    number = pl.DataFrame({"image_id": images, "number": np.arange(len(images))})
    each = keys.select("image_key", pl.col("image_ids").alias("image_id")).explode("image_id")
    each = each.join(number, on="image_id", maintain_order="left")
    each = each.filter(pl.Series(known[each["number"].to_numpy()]))
    grouped = each.group_by("image_key", maintain_order=True).agg("number")
    several = grouped.filter(pl.col("number").list.len() > 1)
    single = grouped.filter(pl.col("number").list.len() == 1)
    means = [
        unit(unit(stored[np.array(numbers)]).mean(axis=0, keepdims=True))
        for numbers in several["number"]
    ]
    first = single["number"].list.first().to_numpy().astype(np.int64)
    in_order = np.array_equal(first, np.arange(len(stored)))
    matrix = stored if in_order else stored[first]  # avoids a copy of all vectors if possible
    if means:
        matrix = np.vstack([matrix, np.concatenate(means).astype(np.float16)])
    position = pl.DataFrame(
        {"image_key": pl.concat([single["image_key"], several["image_key"]])}
    ).with_row_index("vector")
    of_row = (
        rows.select("image_key")
        .join(position, on="image_key", how="left", maintain_order="left")["vector"]
        .cast(pl.Int64).fill_null(-1).to_numpy()
    )  # fmt: skip
    in_seeded_order = of_row[np.argsort(rows["tie"].to_numpy())]
    return Vectors(matrix, of_row, _mean_cosine(matrix, in_seeded_order, seed))


def _stored(
    dataset: Dataset, manifest: Manifest, images: pl.Series
) -> tuple[np.ndarray, np.ndarray]:
    """[n, width] vectors of n images, and [n] whether each has one; read part by part."""
    import polars as pl

    number = pl.DataFrame({"item_id": images, "number": np.arange(len(images))})
    matrix: Any = None
    known = np.zeros(len(images), dtype=bool)
    dataset.scan(manifest)  # checks that all parts exist
    for part in manifest.parts:
        frame = dataset.read_part(manifest, part, ["item_id", "kind", "vector"])
        frame = frame.filter(pl.col("kind") == "image").join(number, on="item_id")
        if frame.is_empty():
            continue
        some = frame["vector"].to_numpy()
        if matrix is None:
            matrix = np.zeros((len(images), some.shape[1]), dtype=np.float16)
        positions = frame["number"].to_numpy()
        matrix[positions] = some
        known[positions] = True
    if matrix is None:
        matrix = np.zeros((len(images), 1), dtype=np.float16)
    return matrix, known & np.isfinite(matrix).all(axis=1)


def _mean_cosine(matrix: np.ndarray, of_row: np.ndarray, seed: int) -> float:
    """Mean cosine of two random rows with different vectors."""
    have = of_row[of_row >= 0]
    if not len(have):
        return 0.0
    pairs = np.random.default_rng(seed).integers(0, len(have), (2, _RANDOM_PAIRS))
    a, b = have[pairs[0]], have[pairs[1]]
    a, b = a[a != b], b[a != b]
    if not len(a):
        return 0.0
    cosine = np.concatenate(
        [
            (unit(matrix[a[s : s + _BATCH]]) * unit(matrix[b[s : s + _BATCH]])).sum(axis=1)
            for s in range(0, len(a), _BATCH)
        ]
    )
    return float(np.clip(cosine.mean(), 0.0, 0.999))
