"""JSON of any size, row by row: arrays, JSON lines, and objects that just follow each other.

A row that is not valid JSON costs that row: the reader finds where the next one begins.
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

MAX_ROW_CHARS: Final = 64 << 20
_CHUNK_CHARS: Final = 1 << 20
_SPACE = re.compile(r"[\s,]*")
# A whole string, a bracket, or the quote of a string that does not end; possessive, so linear.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\]"]', re.DOTALL)
_FIRST_KEY = re.compile(r'\{\s*"((?:[^"\\]|\\.){1,100})"\s*:')
# Keys under which files of one object keep their rows.
_WRAPPERS: Final = ("data", "rows", "samples", "examples", "items", "annotations", "questions")
# An object longer than this that has such a list is read element by element.
_WRAP_CHARS: Final = 16 << 20
_WRAPPED = re.compile(rf'"({"|".join(_WRAPPERS)})"\s*:\s*\[\s*\{{')


def looks_like_json(head: str) -> bool:
    """Whether the beginning of a file is JSON of a kind that is read here."""
    start = head.lstrip("\ufeff \t\r\n")
    if start.startswith("["):
        return re.match(r"\[\s*([\[{\]\"\d-]|true|false|null|$)", start) is not None
    return re.match(r"\{\s*([\"}]|$)", start) is not None or is_lines(head)


def is_lines(head: str) -> bool:
    """Whether the beginning of a file holds one object a line.

    The first twenty lines decide, so that broken ones among them do no harm.
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
    """Open text in UTF-8 (or UTF-16 with a mark); broken bytes become surrogates, row by row.

    Compressed files are decompressed on the way.
    """
    with open_binary(path) as file:
        mark = file.read(2)
    if mark in (b"\xff\xfe", b"\xfe\xff"):
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
        values = _read_lines(file) if is_lines(head) else _Window(file).rows()
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
    # A task of Label Studio has its fields in `data`, and annotations beside them.
    if not isinstance(value, dict) or isinstance(value.get("data"), dict):
        return None
    lists = [value[key] for key in _WRAPPERS if key in value]
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
        return RawRow(number, error=_too_deep())
    except ValueError as error:
        return RawRow(number, error=_broken(error))


class _Window:
    """A part of a long text, in which values are found one after another."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        self._file = file
        self._decoder = json.JSONDecoder(parse_constant=_constant)
        self._text, self._at, self._ended = "", 0, False
        self._key: str | None = None

    def rows(self) -> Iterator[RawRow]:
        number, in_array = 0, False
        while (mark := self._next()) is not None:
            if mark == "[" and not in_array:
                in_array, self._at = True, self._at + 1
            elif mark == "]" and in_array:
                in_array, self._at = False, self._at + 1
            elif not number and not in_array and mark == "{" and self._is_wrapper():
                yield from self._inside()
                return
            else:
                for row in _spread(self._value(number + 1)):
                    number = row.number
                    yield row
        if in_array:
            detail = "the file ends before its list does: rows are missing"
            yield RawRow(number + 1, error=RowError("truncated_file", detail, stage="parse"))

    def _is_wrapper(self) -> bool:
        """Whether the object that begins here is long, and holds a list of rows."""
        while not self._ended and len(self._text) - self._at <= _WRAP_CHARS:
            self._more()
        if self._ended or _balanced_end(self._text, self._at, len(self._text)) is not None:
            return False
        return _WRAPPED.search(self._text, self._at) is not None

    def _inside(self) -> Iterator[RawRow]:
        """The first list of rows in an object that is too long to be held."""
        self._at += 1
        number = 0
        while (mark := self._next()) is not None and mark != "}":
            key = self._value(number + 1)
            if key.error is not None or not isinstance(key.value, str) or self._next(":") is None:
                yield RawRow(number + 1, error=key.error or _broken(ValueError("no key: value")))
                return
            wanted = key.value in _WRAPPERS and not number
            listed = self._next() == "["
            for row in self._elements(number) if listed else [self._value(number + 1)]:
                if row.error is not None or (wanted and listed and isinstance(row.value, dict)):
                    number = row.number
                    yield row

    def _elements(self, number: int) -> Iterator[RawRow]:
        """Elements of the list that begins here."""
        self._at += 1
        while (mark := self._next()) is not None:
            if mark == "]":
                self._at += 1
                return
            row = self._value(number + 1)
            number = row.number
            yield row
        detail = "the file ends before its list does: rows are missing"
        yield RawRow(number + 1, error=RowError("truncated_file", detail, stage="parse"))

    def _next(self, behind: str = "") -> str | None:
        """First character that is neither white space nor a comma (nor `behind`, skipped once)."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                if behind and self._text[self._at] == behind:
                    behind, self._at = "", self._at + 1
                    continue
                return self._text[self._at]
            if self._ended:
                return None
            self._more()

    def _more(self) -> None:
        # The window doubles while a row does not fit, so a long row is parsed a few times only.
        self._text = self._text[self._at :]
        self._at = 0
        chunk = self._file.read(max(_CHUNK_CHARS, len(self._text)))
        self._text += chunk
        self._ended = not chunk

    def _value(self, number: int) -> RawRow:
        while True:
            try:
                value, self._at = self._decoder.raw_decode(self._text, self._at)
            except RecursionError:
                error, cut = _too_deep(), False
            except json.JSONDecodeError as problem:
                # An error at the end of the window means that the row goes on behind it.
                cut = problem.pos >= len(self._text) - 16 or problem.msg.startswith("Unterminated")
                error = _broken(problem)
            except ValueError as problem:
                error, cut = _broken(problem), False
            else:
                if isinstance(value, dict) and value:
                    self._key = next(iter(value))
                return RawRow(number, value)
            if cut and self._grow():
                continue
            return RawRow(number, error=self._skip() or error)

    def _grow(self) -> bool:
        """Read on, unless the row is too long or the file ends."""
        if self._ended or len(self._text) - self._at > MAX_ROW_CHARS:
            return False
        self._more()
        return True

    def _skip(self) -> RowError | None:
        """Go behind a broken row; a reason is returned if it took more than the row."""
        while True:
            following = self._following()
            end = _balanced_end(self._text, self._at, following or len(self._text))
            if end is not None or following is not None:
                self._at = end if end is not None else following or self._at
                return None
            if not self._grow():
                break
        lost = len(self._text) - self._at
        self._at = len(self._text)
        if self._ended:
            return None
        self._ended = True
        detail = f"no row can be told apart in {lost:,} characters; the rest of the file is lost"
        return RowError("broken_json", detail, stage="parse")

    def _following(self) -> int | None:
        """Where the next object with the usual first key begins.

        As long as no row was good, the key of this one is taken for usual, or else the next.
        """
        first = _FIRST_KEY.search(self._text, self._at)
        key = self._key or (first.group(1) if first else None)
        if key is None:
            return None
        pattern = re.compile(r'\{\s*"' + re.escape(json.dumps(key, ensure_ascii=False)[1:-1]) + '"')
        match = pattern.search(self._text, self._at + 1)
        return match.start() if match else None


def _spread(row: RawRow) -> list[RawRow]:
    """A list with objects in the place of a row is rows behind a stray bracket."""
    value = row.value
    if not isinstance(value, list) or not any(isinstance(v, dict) for v in value):
        return [row]
    return [RawRow(number, item) for number, item in enumerate(value, start=row.number)]


def _balanced_end(text: str, start: int, limit: int) -> int | None:
    """Where the brackets that open at `start` are closed again."""
    if text[start] not in "{[":
        match = re.compile(r"[{\[\],\n]").search(text, start + 1, limit)
        return match.start() if match else None
    depth = 0
    for match in _TOKEN.finditer(text, start, limit):
        token = match.group()
        if token == '"':
            return None
        if token in "{[":
            depth += 1
        elif token in "}]":
            depth -= 1
            if depth == 0:
                return match.end()
    return None


def _constant(_: str) -> None:
    """NaN and Infinity are no JSON; they mean that there is no value."""


# Made once: `json.loads` with options would make one a line.
_DECODE: Final = json.JSONDecoder(parse_constant=_constant).decode


def _broken(error: ValueError) -> RowError:
    return RowError("broken_json", str(error), stage="parse")


def _too_deep() -> RowError:
    return RowError("too_deep", "more nested than can be read", stage="parse")


def _too_large() -> RowError:
    return RowError("row_too_large", f"more than {MAX_ROW_CHARS:,} characters", stage="parse")
