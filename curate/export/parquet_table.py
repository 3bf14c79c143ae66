"""Kept samples or pairs as a table to export: its columns and its splits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from curate.export.hub_rows import images_in_front
from curate.export.options import TableOptions
from curate.export.parquet_file import IMAGES, PART_MESSAGES, Column
from curate.export.readers import PairRows, RowReader, SampleRows
from curate.export.splits import TestSplit
from pairwright.dataset.manifest import Manifest
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

MOST_SPLITS: Final = 50
_BATCH_ROWS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class HubTable:
    """Rows to export, not read yet.

    Attributes:
        what: `samples` or `pairs`.
        key: Column of their id.
        columns: Columns of the export to the Hub.
        parts: Whether message contents are lists of parts there.
        has_images: Whether any row has an image.
        splits: Rows by split, in order.
        roots: Runs that the rows come from.
    """

    what: str
    key: str
    columns: list[Column]
    parts: bool
    has_images: bool
    splits: dict[str, int]
    roots: list[Manifest]
    _reader: RowReader = field(repr=False)
    _test: TestSplit | None = field(repr=False)
    _limit: int | None = field(repr=False)

    @property
    def n_rows(self) -> int:
        """Rows of all splits."""
        return sum(self.splits.values())

    def batches(self, split: str) -> Iterator[pl.DataFrame]:
        """Rows of a split in order, without image bytes; with `split` and `n_bytes`."""
        for frame in _first(self._reader.frames(), self._limit):
            names = _split_names(frame, self._test)
            mine = frame.with_columns(names).filter(pl.col("split") == split)
            yield from mine.iter_slices(_BATCH_ROWS)


def hub_tables(
    dataset: Dataset, options: TableOptions, *, limit: int | None = None
) -> list[HubTable]:
    """Choose what is exported, and read it once; two tables for `both`.

    Raises:
        UsageError: If there is nothing to export.
    """
    readers: list[RowReader] = []
    pairs = None
    if options.what != "samples":
        pairs = dataset.pick("pairs", options.pairs, steps=("build", "ingest"))
        if pairs is None and options.what != "auto":
            msg = "there are no pairs to export: make some with `prefs build`"
            raise UsageError(msg)
    if pairs is None or options.what == "both":
        readers.append(SampleRows(dataset, options))
    if pairs is not None:
        readers.append(PairRows(dataset, pairs))
    test = TestSplit(options.test_fraction, options.seed) if options.test_fraction else None
    seen = [_survey(reader, options, test, limit) for reader in readers]
    if test is not None:
        for reader in readers:
            for frame in _first(reader.frames(_light(reader)), limit):
                test.look(frame["sample_id"], _group_images(frame))
    return [_table(reader, one, test, limit) for reader, one in zip(readers, seen, strict=True)]


def _table(reader: RowReader, seen: _Survey, test: TestSplit | None, limit: int | None) -> HubTable:
    splits = _count_splits(reader, test, limit)
    if not splits:
        msg = f"no {reader.what} to export; `pairwright status` shows what dropped them"
        raise UsageError(msg)
    return HubTable(
        what=reader.what,
        key=reader.key,
        columns=_columns(reader, seen),
        parts=seen.parts,
        has_images=seen.has_images,
        splits=splits,
        roots=reader.roots,
        _reader=reader,
        _test=test,
        _limit=limit,
    )


@dataclass(slots=True)
class _Survey:
    """What a first pass over the rows found."""

    parts: bool
    has_images: bool = False
    has_rejected_images: bool = False


def _light(reader: RowReader) -> list[str]:
    """Columns that decide the split of a row."""
    pairs = ["rejected_image_ids"] if reader.what == "pairs" else []
    return ["sample_id", "image_ids", "split", *pairs]


def _survey(
    reader: RowReader, options: TableOptions, test: TestSplit | None, limit: int | None
) -> _Survey:
    names = _light(reader)
    unsure = options.content == "auto"
    seen = _Survey(parts=options.content == "parts")
    for frame in _first(reader.frames(names + [reader.conversation] * unsure), limit):
        seen.has_images |= bool(frame["image_ids"].list.len().sum())
        if "rejected_image_ids" in names:
            seen.has_rejected_images |= bool(frame["rejected_image_ids"].is_not_null().any())
        if unsure and not seen.parts:
            with_images = frame.filter(pl.col("image_ids").list.len() > 0)[reader.conversation]
            seen.parts = not all(images_in_front(messages) for messages in with_images)
        if test is not None:
            test.link(_group_images(frame))
    return seen


def _count_splits(reader: RowReader, test: TestSplit | None, limit: int | None) -> dict[str, int]:
    """Rows by split, `train` and `validation` first.

    Raises:
        UsageError: If there are too many splits.
    """
    counts: Counter[str] = Counter()
    for frame in _first(reader.frames(_light(reader)), limit):
        counts.update(_split_names(frame, test).to_list())
    if len(counts) > MOST_SPLITS:
        msg = f"the samples name {len(counts)} splits, more than the Hub can show; use --test-fraction to make two"
        raise UsageError(msg)
    order = sorted(counts, key=lambda n: (n != "train", n != "validation", n))
    return {name: counts[name] for name in order}


def _columns(reader: RowReader, seen: _Survey) -> list[Column]:
    def kind(column: Column) -> pa.DataType:
        return PART_MESSAGES if seen.parts and column.name == reader.conversation else column.type

    columns = [Column(name=c.name, type=kind(c), doc=c.doc) for c in reader.columns]
    if seen.has_rejected_images:
        doc = "images for the rejected side (visual DPO)"
        columns.insert(1, Column(name="rejected_images", type=IMAGES, doc=doc))
    if not seen.has_images:
        # With the column TRL would take the dataset for one with images.
        columns = [c for c in columns if c.name not in ("images", "image_ids")]
    return columns


def _first(frames: Iterator[pl.DataFrame], limit: int | None) -> Iterator[pl.DataFrame]:
    left = limit
    for frame in frames:
        yield frame if left is None else frame.head(left)
        if left is not None:
            left -= frame.height
            if left <= 0:
                return


def _group_images(frame: pl.DataFrame) -> list[list[str]]:
    """All images of every row, with those of a rejected side."""
    images: list[list[str]] = frame["image_ids"].to_list()
    if "rejected_image_ids" not in frame.columns:
        return images
    others = frame["rejected_image_ids"].to_list()
    return [mine + (other or []) for mine, other in zip(images, others, strict=True)]


def _split_names(frame: pl.DataFrame, test: TestSplit | None) -> pl.Series:
    if test is None:
        names = {name: split_name(name) for name in frame["split"].unique().to_list()}
        return pl.Series("split", [names[name] for name in frame["split"]], dtype=pl.String)
    # Pairs of one sample are in one split too.
    rows = zip(frame["sample_id"], _group_images(frame), strict=True)
    return pl.Series("split", ["test" if test.is_test(*row) else "train" for row in rows])


def split_name(name: str | None) -> str:
    """A split's name as `datasets` allows it."""
    return re.sub(r"\W+", "_", name or "", flags=re.ASCII).strip("_")[:60] or "train"
