"""A folder of images, each with a text or JSON file of the same name.

An unpacked WebDataset, or a folder as captioning tools write it: `a.jpg` with `a.txt`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import xxhash

from curate.read.rows import ImageRef, RawRow, RowError, printable
from curate.read.sources.webdataset import IMAGES, sample_row

_TEXTS: Final = ("txt", "caption", "json")
_MAX_TEXT_BYTES: Final = 16 << 20


def has_sidecars(files: list[Path]) -> bool:
    """Whether most images among some files have a text of their name."""
    images = {_stem(path) for path in files if _suffix(path) in IMAGES}
    texts = {_stem(path) for path in files if _suffix(path) in _TEXTS}
    return bool(images) and 2 * len(images & texts) > len(images)


def read_files(folder: Path) -> Iterator[RawRow]:
    """One row for all files of one name."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in _files(folder):
        if _suffix(path) in (*IMAGES, *_TEXTS):
            groups[_stem(path.relative_to(folder))].append(path)
    for number, (key, paths) in enumerate(sorted(groups.items()), start=1):
        try:
            yield RawRow(number, _row(key, paths, folder))
        except RowError as error:
            yield RawRow(number, error=error)
        except OSError as error:
            detail = f"{printable(key, 200)}: {error}"
            yield RawRow(number, error=RowError("unreadable_file", detail, stage="parse"))


def _row(key: str, paths: list[Path], folder: Path) -> dict[str, object]:
    texts: dict[str, bytes] = {}
    images = []
    for path in paths:
        if _suffix(path) in IMAGES:
            images.append(ImageRef(path=path.relative_to(folder).as_posix()))
        elif path.is_symlink() or path.stat().st_size > _MAX_TEXT_BYTES:
            detail = (
                f"{printable(path.name, 200)} is a link, or larger than {_MAX_TEXT_BYTES:,} bytes"
            )
            raise RowError("row_too_large", detail, stage="parse")
        else:
            texts[_suffix(path)] = path.read_bytes()
    row = sample_row(key, texts)
    return {**row, "images": images} if images else row


def fingerprint(folder: Path) -> str:
    """Hash of the names and sizes of all files, and of the texts' contents."""
    digest = xxhash.xxh3_128()
    for path in _files(folder):
        size = path.lstat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode("utf-8", "replace"))
        if _suffix(path) in _TEXTS and not path.is_symlink() and size <= _MAX_TEXT_BYTES:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    found = []
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(where, name) for name in names if not name.startswith(".")]
    return sorted(found)


def _suffix(path: Path) -> str:
    return path.suffix.lower().lstrip(".")


def _stem(path: Path) -> str:
    return path.with_suffix("").as_posix()
