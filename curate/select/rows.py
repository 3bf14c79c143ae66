"""The rows that a selection chooses from: their scores, groups and images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curate.select.plan import Plan
from curate.select.settings import Sources
from pairwright.dataset.manifest import RunKey
from pairwright.scores import mean_scores

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.store import Dataset

UNTAGGED = "untagged"


def read_rows(
    dataset: Dataset, sources: Sources, plan: Plan, *, for_run: RunKey, seed: int,
    limit: int | None,
) -> pl.DataFrame:  # fmt: skip
    """Read the current samples with their scores and tasks.

    Returns:
        `row`, `sample_id`, `image_ids`, `image_key`, `group`, `task`, `score` (null without one),
        `quality` (rank of the score from 0 to 1, 0.5 without one) and `tie` (rank of a seeded hash
        of the id).
    """
    import polars as pl

    columns = ["sample_id", "image_ids", "source", "split", "license"]
    frame = dataset.current_samples(for_run=for_run).select(columns)
    rows = (frame.head(limit) if limit else frame).collect()
    task = pl.DataFrame(schema={"sample_id": pl.String, "task": pl.String})
    if sources.tags is not None:
        task = dataset.scan(sources.tags).filter("main").select("sample_id", "task").collect()
    scores = pl.DataFrame(schema={"sample_id": pl.String, "score": pl.Float64})
    if sources.scores is not None:
        found = mean_scores(dataset.scan(sources.scores), kind="sample")
        found = found.rename({"target_id": "sample_id"})
        scores = found.collect(engine="streaming")
    rows = rows.join(task, on="sample_id", how="left", maintain_order="left")
    rows = rows.join(scores, on="sample_id", how="left", maintain_order="left")
    name = pl.concat_str(
        [pl.col(c).fill_null(UNTAGGED if c == "task" else "none") for c in plan.by], separator="/"
    )
    n_scores = rows["score"].count()
    rank = (pl.col("score").rank("average") - 0.5) / max(1, n_scores)
    return rows.with_columns(
        row=np.arange(rows.height),
        image_key=pl.col("image_ids").list.sort().list.join("|"),
        group=name if plan.by else pl.lit("all"),
        quality=rank.fill_null(0.5),
        tie=seeded_ranks(rows["sample_id"], seed),
    )


def seeded_ranks(ids: pl.Series, seed: int) -> np.ndarray:
    """[n] ranks of seeded hashes of n ids: random, but independent of the order of the rows."""
    import xxhash

    keys = np.array([xxhash.xxh3_64_intdigest(i.encode(), seed=seed) for i in ids], dtype=np.uint64)
    ranks = np.empty(len(keys), dtype=np.int64)
    ranks[np.argsort(keys, kind="stable")] = np.arange(len(keys))
    return ranks


def within_image_cap(
    rows: pl.DataFrame, per_image: int | None, supply: dict[str, float]
) -> pl.Series:
    """Whether each row may be selected if at most `per_image` rows with the same images may be.

    Rows of scarce groups come first, then rows with better scores. A row without an image may
    always be selected.

    Args:
        rows: From `read_rows`.
        per_image: Max rows with the same images.
        supply: For each group, rows available per requested row.
    """
    import polars as pl

    if per_image is None:
        return pl.Series([True] * rows.height, dtype=pl.Boolean)
    order = rows.with_columns(
        supply=pl.col("group").replace_strict(supply, default=0.0, return_dtype=pl.Float64)
    ).sort("supply", "quality", "tie", descending=[False, True, False])
    ranked = order.with_columns(rank=pl.int_range(pl.len()).over("image_key"))
    allowed = (pl.col("rank") < per_image) | (pl.col("image_key") == "")
    return ranked.select("row", allowed.alias("allowed")).sort("row")["allowed"]
