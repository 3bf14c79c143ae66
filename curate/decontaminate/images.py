"""Images of a benchmark among the images of a dataset: identical, copies, near in embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pairwright.images import ImageReader

if TYPE_CHECKING:
    import polars as pl

    from curate.decontaminate.benchmarks import Benchmark
    from curate.decontaminate.options import DecontaminateOptions
    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset

REPORTED_COSINE = 0.95
_BATCH = 4096


@dataclass(frozen=True, slots=True)
class BenchmarkImages:
    """Images of a dataset that a benchmark contains.

    Attributes:
        found: `image_id`, `bench_image`, `method`, `similarity`: one line per image.
        summary: Numbers for the report.
    """

    found: pl.DataFrame
    summary: dict[str, Any]


def find_images(
    dataset: Dataset, ids: pl.Series, benchmark: Benchmark, options: DecontaminateOptions
) -> BenchmarkImages:
    """Match the images of a dataset with those of a benchmark.

    Args:
        dataset: The dataset.
        ids: Distinct image ids of its rows.
        benchmark: The benchmark.
        options: What is compared.
    """
    import polars as pl

    theirs = benchmark.rows["image_ids"].explode().drop_nulls().unique(maintain_order=True)
    same = ids.filter(ids.is_in(theirs.implode()))
    found = [_matches(same, same, "exact", np.ones(len(same)))]
    summary: dict[str, Any] = {"identical_images": len(same)}
    rest = ids.filter(~ids.is_in(same.implode()))
    if options.image_match == "phash" and len(theirs) and len(ids):
        copies, unreadable = _copies(dataset, rest, benchmark.dataset, theirs, options)
        found.append(copies.with_columns(method=pl.lit("phash")))
        # A copy of a copy may differ too much from the benchmark's own image.
        known = pl.concat(found)
        rest = rest.filter(~rest.is_in(known["image_id"].implode()))
        second, _ = _copies(dataset, rest, dataset, known["image_id"], options)
        origin = known.select(
            pl.col("image_id").alias("bench_image"), pl.col("bench_image").alias("origin")
        )
        second = second.join(origin, on="bench_image")
        second = second.with_columns(bench_image=pl.col("origin"), method=pl.lit("copy"))
        found.append(second.select(known.columns))
        summary |= {
            "copied_images": copies.height,
            "copies_of_copies": second.height,
            "unreadable_images": unreadable,
        }
    rest = rest.filter(~rest.is_in(pl.concat(found)["image_id"].implode()))
    near, more = _near(dataset, rest, benchmark.dataset, theirs, options)
    if options.clip_threshold is not None:
        found.append(near)
    return BenchmarkImages(pl.concat(found), summary | more)


def _matches(
    images: pl.Series, bench: pl.Series, method: str, similarity: np.ndarray
) -> pl.DataFrame:
    """`image_id`, `bench_image`, `similarity`, `method`."""
    import polars as pl

    return pl.DataFrame(
        {"image_id": images, "bench_image": bench, "similarity": similarity},
        schema={"image_id": pl.String, "bench_image": pl.String, "similarity": pl.Float64},
    ).with_columns(method=pl.lit(method))


def _copies(
    mine: Dataset, ids: pl.Series, other: Dataset, theirs: pl.Series, options: DecontaminateOptions
) -> tuple[pl.DataFrame, int]:
    """The most similar copy of each image among those of another set; number of unreadable images.

    Args:
        mine: Dataset of the images.
        ids: Their ids.
        other: Dataset of the other set.
        theirs: Ids of the other set.
        options: Max distance of hashes.
    """
    import polars as pl

    from curate.near.images.copies import find_copies

    readers = (ImageReader(mine), ImageReader(other))
    one, two = _hashes(mine, ids), _hashes(other, theirs)
    names = [*one["image_id"].to_list(), *two["image_id"].to_list()]
    first = one.height

    def read(number: int) -> bytes:
        return readers[number >= first].read(names[number])

    found = find_copies(
        pl.concat([one["phash"], two["phash"]]).to_numpy(),
        read,
        distance=options.phash_distance,
        order=lambda number: (number >= first, *readers[number >= first].sort_key(names[number])),
        across=first,
    )
    pairs = _matches(
        one["image_id"].gather(found.a),
        two["image_id"].gather(found.b - first),
        "",
        found.similarity,
    )
    best = pairs.sort("image_id", "similarity", "bench_image", descending=[False, True, False])
    return best.unique("image_id", keep="first", maintain_order=True), len(found.unreadable)


def _hashes(dataset: Dataset, ids: pl.Series) -> pl.DataFrame:
    """`image_id` and `phash` of some images."""
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
    """The nearest benchmark image of each image by embedding, at or above the threshold."""
    import polars as pl

    nobody = pl.Series([], dtype=pl.String)
    none = _matches(nobody, nobody, "clip", np.empty(0))
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
    for start in range(0, len(best), _BATCH):
        cosines = a[1][start : start + _BATCH] @ b[1].T
        which[start : start + _BATCH] = cosines.argmax(axis=1)
        best[start : start + _BATCH] = cosines.max(axis=1)
    near = np.flatnonzero(best >= threshold)
    found = _matches(a[0].gather(near), b[0].gather(which[near]), "clip", best[near].astype(float))
    return found, {"clip_threshold": threshold, "clip_near_images": len(near)}


def _vectors(
    dataset: Dataset, manifest: Manifest, ids: pl.Series
) -> tuple[pl.Series, np.ndarray] | None:
    """Ids and [n, width] unit vectors of the images that have one; None if no image has."""
    import polars as pl

    from curate.near.vectors.base import unit, vector_matrix

    wanted = ids.rename("item_id").to_frame()
    frame = dataset.scan(manifest).filter(pl.col("kind") == "image").collect()
    frame = wanted.join(frame, on="item_id", how="inner", maintain_order="left")
    if frame.is_empty():
        return None
    return frame["item_id"], unit(vector_matrix(frame["vector"]))
