"""Rows of the tables of a dataset, whichever version of a table wrote them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pairwright.dataset.folder import DatasetFolder
from pairwright.dataset.manifest import Manifest, Part
from pairwright.errors import DataError

if TYPE_CHECKING:
    import polars as pl

    from schemas.tables import Table

# Below so many rows a frame the caller wants little memory: parts are then not read whole.
_WHOLE_PART = 25_000


class DatasetTables(DatasetFolder):
    """A dataset whose tables can be read."""

    def scan(self, manifest: Manifest) -> pl.LazyFrame:
        """Rows of one run, types checked against the declaration."""
        import polars as pl

        from schemas.tables import TABLES

        schema = TABLES[manifest.kind.partition("/")[0]]
        folder = self.path / manifest.kind / manifest.run
        files = [folder / part.name for part in manifest.parts if part.rows]
        if manifest.schema_version > schema.version:
            msg = f"{manifest.ref}: table version {manifest.schema_version} is newer than this pairwright knows ({schema.version}); upgrade"
            raise DataError(msg)
        if not files:
            columns = {n: c.dtype for n, c in schema.columns().items() if n != "vector"}
            return pl.LazyFrame(schema=columns)
        missing = [file for file in files if not file.is_file()]
        if missing:
            msg = f"{missing[0]}: listed in _table.json but not there; restore it or remake {manifest.ref} with --replace"
            raise DataError(msg)
        frame = pl.scan_parquet(files, glob=False)
        return frame if manifest.schema_version == schema.version else upgraded(frame, schema)

    def read_part(
        self, manifest: Manifest, part: Part, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Rows of one part, whichever version of the table wrote it.

        Args:
            manifest: Of the run.
            part: One of its parts.
            columns: Columns wanted; all if not given.
        """
        return next(self.part_frames(manifest, part, columns, sys.maxsize))

    def read(self, kind: str, run: str) -> pl.DataFrame:
        """All rows of a complete run."""
        manifest = self.pick(kind, run)
        assert manifest is not None
        return self.scan(manifest).collect()

    def union(self, kind: str) -> pl.LazyFrame:
        """Rows of all complete runs of a table, one a key (`images`, `samples`)."""
        import polars as pl

        from schemas.tables import TABLES

        schema = TABLES[kind]
        found = [m for m in self.runs(kind) if m.is_complete]
        if not found:
            return pl.LazyFrame(schema={n: c.dtype for n, c in schema.columns().items()})
        frame = pl.concat([self.scan(m) for m in found])
        return (
            frame
            if len(found) == 1
            else frame.unique(schema.primary_key(), keep="first", maintain_order=True)
        )

    def part_frames(
        self, manifest: Manifest, part: Part, columns: Sequence[str] | None, rows: int
    ) -> Iterator[pl.DataFrame]:
        """Rows of a part: whole, which is fastest, or some at a time."""
        import polars as pl

        from schemas.tables import TABLES

        schema = TABLES[manifest.kind.partition("/")[0]]
        file = self.path / manifest.kind / manifest.run / part.name
        if manifest.schema_version != schema.version:
            frame = upgraded(pl.scan_parquet(file, glob=False), schema)
            yield from frame.select(columns or pl.all()).collect().iter_slices(rows)
        elif rows >= _WHOLE_PART:
            yield pl.read_parquet(file, columns=list(columns) if columns else None, glob=False)
        else:
            import pyarrow.parquet as pq

            names = list(columns) if columns else None
            for batch in pq.ParquetFile(file, pre_buffer=False).iter_batches(rows, columns=names):
                yield pl.DataFrame(batch).select(names or pl.all())


def upgraded(frame: pl.LazyFrame, schema: type[Table]) -> pl.LazyFrame:
    """Rows of an older version of a table as the current one declares them."""
    import polars as pl

    written = frame.collect_schema().names()
    frame = frame.rename({old: new for old, new in schema.renamed.items() if old in written})
    known = frame.collect_schema()
    newer = {n: c.dtype for n, c in schema.columns().items() if n not in known}
    filled = frame.with_columns(pl.lit(None, t).alias(n) for n, t in newer.items())
    return filled.select(list(schema.columns()))
