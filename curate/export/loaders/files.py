"""Exports for the loaders of other projects: rows as JSON, images as files next to them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import polars as pl

from curate.export.card import CardFacts, CardPart, write_card
from curate.export.hub import Exported, Reject, check_rows, rejected_ids, row_images
from curate.export.images import ExportImages, ImageFolder
from curate.export.loaders.layouts import dataset_info, fields_of, layout_of
from curate.export.loaders.rows import FORMS, UnfitError, count_lost, trl_columns
from curate.export.options import ExportOptions, parse_bytes
from curate.export.parquet_file import FLOAT, IMAGE, INTEGER, STRING, Column, SplitWriter, schema_of
from curate.export.parquet_table import HubTable
from pairwright.commands.progress import Progress
from pairwright.dataset.manifest import write_bytes, write_json
from pairwright.dataset.store import Dataset
from pairwright.text.counts import counted

IMAGES_FOLDER: Final = "images"
_ROW_BYTES: Final = 2000
_RLHF_V: Final = schema_of(
    [
        Column(name="ds_name", type=STRING, doc=""),
        Column(name="image", type=IMAGE, doc=""),
        *(Column(name=name, type=STRING, doc="") for name in ("text", "origin_dataset")),
        Column(name="origin_split", type=STRING, doc=""),
        Column(name="idx", type=INTEGER, doc=""),
        *(Column(name=name, type=STRING, doc="") for name in ("image_path", "pair_id", "license")),
        *(Column(name=n, type=FLOAT, doc="") for n in ("chosen_score", "rejected_score")),
        Column(name="control", type=STRING, doc=""),
    ]
)


class _Sink(Protocol):
    """Takes the rows of a split."""

    @property
    def images(self) -> ImageFolder | None:
        """Where the images go, if they are files."""
        ...

    def add(self, row: dict[str, Any], contents: dict[str, bytes]) -> None:
        """Write a row whose images are written."""
        ...


def write_files(
    dataset: Dataset, table: HubTable, options: ExportOptions, folder: Path
) -> Exported:
    """Write rows, images and a card into a folder.

    Args:
        dataset: The dataset.
        table: What to write.
        options: The format and the title.
        folder: An empty folder.
    """
    images = ExportImages(dataset)
    facts, lost = CardFacts(), Counter[str]()
    rejects: list[Reject] = []
    shared = ImageFolder(images, folder, IMAGES_FOLDER)
    extras: set[str] = set()
    with Progress(f"export {table.what}", table.n_rows) as progress:
        for split in table.splits:
            with _sink(options, table, folder, split, images, shared) as sink:
                for batch in _ordered(table, split, options.format):
                    good = []
                    for row in batch.iter_rows(named=True):
                        problem = _write(row, table, options.format, images, sink, lost)
                        good.append(problem is None)
                        if problem is not None:
                            rejects.append((row[table.key], *problem))
                        elif options.format == "sharegpt" and _has_system(row, table):
                            extras.add("system")
                    facts.add(batch.filter(pl.Series(good, dtype=pl.Boolean)), split)
                    progress.advance(batch.height)
    check_rows(table, facts, rejects)
    facts.n_images = len(images)
    notes = tuple(
        f"{what}: {counted(n, 'row has', 'rows have')} them" for what, n in sorted(lost.items())
    )
    info = dataset_info(dataset.name, table, facts, options.format, extras)
    if info is not None:
        write_json(folder / "dataset_info.json", info)
    layout = layout_of(dataset.name, table, facts, options, notes)
    part = CardPart(table=table, facts=facts, fields=fields_of(table, options.format))
    card = write_card(dataset, [part], layout, images.numbers(), title=options.title)
    write_bytes(folder / "README.md", card.encode("utf-8", "replace"))
    return Exported(
        parts=[part],
        n_images=len(images),
        image_bytes=images.n_bytes,
        shared_images=images.n_shared,
        rejects=rejects,
        notes=notes,
    )


def _ordered(table: HubTable, split: str, form: str) -> Iterator[pl.DataFrame]:
    """Rows of a split; in JSON that LLaMA-Factory reads, those with images first.

    It reads JSON through `datasets`, which infers the types of the columns from the beginning.
    """
    if form not in ("sharegpt", "messages") or not table.has_images:
        yield from table.batches(split)
        return
    for with_images in (True, False):
        for batch in table.batches(split):
            yield batch.filter((pl.col("image_ids").list.len() > 0) == with_images)


def _write(
    row: dict[str, Any],
    table: HubTable,
    form: str,
    images: ExportImages,
    sink: _Sink,
    lost: Counter[str],
) -> tuple[str, str] | None:
    """Write a row; its reason and detail if that cannot be."""
    try:
        paths = [f"{IMAGES_FOLDER}/{images.name(i)}" for i in row["image_ids"]]
        made = FORMS[form](row, paths, table)
    except UnfitError as error:
        return error.reason, error.detail
    contents = row_images(row, table, images)
    if isinstance(contents, tuple):
        return contents
    for image_id in dict.fromkeys([*row["image_ids"], *rejected_ids(row)]):
        if sink.images is not None:
            sink.images.write(image_id, contents[image_id])
        images.use(image_id, contents[image_id], row["split"])
    sink.add(made, contents)
    count_lost(row, table, form, lost)
    return None


def _has_system(row: dict[str, Any], table: HubTable) -> bool:
    turns = row["messages"] if table.what == "samples" else row["prompt"]
    return bool(turns[0]["role"] == "system")


@contextmanager
def _sink(
    options: ExportOptions,
    table: HubTable,
    folder: Path,
    split: str,
    images: ExportImages,
    shared: ImageFolder,
) -> Iterator[_Sink]:
    if options.format == "rlhf-v":
        size = parse_bytes(options.shard_bytes)
        with SplitWriter(folder / "data", split, _RLHF_V, shard_bytes=size) as writer:
            yield _WithImage(writer, images)
        return
    if options.format == "trl":
        # An image folder of `datasets`; the types of its columns are declared, not inferred.
        target = folder / split if table.has_images else folder
        schema = schema_of(trl_columns(table))
        with SplitWriter(target, split, schema, shard_bytes=1 << 60) as writer:
            yield _Metadata(writer, ImageFolder(images, target, IMAGES_FOLDER))
        name = "metadata" if table.has_images else split
        for file in writer.files:
            file.rename(file.with_name(f"{name}.parquet"))
        return
    path = folder / f"{split}.{'jsonl' if options.format == 'messages' else 'json'}"
    with path.open("w", encoding="utf-8", newline="\n") as lines:
        sink = _Json(lines, shared, array=path.suffix == ".json")
        yield sink
        sink.end()
    if not sink.n_rows:
        path.unlink()


class _Json:
    """JSON lines, or an array with one row per line."""

    def __init__(self, file: Any, images: ImageFolder, *, array: bool) -> None:
        self._file, self.images, self._array = file, images, array
        self.n_rows = 0

    def add(self, row: dict[str, Any], contents: dict[str, bytes]) -> None:
        before = ("[\n" if not self.n_rows else ",\n") if self._array else ""
        after = "" if self._array else "\n"
        self._file.write(before + json.dumps(row, ensure_ascii=False) + after)
        self.n_rows += 1

    def end(self) -> None:
        if self._array and self.n_rows:
            self._file.write("\n]\n")


class _Metadata:
    """Typed rows that name image files next to them."""

    def __init__(self, writer: SplitWriter, images: ImageFolder) -> None:
        self._writer, self.images = writer, images

    def add(self, row: dict[str, Any], contents: dict[str, bytes]) -> None:
        self._writer.add(row, _ROW_BYTES)


class _WithImage:
    """RLHF-V keeps the image in the row."""

    images = None

    def __init__(self, writer: SplitWriter, images: ExportImages) -> None:
        self._writer, self._images = writer, images

    def add(self, row: dict[str, Any], contents: dict[str, bytes]) -> None:
        ((image_id, content),) = contents.items()
        row = {**row, "idx": self._writer.n_rows, "image": self._images.value(image_id, content)}
        self._writer.add(row, len(content) + len(row["text"]) + 500)
