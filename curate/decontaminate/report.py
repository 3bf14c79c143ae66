"""What decontamination found: rows of the overlaps table, and the report on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curate.decontaminate.options import DecontaminateOptions
from pairwright.commands.progress import shown
from pairwright.text.conversation import plain_text
from pairwright.text.counts import counted

if TYPE_CHECKING:
    import polars as pl

    from curate.decontaminate.benchmarks import Benchmark
    from pairwright.dataset.store import Dataset

_STORED, _SHOWN = 500, 150
_MEANING = {
    "exact": "the image is a benchmark image, byte for byte",
    "phash": "the image is a copy of a benchmark image (near hash, confirmed by the pixels)",
    "copy": "the image is a copy of such a copy",
    "clip": "the image has an embedding near that of a benchmark image",
    "words": "the text has the same words as a benchmark text",
    "minhash": "the text has nearly the same words as a benchmark text",
    "ngram": "the text contains most of a long benchmark text",
    "group": "the image is that of a row with a benchmark text",
}
# Keys of summaries that earlier versions wrote.
_OLD_KEYS = {"unseen": "rows_without_image", "rejects": "invalid_rows"}


def overlap_rows(
    dataset: Dataset, rows: pl.DataFrame, benchmarks: list[Benchmark], matches: pl.DataFrame,
    run: str,
) -> pl.DataFrame:  # fmt: skip
    """Rows of the overlaps table.

    Args:
        dataset: The dataset.
        rows: `row`, `sample_id`.
        benchmarks: The benchmarks.
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
    texts = mine.select("sample_id", text=_conversations(mine))
    out = []
    for benchmark in benchmarks:
        theirs = benchmark.rows.with_row_index("bench_row").select(
            pl.col("bench_row").cast(pl.Int64), pl.col("sample_id").alias("bench_id"),
            pl.col("source_id").alias("bench_source_id"),
            bench_text=_conversations(benchmark.rows),
        )  # fmt: skip
        some = named.filter(pl.col("benchmark") == benchmark.name)
        out.append(some.join(theirs, on="bench_row", maintain_order="left"))
    columns = ["sample_id", "benchmark", "kind", "run", "method", "similarity", "bench_id",
               "bench_source_id", "text", "bench_text"]  # fmt: skip
    return (
        pl.concat(out)
        .join(texts, on="sample_id", maintain_order="left")
        .with_columns(run=pl.lit(run))
        .select(columns)
    )


def _conversations(rows: pl.DataFrame) -> pl.Series:
    """Conversations on one line; the reference answer replaces a missing answer."""
    import polars as pl

    references = rows["reference"] if "reference" in rows.columns else [None] * rows.height
    lines = []
    for messages, reference in zip(rows["messages"], references, strict=True):
        turns = [plain_text(m["content"] or "") for m in messages]
        if reference and messages[-1]["role"] != "assistant":
            turns.append(reference)
        line = " ".join(" -> ".join(turns).split())
        lines.append(_short(line, _STORED))
    return pl.Series("text", lines, dtype=pl.String)


def text(
    summary: dict[str, Any], overlaps: pl.DataFrame, options: DecontaminateOptions, run: str | None
) -> str:
    """The whole report.

    Args:
        summary: Numbers of the run.
        overlaps: Rows of the overlaps table, for examples.
        options: The options.
        run: Name of the run; None if nothing was written.
    """
    import polars as pl

    rows, removed = summary["rows"], summary["removed"]
    rate = f" ({100 * removed / rows:.1f} %)" if rows else ""
    lines = [
        f"{rows:,} rows in, {summary['kept']:,} kept, {removed:,} removed{rate}, "
        f"in {summary['seconds']:.1f} s"
    ]
    for name, facts in summary["benchmarks"].items():
        current = {_OLD_KEYS.get(key, key): value for key, value in facts.items()}
        lines += _benchmark_lines(name, current, options)
    if removed and run:
        lines.append(f"each removed row with its benchmark row: `pairwright show overlaps/{run}`")
    for name in summary["benchmarks"]:
        for method in summary["benchmarks"][name]["by_method"]:
            chosen = (pl.col("benchmark") == name) & (pl.col("method") == method)
            some = overlaps.filter(chosen).unique("bench_id", keep="first", maintain_order=True)
            first = some.head(options.show)
            if first.is_empty():
                continue
            lines += ["", f"{name}, {method}:"]
            for row in first.iter_rows(named=True):
                lines += [
                    f"  - {shown(row['text'], _SHOWN)}",
                    f"    benchmark row {shown(str(row['bench_source_id']), _SHOWN)}: "
                    f"{shown(row['bench_text'], _SHOWN)}  "
                    f"similarity {row['similarity']:.3f}",
                ]
    return "\n".join(lines)


def _benchmark_lines(name: str, facts: dict[str, Any], options: DecontaminateOptions) -> list[str]:
    lines = [
        f"against {name} ({counted(facts['rows'], 'row')}, {counted(facts['images'], 'image')}): "
        f"{counted(facts['removed'], 'row')} removed, "
        f"{counted(facts['bench_rows_found'], 'benchmark row')} found"
    ]
    lines += [f"  {count:>9,} {how}: {_MEANING[how]}" for how, count in facts["by_method"].items()]
    if n := facts["rows_without_image"]:
        lines.append(
            f"  {counted(n, 'benchmark row')} with an image that is not available: compared by "
            "text only (--image-folder names the folder of the images)"
        )
    if n := facts["invalid_rows"]:
        lines.append(f"  {counted(n, 'benchmark row')} could not be read: not compared")
    if options.by != "text":
        lines += _image_lines(facts, options)
    if n := facts.get("templates"):
        lines.append(
            f"  {counted(n, 'benchmark text')} on more than {options.common} images of the dataset:"
            " ignored as templates (--common)"
        )
    return lines


def _image_lines(facts: dict[str, Any], options: DecontaminateOptions) -> list[str]:
    lines = []
    if n := facts.get("unreadable_images"):
        lines.append(f"  {counted(n, 'image')} could not be decoded: not compared")
    if "embeddings" in facts and facts["images"]:
        lines.append(f"  embeddings not compared: {facts['embeddings']}")
    elif facts.get("clip_near_images") and options.clip_threshold is None:
        lines.append(
            f"  {counted(facts['clip_near_images'], 'more image')} with an embedding at cosine "
            f"{facts['clip_threshold']:g} or more to a benchmark image: kept; --clip-threshold "
            f"{facts['clip_threshold']:g} --dry-run shows some"
        )
    return lines


def _short(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 3] + "..."
