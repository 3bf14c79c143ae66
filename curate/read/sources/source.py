"""A source: its files, each with a reader for its rows."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import xxhash

from curate.read.rows import RawRow, RowError
from curate.read.sources import easy_vqa, jsonfile, sidecar, tablefile, webdataset
from curate.read.sources.compressed import BROKEN, compression
from pairwright.errors import DataError, UsageError

_READERS: Final[dict[str, Callable[[Path], Iterator[RawRow]]]] = {
    "json": jsonfile.read_json,
    "parquet": tablefile.read_parquet,
    "arrow": tablefile.read_arrow,
    "csv": tablefile.read_csv,
    "tar": webdataset.read_tar,
    "files": sidecar.read_files,
    "easy-vqa": easy_vqa.read_rows,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file of rows.

    Attributes:
        name: Its path in the source, as row ids name it.
        path: Where it is.
        kind: `json`, `parquet`, `arrow`, `csv`, `tar`, `files` (a folder) or `easy-vqa`.
        split: Split that its name contains, as Hub repositories name their shards.
    """

    name: str
    path: Path
    kind: str
    split: str | None = None

    @property
    def images_in(self) -> str:
        """Folder that its image paths start from: a metadata file's own, else the source's."""
        place = PurePosixPath(self.name)
        inner = place.parent.as_posix()
        return inner if place.name.partition(".")[0] == "metadata" and inner != "." else ""

    def rows(self) -> Iterator[RawRow]:
        """Its rows; a truncated compressed file ends with an error row.

        Raises:
            DataError: If the file cannot be read.
        """
        number = 0
        try:
            for row in _READERS[self.kind](self.path):
                number = row.number
                yield row
        except (*BROKEN, OSError) as error:
            if isinstance(error, OSError) and compression(self.path) is None:
                msg = f"{self.path}: cannot be read ({error.strerror or error})"
                raise DataError(msg) from error
            detail = f"the compressed file is truncated here, the rest is lost: {error}"
            yield RawRow(number + 1, error=RowError("truncated_file", detail, stage="parse"))

    def fingerprint(self) -> str:
        """Size and hash of its content.

        Raises:
            DataError: If the file cannot be read.
        """
        if self.kind == "files":
            return sidecar.fingerprint(self.path)
        digest = xxhash.xxh3_128()
        try:
            with self.path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        except OSError as error:
            msg = f"{self.path}: cannot be read ({error.strerror or error})"
            raise DataError(msg) from error
        return f"{self.path.stat().st_size}-{digest.hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """All files of one ingest.

    Attributes:
        name: Default name of the source.
        files: In a fixed order.
        folder: Folder that relative image paths start from, by default.
        license: The license in its README.
    """

    name: str
    files: tuple[SourceFile, ...]
    folder: Path
    license: str | None = None

    def rows(self) -> Iterator[tuple[SourceFile, RawRow]]:
        """Rows of all files."""
        for file in self.files:
            for row in file.rows():
                yield file, row

    def head(self, count: int = 50) -> list[dict[str, Any]]:
        """The first rows that can be read, to detect the format by."""
        rows = (row.value for _, row in itertools.islice(self.rows(), count))
        return [value for value in rows if isinstance(value, dict)]


def slug(text: str) -> str:
    """A name as runs may have it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:100] or "source"


def of_split(
    name: str, files: list[SourceFile], folder: Path, split: str | None, license: str | None = None
) -> Source:
    """A source of all files, or of those of one split if their names contain splits.

    Raises:
        UsageError: If they contain other splits only.
    """
    splits = list(dict.fromkeys(f.split for f in files if f.split))
    if split and splits and len(splits) > 1 and split not in splits:
        msg = f"{folder}: has the splits {', '.join(splits)}, not {split!r}"
        raise UsageError(msg)
    named = [f for f in files if f.split == split] if split else []
    if named:
        name = slug(f"{name}-{split}")
    return Source(name=name, files=tuple(named or files), folder=folder, license=license)
