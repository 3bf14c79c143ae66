"""What selection knows of rows: marks, groups, images, vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.select.greedy import Points, unit
from curate.select.plan import Plan
from pairwright.dataset.manifest import RunKey
from pairwright.errors import UsageError
from pairwright.scores import mean_marks

if TYPE_CHECKING:
    import polars as pl

    from curate.select.options import SelectOptions
    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset

UNTAGGED = "untagged"


@dataclass(frozen=True, slots=True)
class Sources:
    """Runs that a selection reads, beside the samples; none where a term is off."""

    scores: Manifest | None
    embeddings: Manifest | None
    tags: Manifest | None

    def all(self) -> list[Manifest]:
        """Those there are."""
        return [m for m in (self.scores, self.embeddings, self.tags) if m is not None]


def find_sources(dataset: Dataset, options: SelectOptions, plan: Plan, method: str) -> Sources:
    """The runs to read.

    Raises:
        UsageError: If the method or the plan needs a run that is not there.
    """
    scores = dataset.pick("scores", options.scores, steps={"score"})
    embeddings = dataset.pick("embeddings", options.embeddings, steps={"embed"})
    tags = dataset.pick("tags", options.tags, steps={"tag"})
    if method in ("facility-location", "k-center") and embeddings is None:
        msg = f"--method {method} needs embeddings: run `curate embed` first"
        raise UsageError(msg)
    if method == "quality" and scores is None:
        msg = "--method quality needs scores: run `judge score` first"
        raise UsageError(msg)
    if "task" in plan.by and tags is None:
        msg = "groups by task need tags: run `curate tag` first"
        raise UsageError(msg)
    return Sources(scores, embeddings, tags)


def read_rows(
    dataset: Dataset, sources: Sources, plan: Plan, *, for_run: RunKey, seed: int,
    limit: int | None,
) -> pl.DataFrame:  # fmt: skip
    """Current samples and what is known of each.

    Returns:
        `row`, `sample_id`, `image_ids`, `image_key`, `group`, `task`, `mark` (null without one),
        `quality` (rank of the mark, 0 to 1, a half without one) and `tie` (rank of a seeded hash).
    """
    import polars as pl

    columns = ["sample_id", "image_ids", "source", "split", "license"]
    frame = dataset.current_samples(for_run=for_run).select(columns)
    rows = (frame.head(limit) if limit else frame).collect()
    task = pl.DataFrame(schema={"sample_id": pl.String, "task": pl.String})
    if sources.tags is not None:
        task = dataset.scan(sources.tags).filter("main").select("sample_id", "task").collect()
    marks = pl.DataFrame(schema={"sample_id": pl.String, "mark": pl.Float64})
    if sources.scores is not None:
        found = mean_marks(dataset.scan(sources.scores), kind="sample")
        marks = found.rename({"target_id": "sample_id"}).collect(engine="streaming")
    rows = rows.join(task, on="sample_id", how="left", maintain_order="left")
    rows = rows.join(marks, on="sample_id", how="left", maintain_order="left")
    name = pl.concat_str(
        [pl.col(c).fill_null(UNTAGGED if c == "task" else "none") for c in plan.by], separator="/"
    )
    n_marks = rows["mark"].count()
    rank = (pl.col("mark").rank("average") - 0.5) / max(1, n_marks)
    return rows.with_columns(
        row=np.arange(rows.height),
        image_key=pl.col("image_ids").list.sort().list.join("|"),
        group=name if plan.by else pl.lit("all"),
        quality=rank.fill_null(0.5),
        tie=ties(rows["sample_id"], seed),
    )


def ties(ids: pl.Series, seed: int) -> np.ndarray:
    """Ranks of seeded hashes of ids: random, and the same for any order of the rows."""
    import xxhash

    keys = np.array([xxhash.xxh3_64_intdigest(i.encode(), seed=seed) for i in ids], dtype=np.uint64)
    ranks = np.empty(len(keys), dtype=np.int64)
    ranks[np.argsort(keys, kind="stable")] = np.arange(len(keys))
    return ranks


def cap_images(rows: pl.DataFrame, per_image: int | None, scarcity: dict[str, float]) -> pl.Series:
    """Whether each row may be chosen when at most some rows with the same images may be.

    Rows of scarce groups stay first, then those with better marks. Rows without an image always
    may.

    Args:
        rows: From `read_rows`.
        per_image: Most rows with the same images.
        scarcity: Of each group: rows there are for each that is wanted.
    """
    import polars as pl

    if per_image is None:
        return pl.Series([True] * rows.height, dtype=pl.Boolean)
    order = rows.with_columns(
        scarce=pl.col("group").replace_strict(scarcity, default=0.0, return_dtype=pl.Float64)
    ).sort("scarce", "quality", "tie", descending=[False, True, False])
    place = order.with_columns(place=pl.int_range(pl.len()).over("image_key"))
    fine = (pl.col("place") < per_image) | (pl.col("image_key") == "")
    return place.select("row", fine.alias("fine")).sort("row")["fine"]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors of rows.

    Attributes:
        matrix: Different vectors, 16-bit floats.
        of_row: Vector of each row; -1 for rows without one.
        floor: Mean cosine of two rows drawn at random.
    """

    matrix: np.ndarray
    of_row: np.ndarray
    floor: float

    @property
    def n_bytes(self) -> int:
        """Memory that they take."""
        return int(self.matrix.nbytes)

    def points(self, rows: pl.DataFrame, quality: np.ndarray, ties_of: np.ndarray) -> Points:
        """Points of some rows that have vectors, each point's best row first.

        Args:
            rows: `row`.
            quality: Of all rows.
            ties_of: Of all rows.
        """
        mine = rows["row"].to_numpy()
        order = np.lexsort((ties_of[mine], -quality[mine], self.of_row[mine]))
        mine = mine[order]
        which, first = np.unique(self.of_row[mine], return_index=True)
        at = np.r_[first, len(mine)].astype(np.int64)
        tie = np.minimum.reduceat(ties_of[mine], first) if len(mine) else np.empty(0, np.int64)
        return Points(self.matrix[which], at, mine, quality, tie)


def read_vectors(dataset: Dataset, manifest: Manifest, rows: pl.DataFrame, seed: int) -> Vectors:
    """Vectors of rows: that of the image, or the mean of those of several images."""
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
    matrix = stored if in_order else stored[first]  # a copy of all is spared where it can be
    if means:
        matrix = np.vstack([matrix, np.concatenate(means).astype(np.float16)])
    place = pl.DataFrame(
        {"image_key": pl.concat([single["image_key"], several["image_key"]])}
    ).with_row_index("vector")
    of_row = (
        rows.select("image_key")
        .join(place, on="image_key", how="left", maintain_order="left")["vector"]
        .cast(pl.Int64).fill_null(-1).to_numpy()
    )  # fmt: skip
    in_seeded_order = of_row[np.argsort(rows["tie"].to_numpy())]
    return Vectors(matrix, of_row, _floor(matrix, in_seeded_order, seed))


def _stored(
    dataset: Dataset, manifest: Manifest, images: pl.Series
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of images in their order, and which have one; read part by part."""
    import polars as pl

    number = pl.DataFrame({"item_id": images, "number": np.arange(len(images))})
    matrix: Any = None
    known = np.zeros(len(images), dtype=bool)
    folder = dataset.path / manifest.kind / manifest.run
    dataset.scan(manifest)  # checks that all parts are there
    for part in manifest.parts:
        frame = pl.read_parquet(
            folder / part.name, columns=["item_id", "kind", "vector"], glob=False
        )
        frame = frame.filter(pl.col("kind") == "image").join(number, on="item_id")
        if frame.is_empty():
            continue
        some = frame["vector"].to_numpy()
        if matrix is None:
            matrix = np.zeros((len(images), some.shape[1]), dtype=np.float16)
        places = frame["number"].to_numpy()
        matrix[places] = some
        known[places] = True
    if matrix is None:
        matrix = np.zeros((len(images), 1), dtype=np.float16)
    return matrix, known & np.isfinite(matrix).all(axis=1)


def _floor(matrix: np.ndarray, of_row: np.ndarray, seed: int, draws: int = 20_000) -> float:
    """Mean cosine of two different vectors of rows drawn at random."""
    have = of_row[of_row >= 0]
    if not len(have):
        return 0.0
    drawn = np.random.default_rng(seed).integers(0, len(have), (2, draws))
    a, b = have[drawn[0]], have[drawn[1]]
    a, b = a[a != b], b[a != b]
    if not len(a):
        return 0.0
    cosine = np.concatenate(
        [
            (unit(matrix[a[s : s + 2000]]) * unit(matrix[b[s : s + 2000]])).sum(axis=1)
            for s in range(0, len(a), 2000)
        ]
    )
    return float(np.clip(cosine.mean(), 0.0, 0.999))
