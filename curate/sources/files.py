"""What SRC names: one file, a folder, a glob or an installed data set."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import xxhash

from curate.sources import easy_vqa, jsonfile, tablefile
from curate.sources.rows import RawRow
from pairwright.errors import DataError, NotFoundError, UsageError

_IMAGE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_SHARD = re.compile(r"([A-Za-z_]+)-\d{5}-of-\d{5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file of rows.

    Attributes:
        name: How row ids name it: its path in the source.
        path: Where it is.
        kind: `json`, `parquet`, `csv` or `easy-vqa`.
        split: Split that its name tells, as Hub repositories name their shards.
    """

    name: str
    path: Path
    kind: str
    split: str | None = None

    def rows(self) -> Iterator[RawRow]:
        """Its rows."""
        readers: dict[str, Callable[[Path], Iterator[RawRow]]] = {
            "json": jsonfile.read_json,
            "parquet": tablefile.read_parquet,
            "csv": tablefile.read_csv,
            "easy-vqa": easy_vqa.read_rows,
        }
        try:
            yield from readers[self.kind](self.path)
        except OSError as error:
            msg = f"{self.path}: cannot be read ({error.strerror or error})"
            raise DataError(msg) from error

    def fingerprint(self) -> str:
        """Size and hash of its content."""
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
    """

    name: str
    files: tuple[SourceFile, ...]
    folder: Path

    def rows(self) -> Iterator[tuple[SourceFile, RawRow]]:
        """Rows of all files."""
        for file in self.files:
            for row in file.rows():
                yield file, row

    def head(self, count: int = 50) -> list[dict[str, object]]:
        """The first rows that can be read, to tell the format by."""
        rows = (row.value for _, row in itertools.islice(self.rows(), count))
        return [value for value in rows if isinstance(value, dict)]


def find_source(text: str, split: str | None = None) -> Source:
    """Resolve SRC.

    Args:
        text: A file, a folder, a glob, or `easy-vqa`.
        split: Split to take, where a source has several.

    Raises:
        NotFoundError: If there is nothing of that name.
        UsageError: If it is a URL, or could mean several things.
        DataError: If the file is of no format that is read here.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        msg = f"{text}: sources are local files; download it first"
        raise UsageError(msg)
    path = Path(text)
    if text == "easy-vqa" and not path.exists():
        data, chosen = easy_vqa.folder(split), split or "train"
        file = SourceFile(name=chosen, path=data / "questions.json", kind="easy-vqa", split=chosen)
        return Source(name=f"easy-vqa-{chosen}", files=(file,), folder=data / "images")
    if path.is_dir():
        return _folder(path, split)
    if path.is_file():
        return Source(name=slug(path.stem), files=(_file(path, path.parent),), folder=path.parent)
    found = _glob(path)
    if found:
        parent, files = found
        shards = [_file(file, parent) for file in files]
        return _of_split(slug(parent.resolve().name), shards, parent, split)
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


def _folder(path: Path, split: str | None) -> Source:
    """The table of rows in a folder: its metadata file, its Parquet shards, or its only one."""
    name = slug(path.resolve().name)
    files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    top = [p for p in files if p.parent == path]
    tables = [p for p in top if p.suffix.lower() in (".jsonl", ".json", ".csv", ".tsv", ".parquet")]
    metadata = [p for p in tables if p.stem == "metadata"]
    shards = [p for p in files if p.suffix.lower() == ".parquet"]
    chosen = metadata or shards or tables
    if not chosen:
        pictures = sum(p.suffix.lower() in _IMAGE_SUFFIXES for p in files)
        msg = (
            f"{path}: {pictures} images but no table of rows; put a metadata.jsonl or metadata.csv "
            "there with the columns image, question and answer (or caption)"
        )
        raise DataError(msg)
    if len(chosen) > 1 and not shards:
        names = ", ".join(p.name for p in chosen[:5])
        msg = f"{path}: several files could be meant ({names}); name one, or use a glob"
        raise UsageError(msg)
    return _of_split(name, [_file(p, path) for p in chosen], path, split)


def _of_split(name: str, files: list[SourceFile], folder: Path, split: str | None) -> Source:
    named = [f for f in files if f.split == split] if split else []
    if named:
        return Source(name=slug(f"{name}-{split}"), files=tuple(named), folder=folder)
    return Source(name=name, files=tuple(files), folder=folder)


def _file(path: Path, root: Path) -> SourceFile:
    shard = _SHARD.match(path.name)
    return SourceFile(
        name=path.relative_to(root).as_posix(),
        path=path,
        kind=_sniff(path),
        split=shard.group(1) if shard else None,
    )


def _sniff(path: Path) -> str:
    """Kind of a file by its content; only CSV is told by its name."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic == b"PAR1":
            return "parquet"
        with jsonfile.open_text(path) as text:
            head = text.read(1 << 20)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error})"
        raise DataError(msg) from error
    if not head.strip():
        msg = f"{path}: the file is empty"
        raise DataError(msg)
    if jsonfile.looks_like_json(head):
        return "json"
    if path.suffix.lower() in (".csv", ".tsv"):
        return "csv"
    msg = f"{path}: neither JSON, JSON lines, Parquet nor CSV (begins with {head[:20]!r})"
    raise DataError(msg)
