"""The Hub's form of an export: Parquet shards with the images inside, and a card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from curate.card import CardFacts, Layout, write_card
from curate.export_images import ExportImages
from curate.export_options import TableOptions, export_command, parse_bytes
from curate.hubfile import SplitWriter, schema_of, yaml_feature
from curate.hubtable import HubTable, hub_row
from pairwright.conversation import count_images
from pairwright.errors import UsageError
from pairwright.images import ImageError
from pairwright.manifest import write_bytes
from pairwright.progress import Progress
from pairwright.store import Dataset

if TYPE_CHECKING:
    import pyarrow as pa

Reject = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written.

    Attributes:
        table: Where it came from.
        facts: Counts.
        image_bytes: Bytes of the distinct images.
        shared_images: Images that stand in several splits.
        rejects: Id, reason and detail of rows that could not be written.
        notes: What the format leaves out.
    """

    table: HubTable
    facts: CardFacts
    image_bytes: int
    shared_images: int
    rejects: list[Reject]
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Figures for machines."""
        return {
            "what": self.table.what,
            "splits": self.facts.rows,
            "images": self.facts.n_images,
            "image_bytes": self.image_bytes,
            "images_in_several_splits": self.shared_images,
            "content": "parts" if self.table.parts else "text",
            "left_out": list(self.notes),
            "from": [manifest.ref for manifest in self.table.roots],
        }


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
    images = ExportImages(dataset)
    facts = CardFacts()
    rejects: list[Reject] = []
    splits: list[dict[str, Any]] = []
    n_bytes = parse_bytes(options.shard_bytes)
    with Progress(f"export {table.what}", table.n_rows) as progress:
        for split in table.splits:
            with SplitWriter(folder / "data", split, schema, shard_bytes=n_bytes) as writer:
                for batch in table.batches(split):
                    rows = batch.iter_rows(named=True)
                    good = [_add(row, table, images, writer, rejects) for row in rows]
                    facts.add(batch.filter(pl.Series(good, dtype=pl.Boolean)), split)
                    progress.advance(batch.height)
            if writer.n_rows:
                splits.append(_split_info(split, writer))
    check_rows(table, facts, rejects)
    facts.n_images, facts.images = len(images), images.figures()
    layout = hub_layout(dataset.name, table, schema, splits, options)
    card = write_card(dataset, table, facts, layout, title=options.title)
    write_bytes(folder / "README.md", card.encode("utf-8", "replace"))
    return Exported(
        table=table,
        facts=facts,
        image_bytes=images.n_bytes,
        shared_images=images.n_shared,
        rejects=rejects,
    )


def check_rows(table: HubTable, facts: CardFacts, rejects: list[Reject]) -> None:
    """Refuse an export without a row.

    Raises:
        UsageError: If there is none.
    """
    if not facts.n_rows:
        msg = f"none of the {table.n_rows:,} {table.what} could be exported, the first because of {': '.join(rejects[0][1:])}"
        raise UsageError(msg)


def row_images(
    row: dict[str, Any], table: HubTable, images: ExportImages
) -> dict[str, bytes] | tuple[str, str]:
    """Bytes of a row's images by id, or why it cannot be exported."""
    prompt = row["prompt"] if table.what == "pairs" else row["messages"]
    if count_images(prompt) != len(row["image_ids"]):
        return "image_marks", f"{count_images(prompt)} marks for {len(row['image_ids'])} images"
    try:
        return {i: images.read(i) for i in [*row["image_ids"], *rejected_ids(row)]}
    except ImageError as error:
        return error.reason, error.detail


def rejected_ids(row: dict[str, Any]) -> list[str]:
    """Images of the rejected side, where it has its own."""
    return row.get("rejected_image_ids") or []


def _add(
    row: dict[str, Any],
    table: HubTable,
    images: ExportImages,
    writer: SplitWriter,
    rejects: list[Reject],
) -> bool:
    """Write a row, or reject it."""
    contents = row_images(row, table, images)
    if isinstance(contents, tuple):
        rejects.append((row[table.key], *contents))
        return False
    values = {i: images.value(i, content) for i, content in contents.items()}
    ids = [*row["image_ids"], *rejected_ids(row)]
    writer.add(hub_row(row, table, values), row["n_bytes"] + sum(len(contents[i]) for i in ids))
    for image_id, content in contents.items():
        images.use(image_id, content, row["split"])
    return True


def _split_info(split: str, writer: SplitWriter) -> dict[str, Any]:
    size = sum(file.stat().st_size for file in writer.files)
    return {"name": split, "num_bytes": writer.n_bytes, "num_examples": writer.n_rows, "_": size}


def hub_layout(
    name: str,
    table: HubTable,
    schema: pa.Schema,
    splits: list[dict[str, Any]],
    options: TableOptions,
) -> Layout:
    """What the card says of Parquet shards, with the head that `datasets` writes."""
    download = sum(split.pop("_") for split in splits)
    files = [{"split": s["name"], "path": f"data/{s['name']}-*"} for s in splits]
    front = {
        "dataset_info": {
            "features": [yaml_feature(field.name, field.type) for field in schema],
            "splits": splits,
            "download_size": download,
            "dataset_size": sum(split["num_bytes"] for split in splits),
        },
        "configs": [{"config_name": "default", "data_files": files}],
    }
    load = '```python\nfrom datasets import load_dataset\n\nrows = load_dataset("owner/name")\n```'
    return Layout(
        front=front,
        fields=[(column.name, column.doc) for column in table.columns],
        reading=f"{load}\n\n{_trainer(table)}",
        command=export_command(options, name),
    )


def _trainer(table: HubTable) -> str:
    kind = "`DPOTrainer`" if table.what == "pairs" else "`SFTTrainer`"
    if table.parts:
        return f"TRL's {kind} takes it as it stands; an image part of a content takes the next of `images`."
    return f"TRL's {kind} takes it as it stands; the images belong in front of the first user turn."
