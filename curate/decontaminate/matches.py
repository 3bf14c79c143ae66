"""Rows that match a benchmark, by image and by text, and the decisions that follow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.decontaminate.benchmarks import Benchmark
from curate.decontaminate.images import find_images
from curate.decontaminate.options import DecontaminateOptions
from curate.decontaminate.texts import TextIndex
from pairwright.commands.progress import Progress
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset

if TYPE_CHECKING:
    import polars as pl

_BATCH = 50_000
# Methods from the strongest to the weakest evidence: a decision names the strongest.
_ORDER = ("exact", "phash", "copy", "words", "minhash", "ngram", "clip", "group")
_COLUMNS = ("row", "kind", "method", "similarity", "bench_row")


def search_texts(
    dataset: Dataset, rows: pl.DataFrame, benchmarks: list[Benchmark],
    options: DecontaminateOptions, key: RunKey,
) -> dict[str, TextIndex]:  # fmt: skip
    """The index of each benchmark's texts, after a search in all rows."""
    indexes = {
        one.name: TextIndex.of(one.rows.with_columns(row=np.arange(one.rows.height)), options)
        for one in benchmarks
    }
    with Progress("searching benchmark texts", rows.height) as progress:
        for batch in _batches(dataset, rows, key):
            for index in indexes.values():
                index.search(batch)
            progress.advance(batch.height)
    return indexes


def _batches(dataset: Dataset, rows: pl.DataFrame, key: RunKey) -> Iterator[pl.DataFrame]:
    """Yield the rows with their conversations in batches."""
    columns = ("sample_id", "image_ids", "messages")
    numbers = rows.select("sample_id", "row")
    for batch in dataset.current_batches(columns, for_run=key, rows=_BATCH):
        some = batch.join(numbers, on="sample_id", how="inner", maintain_order="left")
        if some.height:
            yield some


def by_image(
    dataset: Dataset, rows: pl.DataFrame, benchmark: Benchmark, options: DecontaminateOptions,
    facts: dict[str, Any],
) -> pl.DataFrame:  # fmt: skip
    """Rows with an image of the benchmark: `row`, `kind`, `method`, `similarity`, `bench_row`.

    Args:
        dataset: The dataset.
        rows: `row`, `image_ids`.
        benchmark: The benchmark.
        options: What is compared.
        facts: Receives numbers for the report.
    """
    import polars as pl

    each = rows.select("row", pl.col("image_ids").alias("image_id")).explode("image_id")
    each = each.drop_nulls("image_id")
    ids = each["image_id"].unique(maintain_order=True)
    found = find_images(dataset, ids, benchmark, options)
    facts.update(found.summary)
    theirs = benchmark.rows.select(pl.col("image_ids").alias("bench_image"))
    theirs = theirs.with_row_index("bench_row").explode("bench_image")
    theirs = theirs.drop_nulls().unique("bench_image", keep="first")
    return (
        each.join(found.found, on="image_id")
        .join(theirs, on="bench_image")
        .sort("row", _strength(), pl.col("similarity"), descending=[False, False, True])
        .unique("row", keep="first", maintain_order=True)
        .with_columns(pl.lit("image").alias("kind"), pl.col("bench_row").cast(pl.Int64))
        .select(_COLUMNS)
    )


def _strength() -> pl.Expr:
    """Position of the method in `_ORDER`."""
    import polars as pl

    return pl.col("method").replace_strict({m: i for i, m in enumerate(_ORDER)})


def by_text(
    rows: pl.DataFrame, benchmark: Benchmark, index: TextIndex, facts: dict[str, Any]
) -> list[pl.DataFrame]:
    """Rows that repeat a specific text, and other rows on the same images (method `group`).

    The other rows are added only if the image of the benchmark row is unknown; a known image has
    been compared already.

    Args:
        rows: `row`, `image_ids`.
        benchmark: The benchmark.
        index: Its texts, after a search in all rows.
        facts: Receives numbers for the report.
    """
    import polars as pl

    found = index.matches()
    facts["templates"] = found.n_templates
    texts = index.texts.select("text_number", pl.col("row").alias("bench_row"))
    matched = (
        found.found.join(texts, on="text_number", maintain_order="left")
        .with_columns(pl.lit("text").alias("kind"))
        .select(_COLUMNS)
    )
    no_image = benchmark.rows.select(pl.col("image_ids").list.len() == 0).to_series()
    unseen = matched.filter(no_image.gather(matched["bench_row"]))
    key = pl.col("image_ids").list.sort().list.join("|")
    keyed = rows.filter(pl.col("image_ids").list.len() > 0).select("row", key=key)
    same_images = (
        keyed.join(unseen.join(keyed, on="row"), on="key", suffix="_of")
        .join(matched, on="row", how="anti")
        .unique("row", keep="first", maintain_order=True)
        .with_columns(pl.lit("group").alias("method"))
        .select(_COLUMNS)
    )
    return [matched, same_images]


def decide(rows: pl.DataFrame, matches: pl.DataFrame, run: str, step: str) -> pl.DataFrame:
    """Rows of the decisions table: one per row.

    Args:
        rows: `row`, `sample_id`.
        matches: `row`, `kind`, `method`, `similarity`, `bench_row`, `benchmark`.
        run: Name of the run.
        step: Method of kept rows.
    """
    import polars as pl

    kinds = matches.group_by("row").agg(
        pl.when((pl.col("kind") == "image").any() & (pl.col("kind") == "text").any())
        .then(pl.lit("benchmark_image_and_text"))
        .when((pl.col("kind") == "image").any())
        .then(pl.lit("benchmark_image"))
        .when((pl.col("method") == "group").all())
        .then(pl.lit("benchmark_group"))
        .otherwise(pl.lit("benchmark_text"))
        .alias("reason")
    )
    best = matches.sort("row", _strength(), maintain_order=True).unique("row", keep="first")
    return (
        rows.join(best, on="row", how="left")
        .join(kinds, on="row", how="left")
        .sort("row")
        .select(
            "sample_id",
            pl.lit(run).alias("run"),
            pl.col("method").is_null().alias("kept"),
            pl.col("reason").fill_null("kept"),
            (pl.col("benchmark") + ":" + pl.col("method")).fill_null(step).alias("method"),
            "similarity",
        )
    )
