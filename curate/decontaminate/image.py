"""Benchmark images in a training set: identical, copies, near in embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pairwright.images import ImageReader

if TYPE_CHECKING:
    import polars as pl

    from curate.decontaminate.bench import Benchmark
    from curate.decontaminate.options import DecontaminateOptions
    from pairwright.dataset.store import Dataset

REPORTED_COSINE = 0.95
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class ImageMatches:
    """Images of the training set that a benchmark has.

    Attributes:
        found: `image_id`, `bench_image`, `how`, `similarity`: one line an image.
        summary: Figures for people.
    """

    found: pl.DataFrame
    summary: dict[str, Any]


def find_images(
    dataset: Dataset, ids: pl.Series, bench: Benchmark, options: DecontaminateOptions
) -> ImageMatches:
    """Match the images of a training set with a benchmark's.

    Args:
        dataset: The training set.
        ids: Distinct image ids of its rows.
        bench: The benchmark.
        options: Levels and limits.
    """
    import polars as pl

    theirs = bench.rows["image_ids"].explode().drop_nulls().unique(maintain_order=True)
    same = ids.filter(ids.is_in(theirs.implode()))
    found = [_rows(same, same, "exact", np.ones(len(same)))]
    summary: dict[str, Any] = {"identical_images": len(same)}
    rest = ids.filter(~ids.is_in(same.implode()))
    if options.image_match == "phash" and len(theirs) and len(ids):
        copies, unreadable = _copies(dataset, rest, bench.dataset, theirs, options)
        found.append(copies.with_columns(how=pl.lit("phash")))
        # A copy of a copy may be too far from the benchmark's own.
        known = pl.concat(found)
        rest = rest.filter(~rest.is_in(known["image_id"].implode()))
        second, _ = _copies(dataset, rest, dataset, known["image_id"], options)
        origin = known.select(
            pl.col("image_id").alias("bench_image"), pl.col("bench_image").alias("o")
        )
        second = (
            second.join(origin, on="bench_image").with_columns(bench_image=pl.col("o")).drop("o")
        )
        found.append(second.with_columns(how=pl.lit("copy")).select(known.columns))
        summary |= {
            "copied_images": copies.height,
            "copies_of_copies": second.height,
            "unreadable_images": unreadable,
        }
    rest = rest.filter(~rest.is_in(pl.concat(found)["image_id"].implode()))
    near, more = _near(dataset, rest, bench.dataset, theirs, options)
    if options.clip_threshold is not None:
        found.append(near)
    return ImageMatches(pl.concat(found), summary | more)


def _rows(images: pl.Series, bench: pl.Series, how: str, similarity: np.ndarray) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(
        {"image_id": images, "bench_image": bench, "similarity": similarity},
        schema={"image_id": pl.String, "bench_image": pl.String, "similarity": pl.Float64},
    ).with_columns(how=pl.lit(how))


def _copies(
    mine: Dataset, ids: pl.Series, other: Dataset, theirs: pl.Series, options: DecontaminateOptions
) -> tuple[pl.DataFrame, int]:
    """Best confirmed copy of each image among another set's, and how many were unreadable."""
    import polars as pl

    from curate.near.images.copies import find_copies

    readers = (ImageReader(mine), ImageReader(other))
    own, alien = _hashes(mine, ids), _hashes(other, theirs)
    names = [*own["image_id"].to_list(), *alien["image_id"].to_list()]
    first = own.height

    def read(number: int) -> bytes:
        return readers[number >= first].read(names[number])

    found = find_copies(
        pl.concat([own["phash"], alien["phash"]]).to_numpy(),
        read,
        distance=options.phash_distance,
        order=lambda number: (number >= first, *readers[number >= first].sort_key(names[number])),
        across=first,
    )
    pairs = _rows(
        own["image_id"].gather(found.a),
        alien["image_id"].gather(found.b - first),
        "",
        found.similarity,
    )
    best = pairs.sort("image_id", "similarity", "bench_image", descending=[False, True, False])
    return best.unique("image_id", keep="first", maintain_order=True), len(found.unreadable)


def _hashes(dataset: Dataset, ids: pl.Series) -> pl.DataFrame:
    frame = dataset.union("images").select("image_id", "phash").collect()
    wanted = ids.rename("image_id").to_frame()
    return wanted.join(frame, on="image_id", how="inner", maintain_order="left")


def _near(
    dataset: Dataset,
    ids: pl.Series,
    other: Dataset,
    theirs: pl.Series,
    options: DecontaminateOptions,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Nearest benchmark image of each image by embedding, at or above the threshold."""
    import polars as pl

    none = _rows(
        pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.String), "clip", np.empty(0)
    )
    mine = dataset.pick("embeddings", options.embeddings, steps={"embed"})
    if mine is None:
        return none, {"embeddings": "the dataset has none"}
    runs = [
        m
        for m in other.runs("embeddings")
        if m.is_complete and m.config.get("model") == mine.config.get("model")
    ]
    if not runs:
        return none, {"embeddings": f"the benchmark has none of {mine.run}"}
    threshold = options.clip_threshold or REPORTED_COSINE
    a, b = _vectors(dataset, mine, ids), _vectors(other, runs[0], theirs)
    if a is None or b is None:
        return none, {"embeddings": "no vectors of these images"}
    best = np.empty(len(a[1]), dtype=np.float32)
    which = np.empty(len(a[1]), dtype=np.int64)
    for start in range(0, len(best), _BLOCK):
        near = a[1][start : start + _BLOCK] @ b[1].T
        which[start : start + _BLOCK] = near.argmax(axis=1)
        best[start : start + _BLOCK] = near.max(axis=1)
    hit = np.flatnonzero(best >= threshold)
    found = _rows(a[0].gather(hit), b[0].gather(which[hit]), "clip", best[hit].astype(float))
    return found, {"clip_threshold": threshold, "clip_near_images": len(hit)}


def _vectors(
    dataset: Dataset, manifest: Any, ids: pl.Series
) -> tuple[pl.Series, np.ndarray] | None:
    import polars as pl

    from curate.near.vectors.base import vector_matrix

    wanted = ids.rename("item_id").to_frame()
    frame = dataset.scan(manifest).filter(pl.col("kind") == "image").collect()
    frame = wanted.join(frame, on="item_id", how="inner", maintain_order="left")
    if frame.is_empty():
        return None
    matrix = vector_matrix(frame["vector"])
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    return frame["item_id"], matrix
