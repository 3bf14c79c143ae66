"""Parquet, Arrow and CSV, row by row.

If the schema contains the features that `datasets` writes, the numbers of a ClassLabel are read as
their names.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from curate.read.rows import RawRow, RowError
from curate.read.sources.jsonfile import open_text
from curate.read.sources.jsonstream import MAX_ROW_CHARS
from pairwright.errors import DataError

_IMAGE_ROWS: Final = 64
_TEXT_ROWS: Final = 2_000


def read_parquet(path: Path) -> Iterator[RawRow]:
    """Rows of a Parquet file, a row group at a time.

    Raises:
        DataError: If it is not a Parquet file.
    """
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (OSError, ValueError) as error:
        msg = f"{path}: not a readable Parquet file ({error})"
        raise DataError(msg) from error
    number = 0
    with file:
        rows, names = _batch_size(file.schema_arrow), class_names(file.schema_arrow)
        for group in range(file.num_row_groups):
            end = number + file.metadata.row_group(group).num_rows
            try:
                for batch in file.iter_batches(rows, row_groups=[group]):
                    for row in _batch_rows(batch, number, names):
                        number = row.number
                        yield row
            except (OSError, ValueError) as error:
                detail = f"{end - number} rows of row group {group} cannot be read: {error}"
                yield RawRow(number + 1, error=RowError("malformed_parquet", detail, stage="parse"))
            number = end


def read_arrow(path: Path) -> Iterator[RawRow]:
    """Rows of an Arrow file, as `save_to_disk` writes them (stream) or Feather has them (file).

    Raises:
        DataError: If it is not an Arrow file.
    """
    import pyarrow as pa

    try:
        source = pa.memory_map(str(path))
        is_file = path.open("rb").read(6) == b"ARROW1"
        reader = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
    except (OSError, ValueError) as error:
        msg = f"{path}: not a readable Arrow file ({error})"
        raise DataError(msg) from error
    number = 0
    with source:
        rows, names = _batch_size(reader.schema), class_names(reader.schema)
        try:
            for batch in _record_batches(reader):
                # Offsets outside of the file would end the process, not the row.
                batch.validate(full=True)
                for start in range(0, batch.num_rows, rows):
                    for row in _batch_rows(batch.slice(start, rows), number, names):
                        number = row.number
                        yield row
        except (OSError, ValueError) as error:
            detail = f"the rest cannot be read: {error}"
            yield RawRow(number + 1, error=RowError("malformed_arrow", detail, stage="parse"))


def _record_batches(reader: Any) -> Iterator[Any]:
    if hasattr(reader, "num_record_batches"):
        for index in range(reader.num_record_batches):
            yield reader.get_batch(index)
    else:
        yield from reader


def _batch_size(schema: Any) -> int:
    """Rows to read at once: few if they contain images."""
    import pyarrow as pa

    kinds = [field.type for field in schema]
    while kinds:
        kind = kinds.pop()
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return _IMAGE_ROWS
        kinds += [kind.field(i).type for i in range(kind.num_fields)]
    return _TEXT_ROWS


def class_names(schema: Any) -> dict[str, list[str]]:
    """Names of the numbers of ClassLabel columns, by column."""
    try:
        info = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = info["info"]["features"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    if not isinstance(features, dict):
        return {}
    return {
        column: feature["names"]
        for column, feature in features.items()
        if isinstance(feature, dict)
        and feature.get("_type") == "ClassLabel"
        and isinstance(feature.get("names"), list)
    }


def _batch_rows(batch: Any, number: int, names: dict[str, list[str]]) -> Iterator[RawRow]:
    try:
        values = batch.to_pylist()
    except (ValueError, OverflowError):
        # A string that is not UTF-8, a date beyond Python's: only such a row is an error.
        for index in range(batch.num_rows):
            try:
                yield RawRow(number + 1 + index, batch.slice(index, 1).to_pylist()[0])
            except (ValueError, OverflowError) as error:
                error_row = RowError("malformed_value", str(error), stage="parse")
                yield RawRow(number + 1 + index, error=error_row)
        return
    for index, value in enumerate(values, start=number + 1):
        for column, classes in names.items():
            label = value.get(column)
            if isinstance(label, int) and 0 <= label < len(classes):
                value[column] = classes[label]
        yield RawRow(index, value)


def read_csv(path: Path) -> Iterator[RawRow]:
    """Rows of a CSV or TSV file with a header; empty cells are missing values.

    Raises:
        DataError: If there is no header.
    """
    csv.field_size_limit(MAX_ROW_CHARS)
    with open_text(path) as file:
        first = file.readline(MAX_ROW_CHARS)
    with open_text(path) as file:
        tabs = "\t" in first and (".tsv" in path.name.lower() or "," not in first)
        reader = csv.reader(file, delimiter="\t" if tabs else ",")
        header = next(_csv_rows(reader), None)
        if header is None or header.error or len(set(header.value)) != len(header.value):
            msg = f"{path}: needs a first line with the names of its columns, each once"
            raise DataError(msg)
        names = [name.strip() for name in header.value]
        for number, row in enumerate(_csv_rows(reader), start=1):
            if row.error is None and len(row.value) != len(names):
                detail = f"{len(row.value)} cells, the header has {len(names)}"
                row.error = RowError("wrong_columns", detail, stage="parse")
            row.number = number
            if row.error is None:
                row.value = {n: v or None for n, v in zip(names, row.value, strict=True)}
            yield row


def _csv_rows(reader: Any) -> Iterator[RawRow]:
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield RawRow(0, error=RowError("malformed_csv", str(error), stage="parse"))
            continue
        if cells:
            yield RawRow(0, cells)
