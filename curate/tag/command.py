"""`curate tag`: what each sample trains, by rules that are named in every row."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from curate.tag.options import TagOptions
from curate.tag.rules import BUILT_IN, Rule, apply_rules, facts_of, read_rules
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.commands.progress import Progress
from pairwright.dataset.ids import config_hash
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.text.conversation import plain_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

STEP = "tag"
_COLUMNS = ("sample_id", "image_ids", "messages", "reference", "source", "split", "task")
_EXAMPLES, _WIDTH = 2, 110
_BATCH = 50_000


def tag(dataset: Dataset, options: TagOptions, run: RunOptions) -> Outcome:
    """Write the tasks of all samples, also of those that decisions drop: they may come back.

    Raises:
        Error: If the rules are wrong, or there are no samples.
    """
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
        tags, n = _collect(dataset, rules, run)
        text = _report(dataset, rules, tags, n, options)
        return Outcome(message=f"dry run, nothing written\n{text}", summary=_summary(tags, n))
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
            tags, n = _collect(dataset, rules, run)
            writer.add(tags.with_columns(run=_literal(name)))
            writer.summary.update(_summary(tags, n))
    return Outcome(
        message=done + _report(dataset, rules, tags, n, options),
        table=f"tags/{name}",
        rows=writer.n_rows,
        summary=dict(writer.summary),
    )


def _literal(value: str) -> Any:
    import polars as pl

    return pl.lit(value)


def _collect(
    dataset: Dataset, rules: tuple[Rule, ...], run: RunOptions
) -> tuple[pl.DataFrame, int]:
    """Tags of all rows, and how many rows there are."""
    import polars as pl

    parts, n = [], 0
    with Progress("tagging") as progress:
        for batch in _batches(dataset, run.limit):
            parts.append(apply_rules(facts_of(batch), rules))
            n += batch.height
            progress.advance(batch.height)
    none = pl.DataFrame(
        schema={"sample_id": pl.String, "task": pl.String, "rule": pl.String, "main": pl.Boolean}
    )
    return pl.concat([none, *parts]), n


def _batches(dataset: Dataset, limit: int | None) -> Iterator[pl.DataFrame]:
    """All samples, some at a time; an id that an earlier ingest brought stands there."""
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


def _summary(tags: pl.DataFrame, n: int) -> dict[str, Any]:
    import polars as pl

    counts = tags.group_by("task").agg(pl.len(), pl.col("main").sum()).sort("task")
    return {
        "rows": n,
        "untagged": n - tags["sample_id"].n_unique(),
        "tasks": {task: {"rows": rows, "main": main} for task, rows, main in counts.iter_rows()},
    }


def _report(
    dataset: Dataset, rules: tuple[Rule, ...], tags: pl.DataFrame, n: int, options: TagOptions
) -> str:
    import polars as pl

    summary = _summary(tags, n)
    lines = [f"{n:,} rows, {n - summary['untagged']:,} tagged", "  main task    any  task"]
    order = {rule.task: number for number, rule in reversed(list(enumerate(rules)))}
    for task, counts in sorted(summary["tasks"].items(), key=lambda one: order[one[0]]):
        lines.append(f"  {counts['main']:>9,} {counts['rows']:>6,}  {task}")
    if summary["untagged"]:
        lines.append(f"  {summary['untagged']:,} rows fit no rule: add one at the end of --rules")
    if not options.show:
        lines.append(
            "rules and examples: --show; to change them: --print-rules > my.yaml, --rules my.yaml"
        )
        return "\n".join(lines)
    spoken = _spoken(dataset, tags)
    for number, rule in enumerate(rules, 1):
        mine = tags.filter(pl.col("rule") == rule.name)
        lines += [
            "",
            f"{number:>3}. {rule.name} -> {rule.task}: {mine.height:,} rows, main task of "
            f"{int(mine['main'].sum()):,}",
            *(_cut(line, 2 * _WIDTH) for line in str(rule).splitlines()),
            *(f"      e.g. {spoken[i]}" for i in mine["sample_id"].head(_EXAMPLES)),
        ]
    return "\n".join(lines)


def _spoken(dataset: Dataset, tags: pl.DataFrame) -> dict[str, str]:
    """The rows that the report shows, on one line each."""
    import polars as pl

    shown = tags.group_by("rule", maintain_order=True).head(_EXAMPLES)["sample_id"].unique()
    frame = dataset.union("samples").select("sample_id", "messages")
    rows = frame.filter(pl.col("sample_id").is_in(shown.implode())).collect()
    out = {}
    for sample_id, messages in rows.iter_rows():
        line = " ".join(" -> ".join(plain_text(m["content"] or "") for m in messages).split())
        out[sample_id] = _cut(line, _WIDTH)
    return out


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 3] + "..."
