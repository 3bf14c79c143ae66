"""Folders as sources: a Hub repository, `save_to_disk`, shards, or images with their table.

The YAML on top of a Hub repository's README lists the files of each split of each configuration (the
Hub's "Manual Configuration" page); without it, the splits come from the file names.
`save_to_disk` writes `dataset_dict.json` with the splits, and in each split's folder `state.json`
with the names of its Arrow files.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from curate.read.rows import printable
from curate.read.sources import sidecar
from curate.read.sources.sniff import make_file
from curate.read.sources.source import Source, SourceFile, of_split, slug
from curate.read.sources.webdataset import IMAGES
from pairwright.errors import DataError, UsageError

_TABLES: Final = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".ndjson")
_PACKED: Final = (".gz", ".bz2", ".xz", ".zst")
_ARCHIVES: Final = (".tar", ".tgz")
_SPLITS: Final = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
}
# Files that describe the data and contain no rows.
_ABOUT: Final = ("dataset_info", "dataset_infos", "dataset_dict", "state", "config", "_stats")


def find_folder(path: Path, split: str | None, subset: str | None) -> Source:
    """The source of a folder.

    Args:
        path: The folder.
        split: Split to take.
        subset: Configuration to take.

    Raises:
        DataError: If there is no table of rows.
        UsageError: If the folder could mean several sources.
    """
    name = slug(path.resolve().name)
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return of_split(name, _saved(path), path, split)
    card = _card(path)
    license = _license(card)
    configured = _configured(path, card, subset)
    if configured:
        label, files = configured
        return of_split(slug(f"{name}-{label}") if label else name, files, path, split, license)
    if subset is not None:
        msg = f"--subset {subset}: the README of {path} names no configurations"
        raise UsageError(msg)
    files = _listed(path)
    return of_split(name, files, path, split, license)


def _card(path: Path) -> dict[str, Any]:
    """The YAML on top of the README, empty if there is none that can be read."""
    import yaml

    readme = path / "README.md"
    try:
        text = readme.read_text(encoding="utf-8", errors="replace")[: 1 << 20]
    except OSError:
        return {}
    match = re.match(r"\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", text, re.DOTALL)
    if match is None:
        return {}
    try:
        # The loader in C, if there is one: cards with many configurations are long.
        found = yaml.load(match[1], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _license(card: dict[str, Any]) -> str | None:
    value = card.get("license")
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(value, str) or not value.strip() or value in ("other", "unknown"):
        return None
    return printable(value.strip(), 200)


def _configured(
    path: Path, card: dict[str, Any], subset: str | None
) -> tuple[str, list[SourceFile]] | None:
    """Name and files of the chosen configuration, if the README names any."""
    configs = [c for c in _as_list(card.get("configs")) if isinstance(c, dict)]
    configs = [c for c in configs if c.get("data_files")]
    if not configs:
        return None
    names = [_word(c.get("config_name"), "default") for c in configs]
    chosen = [c for c, n in zip(configs, names, strict=True) if n == (subset or "default")]
    if subset is None:
        chosen = chosen or [c for c in configs if c.get("default")]
        chosen = configs if len(configs) == 1 else chosen
    if len(chosen) != 1:
        what = f"has no configuration {subset!r}" if subset else "has several configurations"
        msg = f"{path}: {what}; its README names {', '.join(names[:20])}: take one with --subset"
        raise UsageError(msg)
    files = _of_config(path, chosen[0])
    if not files:
        msg = f"{path}: the files of the README's configuration do not exist"
        raise DataError(msg)
    name = _word(chosen[0].get("config_name"), "default")
    return ("" if name == "default" else name), files


def _of_config(path: Path, config: dict[str, Any]) -> list[SourceFile]:
    found = config["data_files"]
    prefix = _word(config.get("data_dir"), "")
    entries: list[tuple[str | None, list[Any]]] = []
    if isinstance(found, dict):
        entries = [(_word(split, "train"), _as_list(globs)) for split, globs in found.items()]
    elif isinstance(found, str):
        entries = [(None, [found])]
    else:
        for entry in _as_list(found):
            if isinstance(entry, dict) and "path" in entry:
                entries.append((_word(entry.get("split"), "train"), _as_list(entry["path"])))
            elif isinstance(entry, str):
                entries.append((None, [entry]))
    files: list[SourceFile] = []
    for split, globs in entries:
        for pattern in (glob for glob in globs if isinstance(glob, str)):
            paths = _matching(path, f"{prefix}/{pattern}" if prefix else pattern)
            files += [make_file(p, path, split or _split_of(p, path)) for p in paths]
    return files


def _word(value: Any, usual: str) -> str:
    """A short text; anything else, which YAML references can make endless, is ignored."""
    return printable(value, 200) if isinstance(value, str) and value else usual


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _matching(path: Path, pattern: str) -> list[Path]:
    """Tables of rows that match a pattern of the README, none outside of the folder."""
    pattern = pattern.lstrip("/")
    parts = Path(pattern).parts
    if ".." in parts or "://" in pattern:
        msg = f"{path}: its README names {printable(pattern, 200)!r}, which is not in the folder"
        raise DataError(msg)
    pattern = f"{pattern}/*" if pattern.endswith("**") else pattern
    try:
        found = sorted(set(path.glob(pattern))) if parts else []
    except (ValueError, NotImplementedError, OSError):
        return []
    root = path.resolve()
    inside = [p for p in found if p.is_file() and p.resolve().is_relative_to(root)]
    return [p for p in inside if _is_table(p) or _is_archive(p)]


def _saved(path: Path) -> list[SourceFile]:
    """Arrow files of `save_to_disk`."""
    if not (path / "dataset_dict.json").is_file():
        return _arrow_files(path, path, None)
    splits = _json(path / "dataset_dict.json").get("splits")
    if not isinstance(splits, list) or not all(isinstance(name, str) for name in splits):
        msg = f"{path / 'dataset_dict.json'}: names no splits"
        raise DataError(msg)
    files = []
    for name in splits:
        folder = (path / name).resolve()
        if not folder.is_relative_to(path.resolve()) or not folder.is_dir():
            msg = f"{path}: has no folder of the split {printable(name, 100)!r}"
            raise DataError(msg)
        files += _arrow_files(path / name, path, name)
    return files


def _arrow_files(folder: Path, root: Path, split: str | None) -> list[SourceFile]:
    state = _json(folder / "state.json")
    named = state.get("_data_files")
    if state.get("_indices_data_files"):
        msg = f"{folder}: saved with an indices file by an old `datasets`; load and save it again"
        raise DataError(msg)
    names = (
        [f.get("filename") for f in named if isinstance(f, dict)] if isinstance(named, list) else []
    )
    files = []
    for name in names:
        file = folder / str(name)
        if not file.resolve().is_relative_to(root.resolve()) or not file.is_file():
            msg = f"{folder}: state.json names {printable(str(name), 100)!r}, which does not exist"
            raise DataError(msg)
        found = state.get("_split")
        files.append(make_file(file, root, split or (found if isinstance(found, str) else None)))
    if not files:
        msg = f"{folder}: state.json names no files"
        raise DataError(msg)
    return files


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{path}: cannot be read ({error})"
        raise DataError(msg) from error
    return found if isinstance(found, dict) else {}


def _listed(path: Path) -> list[SourceFile]:
    """A metadata file, shards of one kind, or the only table in a folder."""
    files = sorted(p for p in path.rglob("*") if p.is_file())
    files = [p for p in files if not any(x.startswith(".") for x in p.relative_to(path).parts)]
    tables = [p for p in files if _is_table(p) and _name(p) not in _ABOUT]
    top = [p for p in tables if p.parent == path]
    archives = [p for p in files if _is_archive(p)]
    chosen = [p for p in top if _name(p) == "metadata"]
    if not chosen and sidecar.has_sidecars(files):
        return [SourceFile(name=".", path=path, kind="files")]
    for shards in (
        [p for p in tables if p.suffix.lower() == ".parquet"],
        archives,
        [p for p in tables if p.suffix.lower() == ".arrow"],
    ):
        chosen = chosen or shards
    if not chosen:
        chosen = _one_or_splits(path, top or tables)
    if not chosen:
        msg = _no_table(path, files)
        raise DataError(msg)
    return [make_file(p, path, _split_of(p, path)) for p in chosen]


def _one_or_splits(path: Path, tables: list[Path]) -> list[Path]:
    """The only table, or several whose names contain splits."""
    if len(tables) > 1 and not all(_split_of(p, path) for p in tables):
        names = ", ".join(p.relative_to(path).as_posix() for p in tables[:5])
        msg = f"{path}: several files could be meant ({names}); name one, or use a glob"
        raise UsageError(msg)
    return tables


def _no_table(path: Path, files: list[Path]) -> str:
    images = sum(p.suffix.lower().lstrip(".") in IMAGES for p in files)
    return (
        f"{path}: {images} images but no table of rows; put a metadata.jsonl or metadata.csv "
        "there with the columns image, question and answer (or caption), or a .txt file of the same "
        "name next to each image"
    )


def _split_of(path: Path, root: Path) -> str | None:
    """The split in a file's path, found as `datasets` finds it."""
    for part in reversed(path.relative_to(root).parts):
        for word in re.split(r"[^A-Za-z]+", part.partition(".")[0]):
            if word.lower() in _SPLITS:
                return _SPLITS[word.lower()]
    return None


def _name(path: Path) -> str:
    return path.name.partition(".")[0]


def _is_table(path: Path) -> bool:
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes = suffixes[:-1]
    return bool(suffixes) and suffixes[-1] in _TABLES


def _is_archive(path: Path) -> bool:
    suffixes = [s.lower() for s in path.suffixes[-2:]]
    return any(s in _ARCHIVES for s in suffixes)
