"""The Hub's form of an export: Parquet shards that contain the images, and a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from curate.export.card import CardFacts, CardPart, Layout, write_card
from curate.export.hub_rows import hub_row
from curate.export.images import ExportImages
from curate.export.options import TableOptions, export_command, parse_bytes
from curate.export.parquet_file import SplitWriter, schema_of, yaml_feature
from curate.export.parquet_table import HubTable
from pairwright.commands.progress import Progress
from pairwright.dataset.manifest import Manifest, write_bytes
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.images import ImageError
from pairwright.text.conversation import count_images

if TYPE_CHECKING:
    import pyarrow as pa

Reject = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written.

    Attributes:
        parts: Configurations: one, or samples and pairs.
        n_images: Distinct images.
        image_bytes: Their bytes.
        shared_images: Images that are in several splits.
        rejects: Id, reason and detail of rows that could not be written.
        notes: What the format leaves out.
    """

    parts: Sequence[CardPart]
    n_images: int
    image_bytes: int
    shared_images: int
    rejects: list[Reject]
    notes: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        """Rows of all parts."""
        return sum(part.facts.n_rows for part in self.parts)

    @property
    def roots(self) -> list[Manifest]:
        """Runs that the rows come from, each once."""
        return list({root.ref: root for part in self.parts for root in part.table.roots}.values())

    def summary(self) -> dict[str, Any]:
        """Numbers for programs."""
        first, *more = self.parts
        splits = {part.table.what: part.facts.rows for part in self.parts}
        content = ["parts" if part.table.parts else "text" for part in self.parts]
        return {
            "what": "both" if more else first.table.what,
            "splits": splits if more else first.facts.rows,
            "images": self.n_images,
            "image_bytes": self.image_bytes,
            "images_in_several_splits": self.shared_images,
            "content": content if more else content[0],
            "left_out": list(self.notes),
            "from": [manifest.ref for manifest in self.roots],
        }


@dataclass(slots=True)
class _Written:
    """A configuration on disk."""

    schema: pa.Schema
    folder: str
    splits: list[dict[str, Any]]
    n_bytes: int = 0


def write_folder(
    dataset: Dataset, tables: Sequence[HubTable], options: TableOptions, folder: Path
) -> Exported:
    """Write shards and card into a folder.

    Args:
        dataset: The dataset.
        tables: What to write; each is a configuration if there are several.
        options: Size of the shards, title.
        folder: An empty folder.
    """
    images = ExportImages(dataset)
    rejects: list[Reject] = []
    parts, written = [], []
    for table in tables:
        name = table.what if len(tables) > 1 else "data"
        images.start_part()
        facts = CardFacts()
        written.append(_write_table(table, options, folder / name, images, facts, rejects))
        check_rows(table, facts, rejects)
        facts.n_images = len(images)
        fields = [(column.name, column.doc) for column in table.columns]
        parts.append(CardPart(table=table, facts=facts, fields=fields))
    layout = hub_layout(dataset.name, tables, written, options)
    card = write_card(dataset, parts, layout, images.numbers(), title=options.title)
    write_bytes(folder / "README.md", card.encode("utf-8", "replace"))
    return Exported(
        parts=parts,
        n_images=images.n_images,
        image_bytes=images.n_bytes,
        shared_images=images.n_shared,
        rejects=rejects,
    )


def _write_table(
    table: HubTable,
    options: TableOptions,
    folder: Path,
    images: ExportImages,
    facts: CardFacts,
    rejects: list[Reject],
) -> _Written:
    done = _Written(schema_of(table.columns), folder.name, [])
    n_bytes = parse_bytes(options.shard_bytes)
    with Progress(f"export {table.what}", table.n_rows) as progress:
        for split in table.splits:
            with SplitWriter(folder, split, done.schema, shard_bytes=n_bytes) as writer:
                for batch in table.batches(split):
                    rows = batch.iter_rows(named=True)
                    good = [_add(row, table, images, writer, rejects) for row in rows]
                    facts.add(batch.filter(pl.Series(good, dtype=pl.Boolean)), split)
                    progress.advance(batch.height)
            if writer.n_rows:
                sizes = {"num_bytes": writer.n_bytes, "num_examples": writer.n_rows}
                done.splits.append({"name": split, **sizes})
                done.n_bytes += sum(file.stat().st_size for file in writer.files)
    return done


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
        return (
            "image_placeholders",
            f"{count_images(prompt)} placeholders for {len(row['image_ids'])} images",
        )
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
    writer.add(
        hub_row(row, table.columns, values, parts=table.parts),
        row["n_bytes"] + sum(len(contents[i]) for i in ids),
    )
    for image_id, content in contents.items():
        images.use(image_id, content, row["split"])
    return True


def hub_layout(
    name: str, tables: Sequence[HubTable], written: Sequence[_Written], options: TableOptions
) -> Layout:
    """What the card has on Parquet shards, with the header that `datasets` writes."""
    several = len(tables) > 1
    infos: list[dict[str, Any]] = []
    configs: list[dict[str, Any]] = []
    for table, done in zip(tables, written, strict=True):
        config = table.what if several else "default"
        infos.append(
            {
                **({"config_name": config} if several else {}),
                "features": [yaml_feature(field.name, field.type) for field in done.schema],
                "splits": done.splits,
                "download_size": done.n_bytes,
                "dataset_size": sum(split["num_bytes"] for split in done.splits),
            }
        )
        files = [{"split": s["name"], "path": f"{done.folder}/{s['name']}-*"} for s in done.splits]
        configs.append({"config_name": config, "data_files": files})
    if several:
        configs[0]["default"] = True
    words = [f'"owner/name", "{table.what}"' if several else '"owner/name"' for table in tables]
    loads = "\n".join(f"rows = load_dataset({one})" for one in words)
    code = f"```python\nfrom datasets import load_dataset\n\n{loads}\n```"
    return Layout(
        metadata={"dataset_info": infos if several else infos[0], "configs": configs},
        reading="\n\n".join([code, *(_trainer(table) for table in tables)]),
        command=export_command(options, name),
    )


def _trainer(table: HubTable) -> str:
    kind = "`DPOTrainer`" if table.what == "pairs" else "`SFTTrainer`"
    if table.parts:
        return f"TRL's {kind} takes the {table.what} as they are; an image part of a content is the next of `images`."
    return f"TRL's {kind} takes the {table.what} as they are; the images belong before the first user turn."
