"""Parquet and CSV, row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from curate.sources.jsonfile import MAX_ROW_CHARS, open_text
from curate.sources.rows import RawRow, RowError
from pairwright.errors import DataError

# Rows carry images: few at a time.
_BATCH_ROWS: Final = 64


def read_parquet(path: Path) -> Iterator[RawRow]:
    """Rows of a Parquet file, a row group at a time.

    Raises:
        DataError: If it is no Parquet file.
    """
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (OSError, ValueError) as error:
        msg = f"{path}: not a readable Parquet file ({error})"
        raise DataError(msg) from error
    number = 0
    with file:
        for group in range(file.num_row_groups):
            end = number + file.metadata.row_group(group).num_rows
            try:
                for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group]):
                    for row in _batch_rows(batch, number):
                        number = row.number
                        yield row
            except (OSError, ValueError) as error:
                detail = f"{end - number} rows of row group {group} cannot be read: {error}"
                yield RawRow(number + 1, error=RowError("broken_parquet", detail, stage="parse"))
            number = end


def _batch_rows(batch: Any, number: int) -> Iterator[RawRow]:
    try:
        values = batch.to_pylist()
    except (ValueError, OverflowError):
        # A string that is not UTF-8, a date beyond Python's: told row by row.
        for index in range(batch.num_rows):
            try:
                yield RawRow(number + 1 + index, batch.slice(index, 1).to_pylist()[0])
            except (ValueError, OverflowError) as error:
                broken = RowError("broken_value", str(error), stage="parse")
                yield RawRow(number + 1 + index, error=broken)
        return
    for index, value in enumerate(values, start=number + 1):
        yield RawRow(index, value)


def read_csv(path: Path) -> Iterator[RawRow]:
    """Rows of a CSV or TSV file with a header; empty cells are missing values.

    Raises:
        DataError: If there is no header.
    """
    csv.field_size_limit(MAX_ROW_CHARS)
    with open_text(path) as file:
        first = file.readline(MAX_ROW_CHARS)
        file.seek(0)
        tabs = "\t" in first and (path.suffix.lower() == ".tsv" or "," not in first)
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
            yield RawRow(0, error=RowError("broken_csv", str(error), stage="parse"))
            continue
        if cells:
            yield RawRow(0, cells)
