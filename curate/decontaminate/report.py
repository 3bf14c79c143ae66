"""What decontamination found: the rows beside the benchmark's, and figures in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curate.decontaminate.options import DecontaminateOptions
from pairwright.text.conversation import plain_text

if TYPE_CHECKING:
    import polars as pl

    from curate.decontaminate.bench import Benchmark
    from pairwright.dataset.store import Dataset

_KEPT_TEXT, _SHOWN = 500, 150
_MEANING = {
    "exact": "rows whose image is the benchmark's, byte for byte",
    "phash": "rows whose image is a copy of the benchmark's (hash, confirmed by pixels)",
    "copy": "rows whose image is a copy of such a copy",
    "clip": "rows whose image has an embedding near the benchmark's",
    "words": "rows that say the same as a benchmark text, word for word",
    "minhash": "rows that say almost the same as a benchmark text",
    "ngram": "rows that repeat most of a long benchmark text",
    "group": "other rows on a picture whose text is the benchmark's",
}


def with_texts(
    dataset: Dataset, rows: pl.DataFrame, benches: list[Benchmark], matches: pl.DataFrame, run: str
) -> pl.DataFrame:
    """Rows of the overlaps table.

    Args:
        dataset: The training set.
        rows: `row`, `sample_id`.
        benches: The benchmarks.
        matches: `row`, `kind`, `method`, `similarity`, `bench_row`, `benchmark`.
        run: Name of the run.
    """
    import polars as pl

    keys = ["row", "benchmark", "kind"]
    named = matches.unique(keys, keep="first", maintain_order=True).join(
        rows.select("row", "sample_id"), on="row", maintain_order="left"
    )
    mine = (
        dataset.union("samples")
        .select("sample_id", "messages")
        .join(named.lazy().select("sample_id").unique(), on="sample_id", how="semi")
        .collect()
    )
    spoken = mine.select("sample_id", text=_spoken(mine))
    out = []
    for bench in benches:
        theirs = bench.rows.with_row_index("bench_row").select(
            pl.col("bench_row").cast(pl.Int64), pl.col("sample_id").alias("bench_id"),
            pl.col("source_id").alias("bench_source_id"), bench_text=_spoken(bench.rows),
        )  # fmt: skip
        some = named.filter(pl.col("benchmark") == bench.name)
        out.append(some.join(theirs, on="bench_row", maintain_order="left"))
    columns = ["sample_id", "benchmark", "kind", "run", "method", "similarity", "bench_id",
               "bench_source_id", "text", "bench_text"]  # fmt: skip
    return (
        pl.concat(out)
        .join(spoken, on="sample_id", maintain_order="left")
        .with_columns(run=pl.lit(run))
        .select(columns)
    )


def _spoken(rows: pl.DataFrame) -> pl.Series:
    """Conversations on one line; a reference answer stands for a missing answer."""
    import polars as pl

    references = rows["reference"] if "reference" in rows.columns else [None] * rows.height
    lines = []
    for messages, reference in zip(rows["messages"], references, strict=True):
        turns = [plain_text(m["content"] or "") for m in messages]
        if reference and messages[-1]["role"] != "assistant":
            turns.append(reference)
        line = " ".join(" -> ".join(turns).split())
        lines.append(line if len(line) <= _KEPT_TEXT else line[: _KEPT_TEXT - 3] + "...")
    return pl.Series("text", lines, dtype=pl.String)


def text(
    summary: dict[str, Any], overlaps: pl.DataFrame, options: DecontaminateOptions, run: str | None
) -> str:
    """The whole report; without a run nothing was written."""
    import polars as pl

    rows, removed = summary["rows"], summary["removed"]
    share = f" ({100 * removed / rows:.1f} %)" if rows else ""
    lines = [
        f"{rows:,} rows in, {summary['kept']:,} kept, {removed:,} removed{share}, "
        f"in {summary['seconds']:.1f} s"
    ]
    for name, facts in summary["benchmarks"].items():
        lines += _of_benchmark(name, facts, options)
    if removed and run:
        lines.append(
            f"every removed row beside its benchmark row: `pairwright show overlaps/{run}`"
        )
    for name in summary["benchmarks"]:
        for method in summary["benchmarks"][name]["by_method"]:
            chosen = (pl.col("benchmark") == name) & (pl.col("method") == method)
            some = overlaps.filter(chosen).unique("bench_id", keep="first", maintain_order=True)
            shown = some.head(options.show)
            if shown.is_empty():
                continue
            lines += ["", f"{name}, {method}:"]
            for row in shown.iter_rows(named=True):
                lines += [
                    f"  - {_cut(row['text'])}",
                    f"    benchmark row {row['bench_source_id']}: {_cut(row['bench_text'])}  "
                    f"similarity {row['similarity']:.3f}",
                ]
    return "\n".join(lines)


def _of_benchmark(name: str, facts: dict[str, Any], options: DecontaminateOptions) -> list[str]:
    lines = [
        f"against {name} ({facts['rows']:,} rows, {facts['images']:,} images): "
        f"{facts['removed']:,} rows go, {facts['bench_rows_found']:,} of its rows were found"
    ]
    lines += [f"  {count:>9,} {how}: {_MEANING[how]}" for how, count in facts["by_method"].items()]
    if facts["unseen"]:
        lines.append(
            f"  {facts['unseen']:,} of its rows name an image that is not at hand: compared by "
            "text alone (--image-folder tells where images are)"
        )
    if facts["rejects"]:
        lines.append(f"  {facts['rejects']:,} of its rows could not be read and are not compared")
    if options.by != "text":
        lines += _image_notes(facts, options)
    if facts.get("templates"):
        lines.append(
            f"  {facts['templates']:,} of its texts stand on more than {options.common} pictures "
            "of the training set: taken for templates, no evidence (--common)"
        )
    return lines


def _image_notes(facts: dict[str, Any], options: DecontaminateOptions) -> list[str]:
    lines = []
    if facts.get("unreadable_images"):
        lines.append(f"  {facts['unreadable_images']:,} images could not be decoded: not compared")
    if "embeddings" in facts and facts["images"]:
        lines.append(f"  embeddings not compared: {facts['embeddings']}")
    elif facts.get("clip_near_images") and options.clip_threshold is None:
        lines.append(
            f"  {facts['clip_near_images']:,} more images have an embedding at cosine "
            f"{facts['clip_threshold']:g} or more to one of its: kept; --clip-threshold "
            f"{facts['clip_threshold']:g} --dry-run shows some of them"
        )
    return lines


def _cut(line: str) -> str:
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."
