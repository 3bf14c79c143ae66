"""Parquet files as the Hub and `datasets` like them.

Row groups are sized by bytes, pages are indexed, chunks are cut by content (so that a changed
export shares chunks with the last one), image bytes are stored as they are, and the features that
`datasets` reads stand in the schema's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

STRING: Final = pa.string()
STRINGS: Final = pa.list_(pa.string())
FLOAT: Final = pa.float64()
IMAGE: Final = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
IMAGES: Final = pa.list_(IMAGE)
MESSAGES: Final = pa.list_(pa.struct([("role", STRING), ("content", STRING)]))
PARTS: Final = pa.list_(pa.struct([("type", STRING), ("text", STRING)]))
PART_MESSAGES: Final = pa.list_(pa.struct([("role", STRING), ("content", PARTS)]))
SPANS: Final = pa.list_(
    pa.struct([("start", pa.int32()), ("end", pa.int32()), ("text", STRING), ("kind", STRING)])
)

# The Hub's viewer refuses row groups above 286 MiB; a reader holds a group at a time.
GROUP_BYTES: Final = 96_000_000
_GROUP_ROWS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of an exported table."""

    name: str
    type: pa.DataType
    doc: str


def schema_of(columns: list[Column]) -> pa.Schema:
    """Arrow schema with the features that `datasets` reads."""
    features = {column.name: feature_of(column.type) for column in columns}
    info = json.dumps({"info": {"features": features}})
    fields = [(column.name, column.type) for column in columns]
    return pa.schema(fields, metadata={"huggingface": info})


def feature_of(kind: pa.DataType) -> Any:
    """A type as `datasets` writes it down."""
    if kind == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return {"feature": feature_of(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {kind.field(i).name: feature_of(kind.field(i).type) for i in range(kind.num_fields)}
    name = {pa.float64(): "float64", pa.int32(): "int32"}.get(kind, "string")
    return {"dtype": name, "_type": "Value"}


class SplitWriter:
    """Writes one split as shards; used as a context manager.

    The number of shards is part of their names, so they get their names at the end.
    """

    def __init__(self, folder: Path, split: str, schema: pa.Schema, *, shard_bytes: int) -> None:
        """Prepare; files are made as rows come."""
        self._folder, self._split, self._schema = folder, split, schema
        self._shard_bytes = shard_bytes
        self._rows: list[dict[str, Any]] = []
        self._group = self._shard = 0
        self._writer: pq.ParquetWriter | None = None
        self._files: list[Path] = []
        self.n_rows = 0

    def __enter__(self) -> Self:
        """Make the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def add(self, row: dict[str, Any], n_bytes: int) -> None:
        """Append a row of about so many bytes."""
        if self._rows and (
            self._group + n_bytes > min(GROUP_BYTES, self._shard_bytes)
            or len(self._rows) >= _GROUP_ROWS
        ):
            self._flush()
        if self._writer is not None and self._shard + self._group + n_bytes > self._shard_bytes:
            self._close()
        self._rows.append(row)
        self._group += n_bytes
        self.n_rows += 1

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._writer is None:
            path = self._folder / f".{self._split}-{len(self._files):05d}.parquet"
            self._files.append(path)
            self._writer = _parquet_writer(path, self._schema)
        table = pa.Table.from_pylist(self._rows, schema=self._schema)
        self._writer.write_table(table, row_group_size=len(self._rows))
        self._shard += self._group
        self._rows, self._group = [], 0

    def _close(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()
        self._writer, self._shard = None, 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the files their names."""
        if kind is not None:
            if self._writer is not None:
                self._writer.close()
            return
        self._close()
        for number, path in enumerate(self._files):
            name = f"{self._split}-{number:05d}-of-{len(self._files):05d}.parquet"
            path.rename(path.with_name(name))


def _parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    leaves = [leaf for field in schema for leaf in _leaves(field.name, field.type)]
    images = {leaf for leaf in leaves if leaf.rpartition(".")[2] == "bytes"}
    return pq.ParquetWriter(
        path,
        schema,
        # Images are compressed already, and equal bytes must make equal chunks.
        compression={leaf: "none" if leaf in images else "zstd" for leaf in leaves},
        use_dictionary=[leaf for leaf in leaves if leaf not in images],
        write_statistics=[leaf for leaf in leaves if leaf not in images],
        write_page_index=True,
        use_content_defined_chunking=True,
    )


def _leaves(name: str, kind: pa.DataType) -> Iterator[str]:
    """Paths of the Parquet columns of a field."""
    if pa.types.is_list(kind):
        yield from _leaves(f"{name}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for number in range(kind.num_fields):
            field = kind.field(number)
            yield from _leaves(f"{name}.{field.name}", field.type)
    else:
        yield name
