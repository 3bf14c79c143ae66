"""The kind of a file, detected from its content."""

from __future__ import annotations

import re
from pathlib import Path

from curate.read.sources import jsonfile, webdataset
from curate.read.sources.compressed import BROKEN, open_binary
from curate.read.sources.source import SourceFile
from pairwright.errors import DataError

_SHARD = re.compile(r"([A-Za-z_]+)-\d{5}-of-\d{5}")


def make_file(path: Path, root: Path, split: str | None = None) -> SourceFile:
    """A file of a source.

    Args:
        path: The file.
        root: Folder of the source.
        split: Its split; by default the one that the name of a shard contains.

    Raises:
        DataError: If the file is of no kind that is read here.
    """
    shard = _SHARD.match(path.name)
    return SourceFile(
        name=path.relative_to(root).as_posix(),
        path=path,
        kind=_sniff(path),
        split=split or (shard.group(1) if shard else None),
    )


def _sniff(path: Path) -> str:
    """Kind of a file by its content; only CSV is detected from its name."""
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
