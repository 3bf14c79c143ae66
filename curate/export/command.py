"""`curate export`: a folder that the Hub, or another project's loader, reads as it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curate.export.hub import Exported, write_folder
from curate.export.options import ONLY, ExportOptions, TableOptions
from curate.export.parquet_table import HubTable, hub_tables
from curate.export.staging import staged
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions, as_config
from pairwright.commands.progress import say
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.text.counts import counted

# What an export may contain besides the files that its card names.
_OURS = {
    "README.md",
    "data",
    "samples",
    "pairs",
    ".gitattributes",
    ".cache",
    "images",
    "dataset_info.json",
}
_SHOWN_REASONS = 4


def export(dataset: Dataset, options: ExportOptions, run: RunOptions) -> Outcome:
    """Write a folder of the chosen format.

    Raises:
        UsageError: If the folder is in use or there is nothing to export.
    """
    only: Any = ONLY.get(options.format)
    if only is not None:
        options = dataclasses.replace(options, what=only)
    check_target(dataset, options.out, replace=run.replace)
    tables = hub_tables(dataset, options, limit=run.limit)
    if run.dry_run:
        return Outcome(
            message=f"dry run, nothing written: {_counted(tables)} to {options.out}",
            summary={table.what: table.splits for table in tables},
        )
    with staged(options.out) as folder:
        if options.format == "hub":
            done = write_folder(dataset, tables, options, folder)
        else:
            from curate.export.loaders.files import write_files

            done = write_files(dataset, tables[0], options, folder)
    record_rejects(dataset, done, options, run)
    warn_about(done)
    return Outcome(
        message=_message(done, options),
        rows=done.n_rows,
        rejects=len(done.rejects),
        summary={"out": str(options.out), "format": options.format, **done.summary()},
    )


def _counted(tables: Sequence[HubTable]) -> str:
    return " and ".join(_rows(table.what, table.splits) for table in tables)


def _rows(what: str, rows: dict[str, int]) -> str:
    splits = ", ".join(f"{n:,} {name}" for name, n in rows.items())
    return f"{sum(rows.values()):,} {what} ({splits})"


def _message(done: Exported, options: ExportOptions) -> str:
    rows = " and ".join(_rows(part.table.what, part.facts.rows) for part in done.parts)
    lines = [f"{options.out}: {rows}, {done.n_images:,} images"]
    if options.format == "hub":
        more = ', "samples"' if len(done.parts) > 1 else ""
        lines.append(
            f"load_dataset({str(options.out)!r}{more}) reads it; `curate push` publishes it"
        )
    else:
        lines.append(f"for {options.format}; its README.md explains how to read it")
    lines += [f"left out: {note}" for note in done.notes]
    return "\n  ".join(lines)


def warn_about(done: Exported) -> None:
    """Print to stderr what a user should know of an export besides its result."""
    if done.rejects:
        reasons: dict[str, int] = {}
        for _, reason, _ in done.rejects:
            reasons[reason] = reasons.get(reason, 0) + 1
        most = sorted(reasons.items(), key=lambda item: -item[1])[:_SHOWN_REASONS]
        reasons_of_most = ", ".join(f"{n:,} {reason}" for reason, n in most)
        say(f"not exported: {reasons_of_most}; the first: {': '.join(done.rejects[0])}")
    if done.shared_images:
        say(
            f"{counted(done.shared_images, 'image is', 'images are')} in more than one split of the "
            "source; --test-fraction makes splits that have none in common"
        )


def check_target(dataset: Dataset, out: Path, *, replace: bool) -> None:
    """Refuse a folder that contains anything but an export that may be replaced.

    Raises:
        UsageError: If it does.
    """
    if out.absolute() == dataset.path or dataset.path.is_relative_to(out.absolute()):
        msg = f"{out} contains the dataset; choose another folder"
        raise UsageError(msg)
    if not out.exists():
        return
    names = {path.name for path in out.iterdir()} if out.is_dir() else {out.name}
    if not out.is_dir() or names - _OURS - _named_files(out):
        msg = f"{out} exists and is not an export; choose a new or empty folder"
        raise UsageError(msg)
    if names and not replace:
        msg = f"{out} is not empty; choose another folder, or --replace to make it again"
        raise UsageError(msg)


def _named_files(out: Path) -> set[str]:
    """Top-level names of the files that an earlier export's card lists."""
    import yaml
    from huggingface_hub import DatasetCard

    try:
        card: Any = DatasetCard((out / "README.md").read_text(encoding="utf-8"))
        files = [file["path"] for one in card.data["configs"] for file in one["data_files"]]
        if "pairwright" not in card.data["tags"]:
            return set()
        return {str(path).partition("/")[0] for path in files}
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        return set()


def record_rejects(
    dataset: Dataset, done: Exported, options: TableOptions, run: RunOptions
) -> None:
    """Record the rows that could not be exported, with reasons."""
    if not done.rejects:
        return
    with dataset.write(
        "rejects/export",
        run.run or "export",
        step="export",
        config={**as_config(options), "limit": run.limit},
        inputs=done.roots,
        replace=True,
        rejects=False,
    ) as writer:
        writer.add(
            {"row_id": key, "stage": "export", "reason": reason, "detail": detail}
            for key, reason, detail in done.rejects
        )
