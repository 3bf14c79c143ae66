"""WebDataset: tar archives in which the files of one sample share their name up to the first dot.

As the WebDataset library and `datasets` read them: `000.jpg`, `000.json`, `000.txt` one after another
are one sample with the key `000`; the part after the first dot of the file name is the field. img2dataset writes `jpg`, `txt` (the caption) and `json` (with `caption`, `url`, `key`).
Several images are `000.0.jpg`, `000.1.jpg`. Archives may be compressed; they are read in one pass,
nothing is unpacked to disk, links and devices are not followed.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

from curate.read.rows import RawRow, RowError, printable
from curate.read.sources.compressed import BROKEN, open_binary
from curate.read.sources.jsonstream import MAX_ROW_CHARS
from pairwright.images import MAX_BYTES

IMAGES: Final = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "ppm", "avif")
_TEXTS: Final = ("txt", "text", "caption", "question", "answer", "cls", "cls2", "id", "class")
_MAX_FIELDS: Final = 2000
_MAX_NAME: Final = 4000
# The library's own rule: the key ends at the first dot after the last slash.
_NAME = re.compile(r"((?:.*/|)[^./][^.]*)\.([^/]+)")


class _Sample:
    """The files of one key."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.fields: dict[str, bytes] = {}
        self.error: RowError | None = None

    def fail(self, reason: str, detail: str) -> None:
        self.error = self.error or RowError(reason, detail, stage="parse")


def looks_like_tar(head: bytes, path: Path) -> bool:
    """Whether the (decompressed) beginning of a file is that of an archive."""
    if head[257:262] == b"ustar":
        return True
    if ".tar" not in path.suffixes and path.suffix != ".tgz":
        return False
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def read_tar(path: Path) -> Iterator[RawRow]:
    """Samples of an archive, one row per key."""
    number = 0
    try:
        with open_binary(path) as file, tarfile.open(fileobj=file, mode="r|") as archive:
            for item in _samples(archive):
                number += 1
                if isinstance(item, RowError):
                    yield RawRow(number, error=item)
                else:
                    yield _row(number, item)
    except (*BROKEN, tarfile.TarError, OSError) as error:
        detail = f"the archive is truncated or malformed here, the rest is lost: {error}"
        yield RawRow(number + 1, error=RowError("malformed_archive", detail, stage="parse"))


def _samples(archive: tarfile.TarFile) -> Iterator[_Sample | RowError]:
    sample: _Sample | None = None
    for member in archive:
        # The library keeps a list of all members it has seen.
        archive.members = []  # type: ignore[attr-defined]
        name = PurePosixPath(member.name)
        if member.isdir() or name.name.startswith(".") or name.name == "@PaxHeader":
            continue
        known = len(member.name) <= _MAX_NAME
        match = _NAME.fullmatch(member.name.removeprefix("./")) if known else None
        problem = _unsafe(member, name, matched=match is not None)
        if problem is not None:
            yield problem
            continue
        assert match is not None
        key, field = match[1], match[2].lower()
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            sample = _Sample(key)
        _take(archive, member, sample, field)
    if sample is not None:
        yield sample


def _unsafe(member: tarfile.TarInfo, name: PurePosixPath, *, matched: bool) -> RowError | None:
    shown = printable(member.name, 200)
    if not member.isreg():
        detail = f"{shown} is a link or device, which is not followed"
        return RowError("unsafe_member", detail, stage="parse")
    if name.is_absolute() or ".." in name.parts:
        detail = f"{shown} leads out of the archive"
        return RowError("unsafe_member", detail, stage="parse")
    if not matched:
        detail = f"{shown} has no extension that gives its kind"
        return RowError("unnamed_member", detail, stage="parse")
    return None


def _take(archive: tarfile.TarFile, member: tarfile.TarInfo, sample: _Sample, field: str) -> None:
    kind = field.rpartition(".")[2]
    if kind not in IMAGES and kind not in _TEXTS and kind not in ("json", "jsonl"):
        return
    limit = MAX_BYTES if kind in IMAGES else MAX_ROW_CHARS
    if member.size > limit:
        sample.fail("row_too_large", f"{field} has {member.size:,} bytes, the limit is {limit:,}")
    elif field in sample.fields:
        sample.fail("duplicate_member", f"{field} occurs twice")
    elif len(sample.fields) >= _MAX_FIELDS:
        sample.fail("too_many_members", f"more than {_MAX_FIELDS:,} files")
    elif sample.error is None:
        content = archive.extractfile(member)
        sample.fields[field] = b"" if content is None else content.read(limit)


def _row(number: int, sample: _Sample) -> RawRow:
    if sample.error is not None:
        return RawRow(number, error=sample.error)
    try:
        return RawRow(number, sample_row(sample.key, sample.fields))
    except RowError as error:
        return RawRow(number, error=error)


def sample_row(key: str, fields: dict[str, bytes]) -> dict[str, Any]:
    """Files of one sample as a row.

    Args:
        key: Its key.
        fields: Contents by the part after the first dot of their names.

    Raises:
        RowError: If a text is not UTF-8, or JSON is malformed or not an object.
    """
    row: dict[str, Any] = {}
    images: dict[str, bytes] = {}
    texts: dict[str, str] = {}
    for field, content in fields.items():
        stem, _, kind = field.rpartition(".")
        if kind in IMAGES:
            images[field] = content
        elif kind in ("json", "jsonl"):
            row |= _json(field, content)
        else:
            texts[stem or _text_field(kind)] = _text(field, content)
    row = {**texts, **row, "id": row.get("id", row.get("key", key))}
    if images:
        row["images"] = _in_order(row, key, images)
    return row


def _text_field(kind: str) -> str:
    return {"cls": "label", "cls2": "label", "class": "label", "txt": "text"}.get(kind, kind)


def _text(field: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RowError("invalid_unicode", f"{field}: {error}", stage="parse") from error


def _json(field: str, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(_text(field, content), parse_constant=lambda _: None)
    except RecursionError as error:
        raise RowError(
            "too_deep", f"{field}: more levels than can be read", stage="parse"
        ) from error
    except ValueError as error:
        raise RowError("malformed_json", f"{field}: {error}", stage="parse") from error
    if isinstance(value, list) and value and all(isinstance(turn, dict) for turn in value):
        return {"messages" if "role" in value[0] else "conversations": value}
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise RowError("not_an_object", f"{field} is {kind}, not an object", stage="parse")
    return value


def _in_order(row: dict[str, Any], key: str, images: dict[str, bytes]) -> list[bytes]:
    """Images in the order in which the row names them, else by their numbers."""
    names = row.get("images", row.get("image"))
    names = [names] if isinstance(names, str) else names
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        base = PurePosixPath(key).name
        fields = [
            PurePosixPath(name).name.lower().removeprefix(f"{base.lower()}.") for name in names
        ]
        if set(fields) == set(images):
            return [images[field] for field in fields]
    numbers = {field: [int(n) for n in re.findall(r"\d+", field)] for field in images}
    return [images[field] for field in sorted(images, key=lambda f: (numbers[f], f))]
