"""JSON values one after another in a long text, read in parts.

A value that is not valid JSON costs that value: the reader finds where the next one begins.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Final

from curate.read.rows import RawRow, RowError

MAX_ROW_CHARS: Final = 64 << 20
_CHUNK_CHARS: Final = 1 << 20
_SPACE = re.compile(r"[\s,]*")
# A whole string, a bracket, or the quote of a string that does not end; possessive, so linear.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\]"]', re.DOTALL)
_FIRST_KEY = re.compile(r'\{\s*"((?:[^"\\]|\\.){1,100})"\s*:')
# Keys under which files of one object keep their rows.
WRAPPERS: Final = ("data", "rows", "samples", "examples", "items", "annotations", "questions")
# An object longer than this that has such a list is read element by element.
_WRAP_CHARS: Final = 16 << 20
_WRAPPED = re.compile(rf'"({"|".join(WRAPPERS)})"\s*:\s*\[\s*\{{')


class Window:
    """The part of a long text in which the next value is looked for."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        self._file = file
        self._decoder = json.JSONDecoder(parse_constant=no_value)
        self._text, self._at, self._ended = "", 0, False
        self._key: str | None = None

    def rows(self) -> Iterator[RawRow]:
        """All rows, and an error for each value that cannot be read."""
        number, in_array = 0, False
        while (char := self._next()) is not None:
            if char == "[" and not in_array:
                in_array, self._at = True, self._at + 1
            elif char == "]" and in_array:
                in_array, self._at = False, self._at + 1
            elif not number and not in_array and char == "{" and self._is_wrapper():
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
        """Whether the object that begins here is long and contains a list of rows."""
        while not self._ended and len(self._text) - self._at <= _WRAP_CHARS:
            self._more()
        if self._ended or _balanced_end(self._text, self._at, len(self._text)) is not None:
            return False
        return _WRAPPED.search(self._text, self._at) is not None

    def _inside(self) -> Iterator[RawRow]:
        """The first list of rows in an object that is too long for the memory."""
        self._at += 1
        number = 0
        while (char := self._next()) is not None and char != "}":
            key = self._value(number + 1)
            if key.error is not None or not isinstance(key.value, str) or self._next(":") is None:
                yield RawRow(number + 1, error=key.error or malformed(ValueError("no key: value")))
                return
            wanted = key.value in WRAPPERS and not number
            listed = self._next() == "["
            for row in self._elements(number) if listed else [self._value(number + 1)]:
                if row.error is not None or (wanted and listed and isinstance(row.value, dict)):
                    number = row.number
                    yield row

    def _elements(self, number: int) -> Iterator[RawRow]:
        """Elements of the list that begins here."""
        self._at += 1
        while (char := self._next()) is not None:
            if char == "]":
                self._at += 1
                return
            row = self._value(number + 1)
            number = row.number
            yield row
        detail = "the file ends before its list does: rows are missing"
        yield RawRow(number + 1, error=RowError("truncated_file", detail, stage="parse"))

    def _next(self, skip: str = "") -> str | None:
        """First character that is neither white space nor a comma (nor `skip`, once)."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                if skip and self._text[self._at] == skip:
                    skip, self._at = "", self._at + 1
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
                error, incomplete = too_deep(), False
            except json.JSONDecodeError as problem:
                # An error at the end of the window means that the row continues after it.
                incomplete = problem.pos >= len(self._text) - 16 or problem.msg.startswith(
                    "Unterminated"
                )
                error = malformed(problem)
            except ValueError as problem:
                error, incomplete = malformed(problem), False
            else:
                if isinstance(value, dict) and value:
                    self._key = next(iter(value))
                return RawRow(number, value)
            if incomplete and self._grow():
                continue
            return RawRow(number, error=self._skip() or error)

    def _grow(self) -> bool:
        """Read more, unless the row is too long or the file ends."""
        if self._ended or len(self._text) - self._at > MAX_ROW_CHARS:
            return False
        self._more()
        return True

    def _skip(self) -> RowError | None:
        """Move past a malformed row; returns an error if more than the row was lost."""
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
        detail = f"no row can be recognized in {lost:,} characters; the rest of the file is lost"
        return RowError("malformed_json", detail, stage="parse")

    def _following(self) -> int | None:
        """Where the next object with the usual first key begins.

        The usual key is that of the last valid row, or the first key that follows.
        """
        first = _FIRST_KEY.search(self._text, self._at)
        key = self._key or (first.group(1) if first else None)
        if key is None:
            return None
        pattern = re.compile(r'\{\s*"' + re.escape(json.dumps(key, ensure_ascii=False)[1:-1]) + '"')
        match = pattern.search(self._text, self._at + 1)
        return match.start() if match else None


def _spread(row: RawRow) -> list[RawRow]:
    """A list of objects instead of a row is a row for each of them, after a stray bracket."""
    value = row.value
    if not isinstance(value, list) or not any(isinstance(v, dict) for v in value):
        return [row]
    return [RawRow(number, item) for number, item in enumerate(value, start=row.number)]


def _balanced_end(text: str, start: int, limit: int) -> int | None:
    """Where the brackets that open at `start` are closed."""
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


def no_value(_: str) -> None:
    """NaN and Infinity are not JSON; they are read as missing values."""


def malformed(error: ValueError) -> RowError:
    """The error of a row that is not JSON."""
    return RowError("malformed_json", str(error), stage="parse")


def too_deep() -> RowError:
    """The error of a row with too many levels."""
    return RowError("too_deep", "more levels than can be read", stage="parse")
