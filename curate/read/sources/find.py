"""The source that the user names: one file, a folder, a glob or an installed data set."""

from __future__ import annotations

import re
from pathlib import Path

from curate.read.sources import easy_vqa
from curate.read.sources.folders import find_folder
from curate.read.sources.sniff import make_file
from curate.read.sources.source import Source, SourceFile, of_split, slug
from pairwright.errors import NotFoundError, UsageError


def find_source(text: str, split: str | None = None, subset: str | None = None) -> Source:
    """Find the source of a name.

    Args:
        text: A file, a folder, a glob, or `easy-vqa`.
        split: Split to take, if a source has several.
        subset: Configuration to take, if the README of a folder names several.

    Raises:
        NotFoundError: If nothing has that name.
        UsageError: If it could mean several sources.
        DataError: If the file is of no format that is read here.
    """
    path = Path(text)
    if text == "easy-vqa" and not path.exists():
        data, chosen = easy_vqa.folder(split), split or "train"
        file = SourceFile(name=chosen, path=data / "questions.json", kind="easy-vqa", split=chosen)
        return Source(name=f"easy-vqa-{chosen}", files=(file,), folder=data / "images")
    if path.is_dir():
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
    """Files that match a pattern, and the folder before its first wildcard."""
    wild = [number for number, part in enumerate(pattern.parts) if re.search(r"[*?\[]", part)]
    if not wild:
        return None
    parent = Path(*pattern.parts[: wild[0]])
    files = sorted(p for p in parent.glob("/".join(pattern.parts[wild[0] :])) if p.is_file())
    return (parent, files) if files else None
