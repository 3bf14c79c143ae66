"""`curate tag`: the tasks of each sample, by rules; each tag names its rule."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from curate.tag import report
from curate.tag.options import TagOptions
from curate.tag.rules import BUILT_IN, Rule, apply_rules, facts_of, read_rules
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.commands.progress import Progress
from pairwright.dataset.ids import config_hash
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

STEP = "tag"
_COLUMNS = ("sample_id", "image_ids", "messages", "reference", "source", "split", "task")
_BATCH = 50_000


def tag(dataset: Dataset, options: TagOptions, run: RunOptions) -> Outcome:
    """Write the tasks of all samples, including those that decisions drop: they may come back.

    Raises:
        Error: If the rules are wrong, or there are no samples.
    """
    import polars as pl

    rules = read_rules(options.rules)
    if options.print_rules:
        return Outcome(message=(options.rules or BUILT_IN).read_text(encoding="utf-8"))
    name = run.run or STEP
    inputs = [m for m in dataset.runs("samples") if m.is_complete]
    if not inputs:
        msg = (
            f"{dataset.path}: no samples yet; read some with `curate ingest SRC -o {dataset.path}`"
        )
        raise UsageError(msg)
    if run.dry_run:
        tags, n = _tags(dataset, rules, run.limit)
        text = report.text(dataset, rules, tags, n, show=options.show)
        summary = report.summary_of(tags, n)
        return Outcome(message=f"dry run, nothing written\n{text}", summary=summary)
    named = str(options.rules.name) if options.rules else "built-in"
    with dataset.write(
        "tags", name, step=STEP, config={"rules": named, "limit": run.limit}, inputs=inputs,
        fingerprints={"rules": config_hash([[r.name, r.task, str(r)] for r in rules])},
        replace=run.replace, resumable=False, rejects=False,
    ) as writer:  # fmt: skip
        done = ""
        if writer.is_complete:
            done = f"nothing to do: tags/{name} is finished\n"
            tags, n = dataset.read("tags", name), int(writer.summary["rows"])
        else:
            tags, n = _tags(dataset, rules, run.limit)
            writer.add(tags.with_columns(run=pl.lit(name)))
            writer.summary.update(report.summary_of(tags, n))
    text = report.text(dataset, rules, tags, n, show=options.show)
    return Outcome(
        message=f"{done}{text}\nnext: `curate select --balance task`",
        table=f"tags/{name}",
        rows=writer.n_rows,
        summary=dict(writer.summary),
    )


def _tags(dataset: Dataset, rules: tuple[Rule, ...], limit: int | None) -> tuple[pl.DataFrame, int]:
    """The tags of all samples, and the number of samples."""
    import polars as pl

    parts, n = [], 0
    with Progress("tagging") as progress:
        for batch in _batches(dataset, limit):
            parts.append(apply_rules(facts_of(batch), rules))
            n += batch.height
            progress.advance(batch.height)
    none = pl.DataFrame(
        schema={"sample_id": pl.String, "task": pl.String, "rule": pl.String, "main": pl.Boolean}
    )
    return pl.concat([none, *parts]), n


def _batches(dataset: Dataset, limit: int | None) -> Iterator[pl.DataFrame]:
    """Yield all samples in batches; of several samples with one id the first ingested counts."""
    import polars as pl

    left = sys.maxsize if limit is None else limit
    earlier: list[pl.DataFrame] = []
    for manifest in [m for m in dataset.runs("samples") if m.is_complete]:
        rows = dataset.scan(manifest).select(_COLUMNS)
        for start in range(0, manifest.rows, _BATCH):
            batch = rows.slice(start, _BATCH).collect()
            for ids in earlier:
                batch = batch.join(ids, on="sample_id", how="anti", maintain_order="left")
            batch = batch.head(left)
            left -= batch.height
            if batch.height:
                yield batch
            if not left:
                return
        earlier.append(dataset.scan(manifest).select(pl.col("sample_id")).collect())
