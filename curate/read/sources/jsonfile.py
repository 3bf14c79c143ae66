"""JSON of any size, row by row: arrays, JSON lines, and objects one after another.

A row that is not valid JSON costs that row only.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from curate.read.rows import RawRow, RowError
from curate.read.sources.compressed import open_binary
from curate.read.sources.jsonstream import (
    MAX_ROW_CHARS,
    WRAPPERS,
    Window,
    malformed,
    no_value,
    too_deep,
)

_CHUNK_CHARS: Final = 1 << 20
# Made once: `json.loads` with options would make one for each line.
_DECODE: Final = json.JSONDecoder(parse_constant=no_value).decode


def looks_like_json(head: str) -> bool:
    """Whether the beginning of a file is JSON of a kind that is read here."""
    start = head.lstrip("\ufeff \t\r\n")
    if start.startswith("["):
        return re.match(r"\[\s*([\[{\]\"\d-]|true|false|null|$)", start) is not None
    return re.match(r"\{\s*([\"}]|$)", start) is not None or is_lines(head)


def is_lines(head: str) -> bool:
    """Whether the beginning of a file has one object per line.

    The first twenty lines decide, so malformed ones among them do no harm.
    """
    if head.lstrip("\ufeff \t\r\n").startswith("["):
        return False
    return any(_is_object(line) for line in head.lstrip("\ufeff").split("\n")[:20])


def _is_object(line: str) -> bool:
    if not line.startswith("{") or not line.rstrip().endswith("}"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def open_text(path: Path) -> io.TextIOWrapper:
    """Open text in UTF-8, or UTF-16 with a BOM; invalid bytes become surrogates.

    Compressed files are decompressed on the way.
    """
    with open_binary(path) as file:
        start = file.read(2)
    if start in (b"\xff\xfe", b"\xfe\xff"):
        return io.TextIOWrapper(open_binary(path), "utf-16", "replace", "\n")
    return io.TextIOWrapper(open_binary(path), "utf-8-sig", "surrogateescape", "\n")


def read_json(path: Path) -> Iterator[RawRow]:
    """Rows of a JSON file.

    A file that is one object with a list of objects under a usual name (`data`, `rows`, ...)
    yields that list.
    """
    with open_text(path) as file:
        head = file.read(_CHUNK_CHARS)
    with open_text(path) as file:
        values = _read_lines(file) if is_lines(head) else Window(file).rows()
        first, second = next(values, None), next(values, None)
        alone = (
            first is not None
            and second is None
            and not head.lstrip("\ufeff \t\r\n").startswith("[")
        )
        rows = _wrapped(first.value) if alone and first is not None else None
        if rows is not None:
            yield from (RawRow(number, row) for number, row in enumerate(rows, start=1))
            return
        yield from (row for row in (first, second) if row is not None)
        yield from values


def _wrapped(value: Any) -> list[Any] | None:
    # A task of Label Studio has its fields in `data`, and annotations next to it.
    if not isinstance(value, dict) or isinstance(value.get("data"), dict):
        return None
    lists = [value[key] for key in WRAPPERS if key in value]
    good = [rows for rows in lists if isinstance(rows, list) and rows and isinstance(rows[0], dict)]
    return good[0] if len(good) == 1 else None


def _read_lines(file: io.TextIOWrapper) -> Iterator[RawRow]:
    number = 0
    while line := file.readline(MAX_ROW_CHARS):
        number += 1
        if len(line) == MAX_ROW_CHARS and not line.endswith("\n"):
            while (rest := file.readline(_CHUNK_CHARS)) and not rest.endswith("\n"):
                pass
            yield RawRow(number, error=_too_large())
        elif line.strip():
            yield _parse_line(number, line)


def _parse_line(number: int, line: str) -> RawRow:
    try:
        return RawRow(number, _DECODE(line))
    except RecursionError:
        return RawRow(number, error=too_deep())
    except ValueError as error:
        return RawRow(number, error=malformed(error))


def _too_large() -> RowError:
    return RowError("row_too_large", f"more than {MAX_ROW_CHARS:,} characters", stage="parse")
