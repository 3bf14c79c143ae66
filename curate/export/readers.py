"""Readers of what is exported: kept samples, or pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import polars as pl

from curate.export.options import TableOptions
from curate.export.parquet_file import FLOAT, IMAGES, MESSAGES, SPANS, STRING, STRINGS, Column
from pairwright.dataset.manifest import Manifest
from pairwright.dataset.store import Dataset
from pairwright.scores import mean_scores

_ROW_BYTES: Final = 500


class RowReader(Protocol):
    """Reads the rows of a table that can be exported."""

    what: str
    key: str
    conversation: str
    roots: list[Manifest]
    columns: list[Column]

    def frames(self, names: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Rows in order, some at a time; all columns, or the named ones."""
        ...


class SampleRows:
    """Samples that no decision drops, with their scores if there are any."""

    what, key, conversation = "samples", "sample_id", "messages"

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
        self._scores: pl.DataFrame | None = None
        if scores is not None:
            self.roots.append(scores)
            means = mean_scores(dataset.scan(scores), kind="sample")
            named = means.rename({"target_id": "sample_id"})
            self._scores = named.collect(engine="streaming")
            self.columns.insert(2, Column(name="score", type=FLOAT, doc="mean score of the judge"))

    def frames(self, names: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """See `RowReader`."""
        from schemas.tables import TABLES

        columns = names or list(TABLES["samples"].columns())
        for frame in self._dataset.current_batches(columns):
            if names is None and self._scores is not None:
                frame = frame.join(self._scores, on="sample_id", how="left", maintain_order="left")
            sizes = _text_bytes("messages", "meta", "reference") if names is None else []
            yield frame.with_columns(sizes)


class PairRows:
    """A run of pairs, with the source, license, split and task of their samples."""

    what, key, conversation = "pairs", "pair_id", "prompt"

    def __init__(self, dataset: Dataset, pairs: Manifest) -> None:
        self._dataset, self._pairs = dataset, pairs
        self.roots = [pairs, *dataset.sample_inputs()]
        self.columns = [
            Column(
                name="images", type=IMAGES, doc="the prompt's images, in the order they are shown"
            ),
            Column(name="prompt", type=MESSAGES, doc="the conversation up to the response"),
            Column(name="chosen", type=MESSAGES, doc="the better response, as an assistant's turn"),
            Column(
                name="rejected", type=MESSAGES, doc="the worse response, as an assistant's turn"
            ),
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
        """See `RowReader`."""
        self._dataset.scan(self._pairs)  # checks that all parts are there
        # Of a model in a local folder only the folder's name is exported, not its path.
        policy = pl.col("policy").str.replace(r"^(?:[/~]|[A-Za-z]:).*[/\\]", "")
        columns = None if names is None else [n for n in names if n != "split"]
        for part in self._pairs.parts:
            frame = self._dataset.read_part(self._pairs, part, columns)
            if names is None:
                frame = frame.with_columns(policy, *_text_bytes("prompt", "chosen", "rejected"))
            yield frame.join(self._origin, on="sample_id", how="left", maintain_order="left")


def _described(table: str, *names: str, kind: Any = STRING) -> list[Column]:
    """Columns with the descriptions of the table's declaration."""
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
    """Approximate bytes of a row's texts."""
    total = pl.lit(_ROW_BYTES, dtype=pl.Int64)
    for name in names:
        if name in ("messages", "prompt"):
            contents = pl.element().struct.field("content").str.len_bytes()
            size = pl.col(name).list.eval(contents).list.sum()
        else:
            size = pl.col(name).str.len_bytes()
        total = total + size.fill_null(0).cast(pl.Int64)
    return [total.alias("n_bytes")]
