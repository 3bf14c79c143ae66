"""`curate export`: a folder that the Hub and `datasets` read as it stands."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.card import CardFacts, write_card
from curate.export_options import ExportOptions, TableOptions, parse_bytes
from curate.hubfile import SplitWriter, schema_of
from curate.hubtable import HubTable, hub_row, hub_table
from pairwright.command import Outcome
from pairwright.conversation import count_images
from pairwright.errors import UsageError
from pairwright.images import ImageError, ImageReader
from pairwright.manifest import write_bytes
from pairwright.options import RunOptions, as_config
from pairwright.progress import Progress
from pairwright.store import Dataset

_BATCH_ROWS = 200
# What an earlier export may have left; anything else in the folder is somebody's.
_OURS = {"README.md", "data", ".gitattributes", ".cache"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    table: HubTable
    facts: CardFacts
    rejects: list[tuple[str, str, str]]

    @property
    def n_rows(self) -> int:
        """Rows of all splits."""
        return sum(self.facts.rows.values())

    def summary(self) -> dict[str, Any]:
        """Figures for machines."""
        return {
            "what": self.table.what,
            "splits": self.facts.rows,
            "images": self.facts.images,
            "image_bytes": self.facts.image_bytes,
            "content": "parts" if self.table.parts else "text",
            "from": [manifest.ref for manifest in self.table.roots],
        }


def export(dataset: Dataset, options: ExportOptions, run: RunOptions) -> Outcome:
    """Write a Hub-ready folder.

    Raises:
        UsageError: If the folder is in use or there is nothing to export.
    """
    check_target(dataset, options.out, replace=run.replace)
    table = hub_table(dataset, options, limit=run.limit)
    if run.dry_run:
        text = f"dry run, nothing written: {table.frame.height:,} {table.what} to {options.out}"
        return Outcome(message=text, summary={"what": table.what, "splits": _counts(table)})
    with staged(options.out) as folder:
        done = write_folder(dataset, table, options, folder)
    record_rejects(dataset, done, options, run)
    splits = ", ".join(f"{n:,} {name}" for name, n in done.facts.rows.items())
    return Outcome(
        message=f"{options.out}: {done.n_rows:,} {table.what} ({splits}), {done.facts.images:,} "
        f"images\n  load_dataset({str(options.out)!r}) reads it; `curate push` publishes it",
        rows=done.n_rows,
        rejects=len(done.rejects),
        summary={"out": str(options.out), **done.summary()},
    )


def check_target(dataset: Dataset, out: Path, *, replace: bool) -> None:
    """Refuse a folder that holds anything but an export that may be replaced.

    Raises:
        UsageError: If it does.
    """
    if out.absolute() == dataset.path or dataset.path.is_relative_to(out.absolute()):
        msg = f"{out} holds the dataset; choose another folder"
        raise UsageError(msg)
    if not out.exists():
        return
    names = {path.name for path in out.iterdir()} if out.is_dir() else {out.name}
    if not out.is_dir() or names - _OURS:
        msg = f"{out} exists and is not an export; choose a new or empty folder"
        raise UsageError(msg)
    if names and not replace:
        msg = f"{out} is not empty; choose another folder, or --replace to make it anew"
        raise UsageError(msg)


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A folder that takes the place of `out` when the block ends well, and goes when not."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        yield temporary
        temporary.chmod(0o755)
        if out.exists():
            old = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.old."))
            out.rename(old / out.name)
            temporary.rename(out)
            shutil.rmtree(old)
        else:
            temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_folder(
    dataset: Dataset, table: HubTable, options: TableOptions, folder: Path
) -> Exported:
    """Write shards and card into a folder.

    Args:
        dataset: The dataset.
        table: What to write.
        options: Size of the shards, title.
        folder: An empty folder.
    """
    schema = schema_of(table.columns)
    images = _Images(dataset)
    rows: dict[str, int] = {}
    rejects: list[tuple[str, str, str]] = []
    with Progress(f"export {table.what}", table.frame.height) as progress:
        for (split,), part in table.frame.group_by("split", maintain_order=True):
            with SplitWriter(
                folder / "data", str(split), schema, shard_bytes=parse_bytes(options.shard_bytes)
            ) as writer:
                for batch in part.iter_slices(_BATCH_ROWS):
                    for row in batch.iter_rows(named=True):
                        _add(row, table, images, writer, rejects)
                    progress.advance(batch.height)
            if writer.n_rows:
                rows[str(split)] = writer.n_rows
    facts = CardFacts(rows=rows, images=len(images.sizes), image_bytes=sum(images.sizes.values()))
    if not rows:
        msg = f"none of the {table.frame.height:,} {table.what} could be exported, the first because of {rejects[0][1:]}"
        raise UsageError(msg)
    card = write_card(dataset, table, facts, title=options.title)
    write_bytes(folder / "README.md", card.encode("utf-8", "replace"))
    return Exported(table=table, facts=facts, rejects=rejects)


class _Images:
    """Image values of rows, and how many distinct ones were used."""

    def __init__(self, dataset: Dataset) -> None:
        self._reader = ImageReader(dataset)
        self._formats = dict(
            dataset.union("images").select("image_id", "format").collect().iter_rows()
        )
        self.sizes: dict[str, int] = {}

    def value(self, image_id: str) -> dict[str, Any]:
        """An image as `datasets` stores it.

        Raises:
            ImageError: If it cannot be read.
        """
        content = self._reader.read(image_id)
        kind = self._formats.get(image_id, "bin")
        ending = {"jpeg": "jpg", "mpo": "jpg"}.get(kind, kind)
        return {"bytes": content, "path": f"{image_id}.{ending}"}


def _add(
    row: dict[str, Any],
    table: HubTable,
    images: _Images,
    writer: SplitWriter,
    rejects: list[tuple[str, str, str]],
) -> None:
    """Write a row, or reject it."""
    key = row["pair_id"] if table.what == "pairs" else row["sample_id"]
    prompt = row["prompt"] if table.what == "pairs" else row["messages"]
    if count_images(prompt) != len(row["image_ids"]):
        detail = f"{count_images(prompt)} marks for {len(row['image_ids'])} images"
        rejects.append((key, "image_marks", detail))
        return
    ids = [*row["image_ids"], *(row.get("rejected_image_ids") or [])]
    try:
        values = {i: images.value(i) for i in ids}
    except ImageError as error:
        rejects.append((key, error.reason, error.detail))
        return
    sizes = {i: len(value["bytes"]) for i, value in values.items()}
    writer.add(hub_row(row, table, values), row["n_bytes"] + sum(sizes[i] for i in ids))
    images.sizes.update(sizes)


def record_rejects(
    dataset: Dataset, done: Exported, options: TableOptions, run: RunOptions
) -> None:
    """Keep the rows that could not be exported, with reasons."""
    if not done.rejects:
        return
    with dataset.write(
        "rejects/export",
        run.run or "export",
        verb="export",
        config={**as_config(options), "limit": run.limit},
        inputs=done.table.roots,
        replace=True,
        rejects=False,
    ) as writer:
        writer.add(
            {"row_id": key, "stage": "image", "reason": reason, "detail": detail}
            for key, reason, detail in done.rejects
        )


def _counts(table: HubTable) -> dict[str, int]:
    return dict(table.frame.group_by("split", maintain_order=True).len().iter_rows())
