"""Kept samples or pairs, read some at a time, and what shall become of them in an export."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import polars as pl

from curate.export.options import TableOptions
from curate.export.parquet_file import (
    FLOAT,
    IMAGES,
    MESSAGES,
    PART_MESSAGES,
    SPANS,
    STRING,
    STRINGS,
    Column,
)
from curate.export.splits import TestDraw
from pairwright.dataset.manifest import Manifest
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.scores import mean_marks
from pairwright.text.conversation import Message, content_parts, unescape

if TYPE_CHECKING:
    import pyarrow as pa

MOST_SPLITS: Final = 50
_ROW_BYTES: Final = 500
_BATCH_ROWS: Final = 1000


class _Reader(Protocol):
    """Where rows come from."""

    what: str
    key: str
    talk: str
    roots: list[Manifest]
    columns: list[Column]

    def frames(self, names: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Rows in order, some at a time; all columns, or those of the table's that are named."""
        ...


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
    _reader: _Reader = field(repr=False)
    _draw: TestDraw | None = field(repr=False)
    _limit: int | None = field(repr=False)

    @property
    def n_rows(self) -> int:
        """Rows of all splits."""
        return sum(self.splits.values())

    def batches(self, split: str) -> Iterator[pl.DataFrame]:
        """Rows of a split in order, without image bytes; `split` and `n_bytes` beside the rest."""
        for frame in _first(self._reader.frames(), self._limit):
            names = _split_names(frame, self._draw)
            mine = frame.with_columns(names).filter(pl.col("split") == split)
            yield from mine.iter_slices(_BATCH_ROWS)


def hub_tables(
    dataset: Dataset, options: TableOptions, *, limit: int | None = None
) -> list[HubTable]:
    """Choose what shall be exported, and look over it once; two tables for `both`.

    Raises:
        UsageError: If there is nothing to export.
    """
    readers: list[_Reader] = []
    pairs = None
    if options.what != "samples":
        pairs = dataset.pick("pairs", options.pairs, steps=("build", "ingest"))
        if pairs is None and options.what != "auto":
            msg = "there are no pairs to export: make some with `prefs build`"
            raise UsageError(msg)
    if pairs is None or options.what == "both":
        readers.append(_Samples(dataset, options))
    if pairs is not None:
        readers.append(_Pairs(dataset, pairs))
    draw = TestDraw(options.test_share, options.seed) if options.test_share else None
    seen = [_look(reader, options, draw, limit) for reader in readers]
    if draw is not None:
        for reader in readers:
            for frame in _first(reader.frames(_light(reader)), limit):
                draw.look(frame["sample_id"], _group_images(frame))
    return [_table(reader, one, draw, limit) for reader, one in zip(readers, seen, strict=True)]


def _table(reader: _Reader, seen: _Survey, draw: TestDraw | None, limit: int | None) -> HubTable:
    splits = _count_splits(reader, draw, limit)
    if not splits:
        msg = f"no {reader.what} to export; `pairwright status` shows where they went"
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
        _draw=draw,
        _limit=limit,
    )


class _Samples:
    """Samples that no decision drops, with their marks if there are any."""

    what, key, talk = "samples", "sample_id", "messages"

    def __init__(self, dataset: Dataset, options: TableOptions) -> None:
        self._dataset = dataset
        self.roots = dataset.sample_inputs()
        scores = dataset.pick("scores", options.scores, steps=("score",))
        self.columns = [
            Column(name="images", type=IMAGES, doc="the images, in the order they are shown"),
            Column(name="messages", type=MESSAGES, doc="the conversation"),
            *_described("samples", "sample_id", "image_ids", "source", "source_id", "license"),
            *_described("samples", "task", "criteria", "reference", "meta"),
        ]
        self._marks: pl.DataFrame | None = None
        if scores is not None:
            self.roots.append(scores)
            means = mean_marks(dataset.scan(scores), kind="sample")
            named = means.rename({"target_id": "sample_id", "mark": "score"})
            self._marks = named.collect(engine="streaming")
            self.columns.insert(2, Column(name="score", type=FLOAT, doc="mean mark of the judge"))

    def frames(self, names: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        from schemas.tables import TABLES

        columns = names or list(TABLES["samples"].columns())
        for frame in self._dataset.current_batches(columns):
            if names is None and self._marks is not None:
                frame = frame.join(self._marks, on="sample_id", how="left", maintain_order="left")
            sizes = _text_bytes("messages", "meta", "reference") if names is None else []
            yield frame.with_columns(sizes)


class _Pairs:
    """A run of pairs, with what their samples say of source, license, split and task."""

    what, key, talk = "pairs", "pair_id", "prompt"

    def __init__(self, dataset: Dataset, pairs: Manifest) -> None:
        self._dataset, self._pairs = dataset, pairs
        self.roots = [pairs, *dataset.sample_inputs()]
        self.columns = [
            Column(
                name="images", type=IMAGES, doc="the prompt's images, in the order they are shown"
            ),
            Column(name="prompt", type=MESSAGES, doc="the conversation up to the answer"),
            Column(name="chosen", type=MESSAGES, doc="the better answer, as an assistant's turn"),
            Column(name="rejected", type=MESSAGES, doc="the worse answer, as an assistant's turn"),
            *_described("pairs", "pair_id", "sample_id", "image_ids"),
            *_described("pairs", "chosen_score", "rejected_score", "margin", kind=FLOAT),
            *_described("pairs", "chosen_spans", "rejected_spans", kind=SPANS),
            *_described("pairs", "method", "control", "policy"),
            *_described("samples", "source", "license", "task"),
        ]
        used = dataset.scan(pairs).select("sample_id").unique()
        origin = dataset.union("samples").select("sample_id", "source", "license", "split", "task")
        self._origin = origin.join(used, on="sample_id", how="semi").collect(engine="streaming")

    def frames(self, names: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        self._dataset.scan(self._pairs)  # checks that all parts are there
        # A model in a local folder goes by the folder's name: its place is its author's machine's.
        policy = pl.col("policy").str.replace(r"^(?:[/~]|[A-Za-z]:).*[/\\]", "")
        columns = None if names is None else [n for n in names if n != "split"]
        for part in self._pairs.parts:
            frame = self._dataset.read_part(self._pairs, part, columns)
            if names is None:
                frame = frame.with_columns(policy, *_text_bytes("prompt", "chosen", "rejected"))
            yield frame.join(self._origin, on="sample_id", how="left", maintain_order="left")


@dataclass(slots=True)
class _Survey:
    """What a first look at the rows tells."""

    parts: bool
    has_images: bool = False
    has_rejected_images: bool = False


def _light(reader: _Reader) -> list[str]:
    """Columns that tell which split a row belongs to."""
    pairs = ["rejected_image_ids"] if reader.what == "pairs" else []
    return ["sample_id", "image_ids", "split", *pairs]


def _look(
    reader: _Reader, options: TableOptions, draw: TestDraw | None, limit: int | None
) -> _Survey:
    names = _light(reader)
    asks = options.content == "auto"
    seen = _Survey(parts=options.content == "parts")
    for frame in _first(reader.frames(names + [reader.talk] * asks), limit):
        seen.has_images |= bool(frame["image_ids"].list.len().sum())
        if "rejected_image_ids" in names:
            seen.has_rejected_images |= bool(frame["rejected_image_ids"].is_not_null().any())
        if asks and not seen.parts:
            with_images = frame.filter(pl.col("image_ids").list.len() > 0)[reader.talk]
            seen.parts = not all(images_in_front(messages) for messages in with_images)
        if draw is not None:
            draw.link(_group_images(frame))
    return seen


def _count_splits(reader: _Reader, draw: TestDraw | None, limit: int | None) -> dict[str, int]:
    """Rows by split, `train` and `validation` first.

    Raises:
        UsageError: If there are too many splits.
    """
    counts: Counter[str] = Counter()
    for frame in _first(reader.frames(_light(reader)), limit):
        counts.update(_split_names(frame, draw).to_list())
    if len(counts) > MOST_SPLITS:
        msg = f"the samples name {len(counts)} splits, which the Hub cannot show; use --test-share to make two"
        raise UsageError(msg)
    order = sorted(counts, key=lambda n: (n != "train", n != "validation", n))
    return {name: counts[name] for name in order}


def _columns(reader: _Reader, seen: _Survey) -> list[Column]:
    def kind(column: Column) -> pa.DataType:
        return PART_MESSAGES if seen.parts and column.name == reader.talk else column.type

    columns = [Column(name=c.name, type=kind(c), doc=c.doc) for c in reader.columns]
    if seen.has_rejected_images:
        doc = "images for the rejected side (visual DPO)"
        columns.insert(1, Column(name="rejected_images", type=IMAGES, doc=doc))
    if not seen.has_images:
        # TRL takes a data set with the column for one of images.
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


def _described(table: str, *names: str, kind: Any = STRING) -> list[Column]:
    """Columns that mean what the table's declaration says."""
    from schemas.tables import TABLES

    declared = TABLES[table].columns()
    return [
        Column(
            name=name,
            type=STRINGS if name == "image_ids" else kind,
            doc=declared[name].description or "",
        )
        for name in names
    ]


def _text_bytes(*names: str) -> list[pl.Expr]:
    """About how many bytes the texts of a row have."""
    total = pl.lit(_ROW_BYTES, dtype=pl.Int64)
    for name in names:
        if name in ("messages", "prompt"):
            contents = pl.element().struct.field("content").str.len_bytes()
            size = pl.col(name).list.eval(contents).list.sum()
        else:
            size = pl.col(name).str.len_bytes()
        total = total + size.fill_null(0).cast(pl.Int64)
    return [total.alias("n_bytes")]


def _group_images(frame: pl.DataFrame) -> list[list[str]]:
    """All images of every row, those of a rejected side included."""
    images: list[list[str]] = frame["image_ids"].to_list()
    if "rejected_image_ids" not in frame.columns:
        return images
    others = frame["rejected_image_ids"].to_list()
    return [mine + (other or []) for mine, other in zip(images, others, strict=True)]


def _split_names(frame: pl.DataFrame, draw: TestDraw | None) -> pl.Series:
    if draw is None:
        names = {name: split_name(name) for name in frame["split"].unique().to_list()}
        return pl.Series("split", [names[name] for name in frame["split"]], dtype=pl.String)
    # Pairs of one sample go together too.
    rows = zip(frame["sample_id"], _group_images(frame), strict=True)
    return pl.Series("split", ["test" if draw.is_test(*row) else "train" for row in rows])


def split_name(name: str | None) -> str:
    """A split's name as `datasets` allows it."""
    return re.sub(r"\W+", "_", name or "", flags=re.ASCII).strip("_")[:60] or "train"


def images_in_front(messages: Sequence[Message]) -> bool:
    """Whether all images stand before the text of the first user turn, where TRL puts them."""
    users = 0
    for message in messages:
        kinds = [part["type"] for part in content_parts(message["content"])]
        users += message["role"] == "user"
        if message["role"] == "user" and users == 1:
            kinds = kinds[kinds.count("image") :]
        if "image" in kinds:
            return False
    return True


def hub_messages(messages: Sequence[Message], *, parts: bool) -> list[dict[str, Any]]:
    """Messages in the form of the export.

    Args:
        messages: As our tables have them.
        parts: Contents as lists of parts; otherwise as text without image marks.
    """
    out: list[dict[str, Any]] = []
    for message in messages:
        pieces = content_parts(message["content"])
        if parts:
            content: Any = [{"type": p["type"], "text": p.get("text")} for p in pieces]
        elif any(piece["type"] == "image" for piece in pieces):
            content = "\n".join(p["text"] for p in pieces if p["type"] == "text")
        else:
            content = unescape(message["content"])
        out.append({"role": message["role"], "content": content})
    return out


def hub_row(row: dict[str, Any], table: HubTable, images: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the export.

    Args:
        row: A row of the table's frames.
        table: The table.
        images: Image values by id.
    """
    out = {column.name: row.get(column.name) for column in table.columns}
    for name, ids in (("images", "image_ids"), ("rejected_images", "rejected_image_ids")):
        if name in out:
            out[name] = [images[i] for i in row[ids] or []]
    for name in ("messages", "prompt"):
        if name in out:
            out[name] = hub_messages(row[name], parts=table.parts)
    for name in ("chosen", "rejected"):
        if name in out:
            out[name] = [{"role": "assistant", "content": row[name]}]
    return out
