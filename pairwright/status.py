"""`pairwright status`, `show` and `use`: what is in a dataset and how it came about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions, option
from pairwright.errors import UsageError
from pairwright.text.counts import counted

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusOptions:
    """Options of `pairwright status`."""

    lineage: bool = option(False, help="also print the command that made each table")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowOptions:
    """Options of `pairwright show`."""

    table: str = option(help="table to show: kind/run, such as pairs/best-of-n", positional=True)
    rows: int = option(5, help="number of rows")
    format: Literal["text", "json"] = option("text", help="one JSON object per line, or text")


@dataclass(frozen=True, slots=True, kw_only=True)
class UseOptions:
    """Options of `pairwright use`."""

    table: str = option(
        help="complete run to make active, such as decisions/strict", positional=True
    )


def status(dataset: Dataset, options: StatusOptions, run: RunOptions) -> Outcome:
    """Print the funnel from ingested rows to pairs, every table, and orphaned duplicate groups."""
    del run
    from schemas.tables import TABLES

    stages = funnel(dataset)
    lines = [f"{dataset.name}: {dataset.path}", ""]
    lines += [f"  {label:<34}{count:>12,}" for label, count in stages]
    tables: list[dict[str, Any]] = []
    lines += ["", f"  {'table':<34}{'rows':>12}  status"]
    for kind in TABLES:
        active = {m.run for m in dataset.active(kind).values()}
        for manifest in dataset.runs(kind):
            if kind == "rejects" and not manifest.rows:
                continue
            # Stopped or still running: the table cannot distinguish them.
            states = [manifest.status if manifest.is_complete else "unfinished"]
            if kind not in ("images", "samples", "rejects") and manifest.run in active:
                states.append("active")
            lines.append(f"  {manifest.ref:<34}{manifest.rows:>12,}  {', '.join(states)}")
            if options.lineage:
                lines.append(f"      {manifest.command}")
                lines += [f"      from {entry['table']}" for entry in manifest.inputs]
            tables.append(_as_json(manifest, active))
    orphans = _orphaned_groups(dataset)
    if orphans:
        lines += [
            "",
            f"  A later step dropped the kept representative of {counted(orphans, 'duplicate group')};",
            "  `curate dedup --promote --replace` keeps the next row of each",
        ]
    summary = {"funnel": dict(stages), "tables": tables, "orphaned_groups": orphans}
    return Outcome(message="\n".join(lines), summary=summary)


def funnel(dataset: Dataset) -> list[tuple[str, int]]:
    """Rows at every stage from ingest to pairs."""
    import polars as pl

    def size(frame: pl.LazyFrame) -> int:
        return int(frame.select(pl.len()).collect().item())

    samples = dataset.union("samples").select("sample_id")
    out = [("samples ingested", size(samples))]
    invalid = sum(m.rows for m in dataset.runs("rejects") if m.step == "ingest")
    out.append(("invalid rows at ingest", invalid))
    for manifest in dataset.active("decisions").values():
        dropped = dataset.scan(manifest).filter(~pl.col("kept")).select("sample_id")
        out.append((f"dropped by {manifest.run}", size(dropped)))
    out.append(("samples now current", size(dataset.current_samples().select("sample_id"))))
    for kind in ("responses", "pairs"):
        out += [(f"{kind} ({m.run})", m.rows) for m in dataset.active(kind).values()]
    return out


def _orphaned_groups(dataset: Dataset) -> int:
    """Duplicate groups whose kept row a later decisions run dropped."""
    import polars as pl

    manifest = dataset.active("decisions").get("dedup")
    if manifest is None:
        return 0
    representatives = (
        dataset.scan(manifest).filter(~pl.col("kept")).select(sample_id="kept_id").unique()
    )
    mine = dataset.union("samples").select("sample_id")  # not those of other datasets (--against)
    current = dataset.current_samples().select("sample_id")
    orphaned = representatives.join(mine, on="sample_id", how="semi").join(
        current, on="sample_id", how="anti"
    )
    return int(orphaned.select(pl.len()).collect().item())


def _as_json(manifest: Manifest, active: set[str]) -> dict[str, Any]:
    return {
        "table": manifest.ref,
        "step": manifest.step,
        "rows": manifest.rows,
        "status": manifest.status,
        "active": manifest.run in active,
        "command": manifest.command,
        "inputs": [entry["table"] for entry in manifest.inputs],
        "summary": manifest.summary,
    }


def show(dataset: Dataset, options: ShowOptions, run: RunOptions) -> Outcome:
    """Print rows of a table; image bytes and vectors are described, not printed."""
    del run
    kind, _, name = options.table.strip("/").removeprefix(str(dataset.path)).rpartition("/")
    manifest = dataset.manifest(kind, name) if kind else None
    if manifest is None:
        from schemas.tables import TABLES

        known = ", ".join(m.ref for k in TABLES for m in dataset.runs(k)) or "none yet"
        msg = f"{options.table}: no such table in {dataset.path}; there are: {known}"
        raise UsageError(msg)
    frame = dataset.scan(manifest).head(options.rows).collect()
    rows = [{k: printable(v) for k, v in row.items()} for row in frame.to_dicts()]
    if options.format == "json":
        text = "\n".join(json.dumps(row, ensure_ascii=False, default=str) for row in rows)
    else:
        text = "\n\n".join(_as_text(row) for row in rows) or "(no rows)"
    return Outcome(
        message=text, summary={"table": manifest.ref, "total": manifest.rows, "shown": rows}
    )


def printable(value: Any) -> Any:
    """A value of a table, image bytes and vectors described instead of shown."""
    if isinstance(value, bytes):
        return f"<{len(value):,} bytes>"
    if isinstance(value, list) and len(value) > 32 and isinstance(value[0], int | float):
        return f"<{len(value)} numbers>"
    return value


def _as_text(row: dict[str, Any]) -> str:
    lines = []
    for name, value in row.items():
        if value is None:
            continue
        text = (
            value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        )
        # Text of strangers: control characters could rewrite the terminal.
        clean = "".join(
            c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text
        )
        shown = clean.replace("\n", "\n" + " " * 20)
        lines.append(f"{name:<18}  {shown}")
    return "\n".join(lines)


def use(dataset: Dataset, options: UseOptions, run: RunOptions) -> Outcome:
    """Make a run active."""
    del run
    manifest = dataset.use(options.table.strip("/"))
    return Outcome(
        message=f"{manifest.ref} is now the active run of {manifest.kind} made by {manifest.step}",
        table=manifest.ref,
    )
