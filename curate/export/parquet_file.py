"""Parquet files as `datasets` 5 writes them itself (`Dataset.push_to_hub`).

Row groups of 100 MB, page indexes, chunks cut by content (so that a changed export shares chunks
with the last one), image bytes stored as they are, and the features that `datasets` reads in the
schema's metadata. A test compares the footer with one that `datasets` wrote.
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

INTEGER: Final = pa.int64()

# A reader has one group in memory, and the Hub's viewer refuses groups above 286 MiB.
GROUP_BYTES: Final = 100_000_000
# Rows that are kept as Python objects before they become Arrow.
_CHUNK_ROWS: Final = 500
# datasets.config.DEFAULT_CDC_OPTIONS, which it also writes into the footer.
CHUNKING: Final = {"min_chunk_size": 256 << 10, "max_chunk_size": 1 << 20, "norm_level": 0}


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
    """A type as `datasets` writes it."""
    if kind == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return {"feature": feature_of(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {kind.field(i).name: feature_of(kind.field(i).type) for i in range(kind.num_fields)}
    return {"dtype": _value_name(kind), "_type": "Value"}


def _value_name(kind: pa.DataType) -> str:
    return {pa.float64(): "float64", pa.int32(): "int32", pa.int64(): "int64"}.get(kind, "string")


def yaml_feature(name: str, kind: pa.DataType) -> dict[str, Any]:
    """A column as `datasets` lists it in the header of a README."""
    return {"name": name, **_yaml_type(kind)}


def _yaml_type(kind: pa.DataType) -> dict[str, Any]:
    if kind == IMAGE:
        return {"dtype": "image"}
    if pa.types.is_list(kind):
        inner = _yaml_type(kind.value_type)
        return {"list": inner.get("dtype") or inner.get("struct") or inner}
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return {"struct": [yaml_feature(field.name, field.type) for field in fields]}
    return {"dtype": _value_name(kind)}


class SplitWriter:
    """Writes one split as shards; used as a context manager.

    The number of shards is part of their names, so they get their names at the end.

    Attributes:
        n_rows: Rows so far.
        n_bytes: Their bytes as Arrow holds them.
        files: The shards, once the block is left.
    """

    def __init__(self, folder: Path, split: str, schema: pa.Schema, *, shard_bytes: int) -> None:
        """Prepare; files are made as rows come."""
        self._folder, self._split, self._schema = folder, split, schema
        self._shard_bytes = shard_bytes
        self._rows: list[dict[str, Any]] = []
        self._chunks: list[pa.Table] = []
        self._group = self._shard = 0
        self._writer: pq.ParquetWriter | None = None
        self.files: list[Path] = []
        self.n_rows = self.n_bytes = 0

    def __enter__(self) -> Self:
        """Nothing to open yet: a split without rows leaves no file."""
        return self

    def add(self, row: dict[str, Any], n_bytes: int) -> None:
        """Append a row of about so many bytes."""
        if self._group and self._group + n_bytes > min(GROUP_BYTES, self._shard_bytes):
            self._flush()
        if self._writer is not None and self._shard + self._group + n_bytes > self._shard_bytes:
            self._close()
        self._rows.append(row)
        self._group += n_bytes
        self.n_rows += 1
        if len(self._rows) >= _CHUNK_ROWS:
            self._settle()

    def _settle(self) -> None:
        """Turn rows into Arrow, which takes a fraction of the memory."""
        if self._rows:
            self._chunks.append(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []

    def _flush(self) -> None:
        self._settle()
        if not self._chunks:
            return
        if self._writer is None:
            path = self._folder / f".{self._split}-{len(self.files):05d}.parquet"
            self._folder.mkdir(parents=True, exist_ok=True)
            self.files.append(path)
            self._writer = _parquet_writer(path, self._schema)
        table = pa.concat_tables(self._chunks).combine_chunks()
        self._writer.write_table(table, row_group_size=table.num_rows)
        self.n_bytes += table.nbytes
        self._shard += self._group
        self._chunks, self._group = [], 0

    def _close(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.add_key_value_metadata({"content_defined_chunking": json.dumps(CHUNKING)})
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
        for number, path in enumerate(self.files):
            name = f"{self._split}-{number:05d}-of-{len(self.files):05d}.parquet"
            self.files[number] = path.rename(path.with_name(name))


def _parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    images: list[str] = []
    others: list[str] = []
    for field in schema:
        whole = field.type == IMAGE or field.type == IMAGES
        (images if whole else others).extend(_leaves(field.name, field.type))
    return pq.ParquetWriter(
        path,
        schema,
        # Images are compressed already, and equal bytes must make equal chunks.
        compression={**dict.fromkeys(images, "none"), **dict.fromkeys(others, "snappy")},
        use_dictionary=others,
        column_encoding=dict.fromkeys(images, "PLAIN"),
        write_page_index=True,
        use_content_defined_chunking=CHUNKING,
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
