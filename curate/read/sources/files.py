"""What SRC names: one file, a folder, a glob or an installed data set."""

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
from curate.read.sources.compressed import BROKEN, compression, open_binary
from pairwright.errors import DataError, NotFoundError, UsageError

_SHARD = re.compile(r"([A-Za-z_]+)-\d{5}-of-\d{5}")
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
        name: How row ids name it: its path in the source.
        path: Where it is.
        kind: `json`, `parquet`, `arrow`, `csv`, `tar`, `files` (a folder) or `easy-vqa`.
        split: Split that its name tells, as Hub repositories name their shards.
    """

    name: str
    path: Path
    kind: str
    split: str | None = None

    @property
    def images_in(self) -> str:
        """Where its image paths start, seen from the source's folder: a metadata file's own place."""
        place = PurePosixPath(self.name)
        inner = place.parent.as_posix()
        return inner if place.name.partition(".")[0] == "metadata" and inner != "." else ""

    def rows(self) -> Iterator[RawRow]:
        """Its rows."""
        number = 0
        try:
            for row in _READERS[self.kind](self.path):
                number = row.number
                yield row
        except BROKEN as error:
            detail = f"the compressed file breaks here, what follows is lost: {error}"
            yield RawRow(number + 1, error=RowError("truncated_file", detail, stage="parse"))
        except OSError as error:
            if compression(self.path) is None:
                msg = f"{self.path}: cannot be read ({error.strerror or error})"
                raise DataError(msg) from error
            detail = f"the compressed file breaks here, what follows is lost: {error}"
            yield RawRow(number + 1, error=RowError("truncated_file", detail, stage="parse"))

    def fingerprint(self) -> str:
        """Size and hash of its content."""
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
        folder: Where relative image paths start, unless told.
        license: That its README states.
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
        """The first rows that can be read, to tell the format by."""
        rows = (row.value for _, row in itertools.islice(self.rows(), count))
        return [value for value in rows if isinstance(value, dict)]


def find_source(text: str, split: str | None = None, subset: str | None = None) -> Source:
    """Resolve SRC.

    Args:
        text: A file, a folder, a glob, or `easy-vqa`.
        split: Split to take, where a source has several.
        subset: Configuration to take, where the README of a folder names several.

    Raises:
        NotFoundError: If there is nothing of that name.
        UsageError: If it could mean several things.
        DataError: If the file is of no format that is read here.
    """
    path = Path(text)
    if text == "easy-vqa" and not path.exists():
        data, chosen = easy_vqa.folder(split), split or "train"
        file = SourceFile(name=chosen, path=data / "questions.json", kind="easy-vqa", split=chosen)
        return Source(name=f"easy-vqa-{chosen}", files=(file,), folder=data / "images")
    if path.is_dir():
        from curate.read.sources.folders import find_folder

        return find_folder(path, split, subset)
    if subset is not None:
        msg = f"--subset {subset}: {text} is no folder with a README that names configurations"
        raise UsageError(msg)
    if path.is_file():
        name = slug(path.name.partition(".")[0] or path.stem)
        return Source(name=name, files=(make_file(path, path.parent),), folder=path.parent)
    found = _glob(path)
    if found:
        parent, files = found
        shards = [make_file(file, parent) for file in files]
        return of_split(slug(parent.resolve().name), shards, parent, split)
    msg = f"{text}: no such file or folder"
    raise NotFoundError(msg)


def _glob(pattern: Path) -> tuple[Path, list[Path]] | None:
    """Files that a pattern names, and the folder in front of its first wildcard."""
    wild = [number for number, part in enumerate(pattern.parts) if re.search(r"[*?\[]", part)]
    if not wild:
        return None
    parent = Path(*pattern.parts[: wild[0]])
    files = sorted(p for p in parent.glob("/".join(pattern.parts[wild[0] :])) if p.is_file())
    return (parent, files) if files else None


def slug(text: str) -> str:
    """A name as runs may have it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:100] or "source"


def of_split(
    name: str, files: list[SourceFile], folder: Path, split: str | None, license: str | None = None
) -> Source:
    """A source of all files, or of those of one split where their names tell splits.

    Raises:
        UsageError: If they tell other splits only.
    """
    splits = list(dict.fromkeys(f.split for f in files if f.split))
    if split and splits and len(splits) > 1 and split not in splits:
        msg = f"{folder}: has the splits {', '.join(splits)}, not {split!r}"
        raise UsageError(msg)
    named = [f for f in files if f.split == split] if split else []
    if named:
        name = slug(f"{name}-{split}")
    return Source(name=name, files=tuple(named or files), folder=folder, license=license)


def make_file(path: Path, root: Path, split: str | None = None) -> SourceFile:
    """A file of a source, its kind told by its content."""
    shard = _SHARD.match(path.name)
    return SourceFile(
        name=path.relative_to(root).as_posix(),
        path=path,
        kind=_sniff(path),
        split=split or (shard.group(1) if shard else None),
    )


def _sniff(path: Path) -> str:
    """Kind of a file by its content; only CSV is told by its name."""
    try:
        with open_binary(path) as file:
            magic = file.read(512)
        kind = _binary_kind(magic, path)
        if kind is not None:
            return kind
        with jsonfile.open_text(path) as text:
            head = text.read(1 << 20)
    except (*BROKEN, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        msg = f"{path}: cannot be read ({reason})"
        raise DataError(msg) from error
    if not head.strip():
        msg = f"{path}: the file is empty"
        raise DataError(msg)
    if jsonfile.looks_like_json(head):
        return "json"
    if {".csv", ".tsv"} & {suffix.lower() for suffix in path.suffixes[-2:]}:
        return "csv"
    msg = (
        f"{path}: neither JSON, JSON lines, Parquet, Arrow, a tar archive nor CSV (begins with "
        f"{head[:20]!r})"
    )
    raise DataError(msg)


def _binary_kind(magic: bytes, path: Path) -> str | None:
    if magic.startswith(b"PAR1"):
        return "parquet"
    if magic.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    if webdataset.looks_like_tar(magic, path):
        return "tar"
    if magic.startswith(b"PK\x03\x04"):
        msg = f"{path}: a zip archive; unpack it first and name the folder"
        raise DataError(msg)
    return None
