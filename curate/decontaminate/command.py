"""`curate decontaminate`: rows that a benchmark holds go, and all rows on its pictures.

By image group: where a picture is in a benchmark, every row on it or on a copy of it goes, whatever
it asks, so that no answer leaks through another question. Texts count alone only if they are
specific (`curate.decontaminate.text` says when).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from curate.decontaminate import report
from curate.decontaminate.bench import Benchmark, open_benchmarks
from curate.decontaminate.options import DecontaminateOptions
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions, as_config
from pairwright.commands.progress import Progress
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from curate.decontaminate.text import TextIndex

STEP = "decontaminate"
_BATCH = 50_000
# What says most about a row stands in its decision.
_ORDER = ("exact", "phash", "copy", "words", "minhash", "ngram", "clip", "group")


def decontaminate(dataset: Dataset, options: DecontaminateOptions, run: RunOptions) -> Outcome:
    """Write one decision a current sample, and what overlaps with which benchmark row.

    Raises:
        Error: If the dataset has no samples, or a benchmark cannot be read.
    """
    name = run.run or STEP
    ref = f"decisions/{name}"
    inputs = dataset.need_samples(for_run=RunKey(STEP, ref))
    inputs += [m for m in dataset.runs("images") if m.is_complete]
    if options.clip_threshold is not None and options.by != "text":
        embeddings = dataset.pick("embeddings", options.embeddings, steps={"embed"})
        if embeddings is None:
            msg = "--clip-threshold needs embeddings: run `curate embed` on both sides first"
            raise UsageError(msg)
        inputs.append(embeddings)
    with open_benchmarks(options) as benches:
        if run.dry_run:
            decisions, overlaps, summary = _find(dataset, benches, options, run, name)
            text = report.text(summary, overlaps, options, None)
            return Outcome(message=f"dry run, nothing written\n{text}", summary=summary)
        settings: dict[str, Any] = {
            "step": STEP,
            "config": _config(options, run, benches),
            "inputs": inputs,
            "fingerprints": {f"benchmark {one.name}": one.fingerprint for one in benches},
            "replace": run.replace,
            "resumable": False,
            "rejects": False,
        }
        done = ""
        with (
            dataset.write("decisions", name, **settings) as writer,
            dataset.write("overlaps", name, **settings) as beside,
        ):
            if writer.is_complete:
                done = f"nothing to do: {ref} is finished\n"
                overlaps = dataset.read("overlaps", name)
            else:
                decisions, overlaps, summary = _find(dataset, benches, options, run, name)
                if not beside.is_complete:
                    beside.add(overlaps)
                writer.add(decisions)
                writer.summary.update(summary)
    return Outcome(
        message=done + report.text(writer.summary, overlaps, options, name),
        table=ref,
        rows=writer.n_rows,
        summary=writer.summary,
    )


def _config(
    options: DecontaminateOptions, run: RunOptions, benches: list[Benchmark]
) -> dict[str, Any]:
    config = as_config(options)
    for key in ("show", "image_folder", "against"):  # the fingerprints tell what is compared
        del config[key]
    return {**config, "against": [one.name for one in benches], "limit": run.limit}


def _find(
    dataset: Dataset, benches: list[Benchmark], options: DecontaminateOptions, run: RunOptions,
    name: str,
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:  # fmt: skip
    """Decisions, overlaps and figures."""
    import numpy as np
    import polars as pl

    started = time.monotonic()
    frame = dataset.current_samples(for_run=RunKey(STEP, f"decisions/{name}"))
    frame = frame.select("sample_id", "image_ids")
    rows = (frame.head(run.limit) if run.limit else frame).collect()
    rows = rows.with_columns(row=np.arange(rows.height))
    texts = _texts(dataset, rows, benches, options, name) if options.by != "image" else {}
    found, figures = [], {}
    for bench in benches:
        figures[bench.name] = bench.facts()
        parts = []
        if options.by != "text":
            parts.append(_by_image(dataset, rows, bench, options, figures[bench.name]))
        if options.by != "image":
            parts += _by_text(rows, bench, texts[bench.name], figures[bench.name])
        found.append(pl.concat(parts).with_columns(benchmark=pl.lit(bench.name)))
    matches = pl.concat(found)
    decisions = decide(rows, matches, name)
    overlaps = report.with_texts(dataset, rows, benches, matches, name)
    return decisions, overlaps, _summary(decisions, matches, figures, started)


def _texts(
    dataset: Dataset, rows: pl.DataFrame, benches: list[Benchmark], options: DecontaminateOptions,
    name: str,
) -> dict[str, TextIndex]:  # fmt: skip
    """An index of each benchmark's texts that has seen all rows."""
    import numpy as np

    from curate.decontaminate.text import TextIndex

    indexes = {
        bench.name: TextIndex.of(bench.rows.with_columns(row=np.arange(bench.rows.height)), options)
        for bench in benches
    }
    with Progress("looking for benchmark texts", rows.height) as progress:
        for batch in _batches(dataset, rows, name):
            for index in indexes.values():
                index.look(batch)
            progress.advance(batch.height)
    return indexes


def _batches(dataset: Dataset, rows: pl.DataFrame, name: str) -> Iterator[pl.DataFrame]:
    """The rows with their conversations, some at a time."""
    columns = ("sample_id", "image_ids", "messages")
    numbers = rows.select("sample_id", "row")
    for batch in dataset.current_batches(
        columns, for_run=RunKey(STEP, f"decisions/{name}"), rows=_BATCH
    ):
        some = batch.join(numbers, on="sample_id", how="inner", maintain_order="left")
        if some.height:
            yield some


def _by_image(
    dataset: Dataset, rows: pl.DataFrame, bench: Benchmark, options: DecontaminateOptions,
    figures: dict[str, Any],
) -> pl.DataFrame:  # fmt: skip
    """Rows with a picture of the benchmark: `row`, `kind`, `method`, `similarity`, `bench_row`."""
    import polars as pl

    from curate.decontaminate.image import find_images

    each = rows.select("row", pl.col("image_ids").alias("image_id")).explode("image_id")
    each = each.drop_nulls("image_id")
    ids = each["image_id"].unique(maintain_order=True)
    found = find_images(dataset, ids, bench, options)
    figures.update(found.summary)
    theirs = bench.rows.select(pl.col("image_ids").alias("bench_image")).with_row_index("bench_row")
    theirs = theirs.explode("bench_image").drop_nulls().unique("bench_image", keep="first")
    level = pl.col("how").replace_strict({m: i for i, m in enumerate(_ORDER)})
    return (
        each.join(found.found, on="image_id")
        .join(theirs, on="bench_image")
        .sort("row", level, pl.col("similarity"), descending=[False, False, True])
        .unique("row", keep="first", maintain_order=True)
        .select(
            "row", pl.lit("image").alias("kind"), pl.col("how").alias("method"), "similarity",
            pl.col("bench_row").cast(pl.Int64),
        )
    )  # fmt: skip


def _by_text(
    rows: pl.DataFrame, bench: Benchmark, index: TextIndex, figures: dict[str, Any]
) -> list[pl.DataFrame]:
    """Rows that repeat a specific text, and the rows on the same pictures.

    The pictures go along only where the benchmark's own picture is not known: where it is, it has
    been compared.
    """
    import polars as pl

    found = index.matches()
    figures["templates"] = found.n_templates
    units = index.units.select("unit", pl.col("row").alias("bench_row"))
    columns = ["row", "kind", "method", "similarity", "bench_row"]
    matched = (
        found.found.join(units, on="unit", maintain_order="left")
        .with_columns(pl.lit("text").alias("kind"), pl.col("how").alias("method"))
        .select(columns)
    )
    blind = bench.rows.select(pl.col("image_ids").list.len() == 0).to_series()
    sightless = matched.filter(blind.gather(matched["bench_row"]))
    key = pl.col("image_ids").list.sort().list.join("|")
    keyed = rows.filter(pl.col("image_ids").list.len() > 0).select("row", key=key)
    carried = (
        keyed.join(sightless.join(keyed, on="row"), on="key", suffix="_of")
        .join(matched, on="row", how="anti")
        .unique("row", keep="first", maintain_order=True)
        .with_columns(pl.lit("group").alias("method"))
        .select(columns)
    )
    return [matched, carried]


def decide(rows: pl.DataFrame, matches: pl.DataFrame, run: str) -> pl.DataFrame:
    """One decision a row (`row`, `sample_id`).

    Args:
        rows: The current samples.
        matches: `row`, `kind`, `method`, `similarity`, `bench_row`, `benchmark`.
        run: Name of the run.
    """
    import polars as pl

    level = pl.col("method").replace_strict({m: i for i, m in enumerate(_ORDER)})
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
    best = matches.sort("row", level, maintain_order=True).unique("row", keep="first")
    return (
        rows.join(best, on="row", how="left")
        .join(kinds, on="row", how="left")
        .sort("row")
        .select(
            "sample_id",
            pl.lit(run).alias("run"),
            pl.col("method").is_null().alias("kept"),
            pl.col("reason").fill_null("kept"),
            (pl.col("benchmark") + ":" + pl.col("method")).fill_null(STEP).alias("method"),
            "similarity",
        )
    )


def _summary(
    decisions: pl.DataFrame, matches: pl.DataFrame, figures: dict[str, Any], started: float
) -> dict[str, Any]:
    import polars as pl

    counts = decisions.filter(~pl.col("kept"))["reason"].value_counts().sort("reason")
    for name, facts in figures.items():
        mine = matches.filter(pl.col("benchmark") == name)
        each = mine.group_by("method").len().sort("method")
        facts["removed"] = mine["row"].n_unique()
        facts["by_method"] = dict(each.iter_rows())
        facts["bench_rows_found"] = mine["bench_row"].n_unique()
    kept = int(decisions["kept"].sum())
    return {
        "rows": decisions.height,
        "kept": kept,
        "removed": decisions.height - kept,
        "removed_by_reason": dict(counts.iter_rows()),
        "benchmarks": figures,
        "seconds": round(time.monotonic() - started, 2),
    }
