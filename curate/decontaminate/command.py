"""`curate decontaminate`: remove rows that a benchmark contains, and all rows on its images.

If an image is in a benchmark, all rows on it or on a copy of it are removed, whatever they ask, so
that no answer leaks through another question. A text alone counts only if it is specific
(`curate.decontaminate.texts` defines when).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from curate.decontaminate import report
from curate.decontaminate.benchmarks import Benchmark, open_benchmarks
from curate.decontaminate.matches import by_image, by_text, decide, search_texts
from curate.decontaminate.options import DecontaminateOptions
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions, as_config
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest

STEP = "decontaminate"


def decontaminate(dataset: Dataset, options: DecontaminateOptions, run: RunOptions) -> Outcome:
    """Write one decision per current sample, and the overlaps with benchmark rows.

    Raises:
        Error: If the dataset has no samples, or a benchmark cannot be read.
    """
    name = run.run or STEP
    key = RunKey(STEP, f"decisions/{name}")
    inputs = _inputs(dataset, options, key)
    with open_benchmarks(options) as benchmarks:
        if run.dry_run:
            _, overlaps, summary = _find(dataset, benchmarks, options, key, run.limit)
            text = report.text(summary, overlaps, options, None)
            return Outcome(message=f"dry run, nothing written\n{text}", summary=summary)
        settings: dict[str, Any] = {
            "step": STEP,
            "config": _config(options, run, benchmarks),
            "inputs": inputs,
            "fingerprints": {f"benchmark {one.name}": one.fingerprint for one in benchmarks},
            "replace": run.replace,
            "resumable": False,
            "rejects": False,
        }
        done = ""
        with (
            dataset.write("decisions", name, **settings) as writer,
            dataset.write("overlaps", name, **settings) as overlap_writer,
        ):
            if writer.is_complete:
                done = f"nothing to do: {key.ref} is finished\n"
                overlaps = dataset.read("overlaps", name)
            else:
                decisions, overlaps, summary = _find(dataset, benchmarks, options, key, run.limit)
                if not overlap_writer.is_complete:
                    overlap_writer.add(overlaps)
                writer.add(decisions)
                writer.summary.update(summary)
    text = report.text(writer.summary, overlaps, options, name)
    return Outcome(
        message=f"{done}{text}\nnext: `curate select` or `curate export`",
        table=key.ref,
        rows=writer.n_rows,
        summary=writer.summary,
    )


def _inputs(dataset: Dataset, options: DecontaminateOptions, key: RunKey) -> list[Manifest]:
    """Runs that the command reads."""
    inputs = dataset.need_samples(for_run=key)
    inputs += [m for m in dataset.runs("images") if m.is_complete]
    if options.clip_threshold is not None and options.by != "text":
        embeddings = dataset.pick("embeddings", options.embeddings, steps={"embed"})
        if embeddings is None:
            msg = "--clip-threshold needs embeddings: run `curate embed` on both sides first"
            raise UsageError(msg)
        inputs.append(embeddings)
    return inputs


def _config(
    options: DecontaminateOptions, run: RunOptions, benchmarks: list[Benchmark]
) -> dict[str, Any]:
    """The options that decide on the result."""
    config = as_config(options)
    for key in ("show", "image_folder", "against"):  # the fingerprints identify the benchmarks
        del config[key]
    return {**config, "against": [one.name for one in benchmarks], "limit": run.limit}


def _find(
    dataset: Dataset, benchmarks: list[Benchmark], options: DecontaminateOptions, key: RunKey,
    limit: int | None,
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:  # fmt: skip
    """Decisions, overlaps and the summary of the run."""
    import numpy as np
    import polars as pl

    started = time.monotonic()
    name = key.ref.partition("/")[2]
    frame = dataset.current_samples(for_run=key).select("sample_id", "image_ids")
    rows = (frame.head(limit) if limit else frame).collect()
    rows = rows.with_columns(row=np.arange(rows.height))
    texts = {}
    if options.by != "image":
        texts = search_texts(dataset, rows, benchmarks, options, key)
    found, facts = [], {}
    for benchmark in benchmarks:
        facts[benchmark.name] = benchmark.facts()
        parts = []
        if options.by != "text":
            parts.append(by_image(dataset, rows, benchmark, options, facts[benchmark.name]))
        if options.by != "image":
            parts += by_text(rows, benchmark, texts[benchmark.name], facts[benchmark.name])
        found.append(pl.concat(parts).with_columns(benchmark=pl.lit(benchmark.name)))
    matches = pl.concat(found)
    decisions = decide(rows, matches, name, STEP)
    overlaps = report.overlap_rows(dataset, rows, benchmarks, matches, name)
    summary = _summary(decisions, matches, facts)
    return decisions, overlaps, summary | {"seconds": round(time.monotonic() - started, 2)}


def _summary(
    decisions: pl.DataFrame, matches: pl.DataFrame, facts: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Numbers of the run; completes the facts of each benchmark."""
    import polars as pl

    counts = decisions.filter(~pl.col("kept"))["reason"].value_counts().sort("reason")
    for name, numbers in facts.items():
        found = matches.filter(pl.col("benchmark") == name)
        numbers["removed"] = found["row"].n_unique()
        numbers["by_method"] = dict(found.group_by("method").len().sort("method").iter_rows())
        numbers["bench_rows_found"] = found["bench_row"].n_unique()
    kept = int(decisions["kept"].sum())
    return {
        "rows": decisions.height,
        "kept": kept,
        "removed": decisions.height - kept,
        "removed_by_reason": dict(counts.iter_rows()),
        "benchmarks": facts,
    }
