"""Kept samples or pairs as a `datasets.Dataset`: the rows of the Hub export, without the files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from curate.export.hub import row_images
from curate.export.hub_rows import hub_row
from curate.export.images import ExportImages
from curate.export.options import TableOptions
from curate.export.parquet_file import schema_of
from curate.export.parquet_table import HubTable, hub_tables
from pairwright.commands.options import as_config
from pairwright.commands.progress import Progress, say
from pairwright.dataset.ids import config_hash
from pairwright.dataset.store import Dataset
from pairwright.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

# What TRL reads.
TRL_COLUMNS: Final = ("images", "messages", "prompt", "chosen", "rejected")
_BATCH_BYTES: Final = 64 << 20
_FORMAT: Final = 1


def to_datasets(
    dataset: Dataset,
    options: TableOptions,
    *,
    split: str | None = None,
    all_columns: bool = False,
) -> datasets.Dataset:
    """Rows of one table, mapped from an Arrow file in the cache of `datasets`.

    The file is named by what it was made of: the same rows are written once.

    Args:
        dataset: The dataset.
        options: What to take.
        split: The split; all rows if not given.
        all_columns: All columns of the Hub export, not those that TRL reads alone.

    Raises:
        UsageError: If there are no rows, or no such split.
        MissingExtraError: If `datasets` is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", "train") from error
    table = hub_tables(dataset, options)[0]
    if split is not None and split not in table.splits:
        msg = f"split={split!r}: there is none; the {table.what} have {', '.join(table.splits)}"
        raise UsageError(msg)
    columns = [c for c in table.columns if all_columns or c.name in TRL_COLUMNS]
    schema = schema_of(columns)
    roots = [(manifest.ref, manifest.fingerprint) for manifest in table.roots]
    key = config_hash([_FORMAT, roots, as_config(options), split, schema.names])
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "pairwright"
    file = folder / f"{table.what}-{key}.arrow"
    if not file.is_file():
        _write(dataset, table, split, schema, file)
    found: datasets.Dataset = datasets.Dataset.from_file(str(file))
    return found


def _write(
    dataset: Dataset, table: HubTable, split: str | None, schema: pa.Schema, file: Path
) -> None:
    """Write the file whole under a temporary name, then rename it.

    Raises:
        UsageError: If no row can be written.
    """
    import pyarrow as pa

    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as out, pa.ipc.new_stream(out, schema) as writer:
            n_rows = 0
            for rows in _batches(dataset, table, split):
                names = [{name: row[name] for name in schema.names} for row in rows]
                writer.write_batch(pa.RecordBatch.from_pylist(names, schema=schema))
                n_rows += len(rows)
        if not n_rows:
            msg = f"none of the {table.n_rows:,} {table.what} can be read"
            raise UsageError(msg)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _batches(
    dataset: Dataset, table: HubTable, split: str | None
) -> Iterator[list[dict[str, Any]]]:
    """Rows as the Hub export has them, some at a time."""
    images = ExportImages(dataset)
    rows: list[dict[str, Any]] = []
    n_bytes, lost = 0, 0
    with Progress(f"reading {table.what}", table.n_rows) as progress:
        for name in [split] if split is not None else list(table.splits):
            for batch in table.batches(name):
                for row in batch.iter_rows(named=True):
                    contents = row_images(row, table, images)
                    if isinstance(contents, tuple):
                        lost += 1
                        continue
                    values = {i: images.value(i, content) for i, content in contents.items()}
                    rows.append(hub_row(row, table.columns, values, parts=table.parts))
                    n_bytes += row["n_bytes"] + sum(map(len, contents.values()))
                    if n_bytes >= _BATCH_BYTES:
                        yield rows
                        rows, n_bytes = [], 0
                progress.advance(batch.height)
    if lost:
        say(f"{lost:,} {table.what} left out: their images cannot be read")
    if rows:
        yield rows
