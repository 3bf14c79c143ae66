"""Kept samples or pairs as rows for the Hub: what TRL and `datasets` read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from curate.export_options import TableOptions
from curate.hubfile import (
    FLOAT,
    IMAGES,
    MESSAGES,
    PART_MESSAGES,
    SPANS,
    STRING,
    STRINGS,
    Column,
)
from curate.splits import draw_test_rows
from pairwright.conversation import Message, content_parts, unescape
from pairwright.errors import UsageError
from pairwright.manifest import Manifest
from pairwright.store import Dataset

MOST_SPLITS: Final = 50
_ROW_BYTES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class HubTable:
    """Rows to export.

    Attributes:
        what: `samples` or `pairs`.
        frame: Rows in order, without image bytes; `split` and `n_bytes` beside the columns.
        columns: Columns of the export.
        parts: Whether message contents are lists of parts.
        roots: Runs that the rows come from.
    """

    what: str
    frame: pl.DataFrame
    columns: list[Column]
    parts: bool
    roots: list[Manifest]


def hub_table(dataset: Dataset, options: TableOptions, *, limit: int | None = None) -> HubTable:
    """Choose and read what shall be exported.

    Raises:
        UsageError: If there is nothing to export.
    """
    pairs = None
    if options.what != "samples":
        pairs = dataset.pick("pairs", options.pairs, verbs=("build", "ingest"))
        if pairs is None and options.what == "pairs":
            msg = "there are no pairs to export: make some with `prefs build`"
            raise UsageError(msg)
    table = _samples(dataset, options, limit) if pairs is None else _pairs(dataset, pairs, limit)
    if table.frame.is_empty():
        msg = f"no {table.what} to export; `pairwright status` shows where they went"
        raise UsageError(msg)
    key = "messages" if table.what == "samples" else "prompt"
    parts = options.content == "parts" or (
        options.content == "auto"
        and not all(images_in_front(prompt) for prompt in table.frame[key].to_list())
    )
    columns = [
        Column(name=c.name, type=PART_MESSAGES if parts and c.name == key else c.type, doc=c.doc)
        for c in table.columns
    ]
    if not table.frame["image_ids"].list.len().sum():
        # TRL takes a data set with the column for one of images.
        columns = [c for c in columns if c.name not in ("images", "image_ids")]
    frame = _with_splits(table.frame, options)
    return HubTable(what=table.what, frame=frame, columns=columns, parts=parts, roots=table.roots)


def _samples(dataset: Dataset, options: TableOptions, limit: int | None) -> HubTable:
    frame = dataset.current_samples()
    if limit is not None:
        frame = frame.head(limit)
    roots = dataset.sample_inputs()
    scores = dataset.pick("scores", options.scores, verbs=("score",))
    columns = [
        Column(name="images", type=IMAGES, doc="the images, in the order they are shown"),
        Column(name="messages", type=MESSAGES, doc="the conversation"),
        *_described("samples", "sample_id", "image_ids", "source", "source_id", "licence"),
        *_described("samples", "task", "criteria", "reference", "meta"),
    ]
    if scores is not None:
        roots.append(scores)
        marks = dataset.scan(scores).filter(pl.col("target_kind") == "sample")
        means = marks.group_by("target_id").agg(score=pl.col("score").mean())
        frame = frame.join(
            means, left_on="sample_id", right_on="target_id", how="left", maintain_order="left"
        )
        columns.insert(2, Column(name="score", type=FLOAT, doc="mean mark of the judge"))
    rows = frame.with_columns(n_bytes=_text_bytes("messages", "meta", "reference")).collect()
    return HubTable(what="samples", frame=rows, columns=columns, parts=False, roots=roots)


def _pairs(dataset: Dataset, pairs: Manifest, limit: int | None) -> HubTable:
    # A model in a local folder goes by the folder's name: its place is only its author's machine's.
    frame = dataset.scan(pairs).with_columns(
        pl.col("policy").str.replace(r"^(?:[/~]|[A-Za-z]:).*[/\\]", "")
    )
    if limit is not None:
        frame = frame.head(limit)
    origin = dataset.union("samples").select("sample_id", "source", "licence", "split", "task")
    frame = frame.join(origin, on="sample_id", how="left", maintain_order="left")
    rows = frame.with_columns(n_bytes=_text_bytes("prompt", "chosen", "rejected")).collect()
    columns = [
        Column(name="images", type=IMAGES, doc="the prompt's images, in the order they are shown"),
        Column(name="prompt", type=MESSAGES, doc="the conversation up to the answer"),
        Column(name="chosen", type=MESSAGES, doc="the better answer, as an assistant's turn"),
        Column(name="rejected", type=MESSAGES, doc="the worse answer, as an assistant's turn"),
        *_described("pairs", "pair_id", "sample_id", "image_ids"),
        *_described("pairs", "chosen_score", "rejected_score", "margin", kind=FLOAT),
        *_described("pairs", "chosen_spans", "rejected_spans", kind=SPANS),
        *_described("pairs", "method", "control", "policy"),
        *_described("samples", "source", "licence", "task"),
    ]
    if rows["rejected_image_ids"].is_not_null().any():
        doc = "images for the rejected side (visual DPO)"
        columns.insert(1, Column(name="rejected_images", type=IMAGES, doc=doc))
    roots = [pairs, *dataset.sample_inputs()]
    return HubTable(what="pairs", frame=rows, columns=columns, parts=False, roots=roots)


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


def _text_bytes(*names: str) -> pl.Expr:
    """About how many bytes the texts of a row have."""
    total = pl.lit(_ROW_BYTES, dtype=pl.Int64)
    for name in names:
        if name in ("messages", "prompt"):
            contents = pl.element().struct.field("content").str.len_bytes()
            size = pl.col(name).list.eval(contents).list.sum()
        else:
            size = pl.col(name).str.len_bytes()
        total = total + size.fill_null(0).cast(pl.Int64)
    return total


def _with_splits(frame: pl.DataFrame, options: TableOptions) -> pl.DataFrame:
    """Add the split of every row, in order of the splits."""
    key = "pair_id" if "pair_id" in frame.columns else "sample_id"
    if options.test_share:
        images = frame["image_ids"].to_list()
        test = draw_test_rows(
            frame["sample_id"].to_list(), images, options.test_share, options.seed
        )
        names = pl.Series("split", ["test" if t else "train" for t in test])
    else:
        names = pl.Series("split", [split_name(name) for name in frame["split"].to_list()])
    if names.n_unique() > MOST_SPLITS:
        msg = f"the samples name {names.n_unique()} splits, which the Hub cannot show; use --test-share to make two"
        raise UsageError(msg)
    order = names.unique(maintain_order=True).to_list()
    order = sorted(order, key=lambda n: (n != "train", n != "validation", n))
    assert frame[key].n_unique() == frame.height
    return frame.with_columns(names).sort(
        pl.col("split").replace_strict(order, range(len(order))), maintain_order=True
    )


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


def hub_row(
    row: dict[str, Any], table: HubTable, images: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """One row of the export.

    Args:
        row: A row of the table's frame.
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
