"""Columns of a user's own frame, by name: texts, and images in the forms that people have them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairwright.dataset.ids import content_hash
from pairwright.errors import UsageError
from pairwright.images import ImageError

if TYPE_CHECKING:
    import polars as pl


def column(frame: pl.DataFrame | pl.LazyFrame, name: str, option: str) -> pl.Series:
    """A column of a frame.

    Args:
        frame: The frame.
        name: The column's name.
        option: The argument that names it, for messages.

    Raises:
        UsageError: If there is none, or it should hold texts (all but `image`) and does not.
    """
    import polars as pl

    if not isinstance(frame, pl.DataFrame | pl.LazyFrame):
        kind: type[Any] = type(frame)
        package = kind.__module__.partition(".")[0]
        name = kind.__qualname__ if package == "builtins" else f"{package}.{kind.__qualname__}"
        hint = "; convert it with polars.from_pandas(...)" if package == "pandas" else ""
        msg = f"the frame must be a polars DataFrame or LazyFrame, got {name}{hint}"
        raise UsageError(msg)
    schema = frame.collect_schema()
    if name not in schema:
        near = difflib.get_close_matches(str(name), schema.names(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(schema.names())}"
        msg = f"{option}={name!r}: the frame has no such column; {hint}"
        raise UsageError(msg)
    series = frame.lazy().select(pl.col(name)).collect().to_series()
    if option != "image" and series.dtype in (pl.Categorical, pl.Enum, pl.Null):
        return series.cast(pl.String)
    if option != "image" and series.dtype != pl.String:
        msg = f"{option}={name!r}: must be a column of texts, it is {series.dtype}"
        raise UsageError(msg)
    return series


class ImageColumn:
    """Images of a frame's rows: bytes, paths, structs of both as `datasets` stores them, or lists."""

    def __init__(self, images: pl.Series) -> None:
        """Check the column's type.

        Raises:
            UsageError: If it holds no images.
        """
        import polars as pl

        self._images = images
        kind = images.dtype
        self._has_lists = isinstance(kind, pl.List)
        inner: Any = kind.inner if isinstance(kind, pl.List) else kind
        if isinstance(inner, pl.Struct) and {f.name for f in inner.fields} & {"bytes", "path"}:
            return
        if inner not in (pl.Binary, pl.String, pl.Null):
            msg = (
                f"image={images.name!r}: must be a column of bytes, paths, or structs of `bytes` and "
                f"`path`, it is {kind}"
            )
            raise UsageError(msg)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._images)

    def counts(self) -> Iterator[int]:
        """How many images each row has."""
        for row in range(len(self)):
            yield len(self._row(row))

    def is_missing(self, row: int) -> bool:
        """Whether a row, or an element of its list, is null. An empty list is not."""
        value: Any = self._images[row]
        return value is None or len(self._row(row)) < (len(value) if self._has_lists else 1)

    def keys(self, row: int) -> list[str]:
        """A name for each image of a row; equal names mean equal files."""
        return [one if isinstance(one, str) else content_hash(one) for one in self._row(row)]

    def read(self, row: int, number: int = 0) -> bytes:
        """Bytes of a row's image.

        Raises:
            ImageError: If its file cannot be read.
        """
        value = self._row(row)[number]
        if isinstance(value, bytes):
            return value
        try:
            return Path(value).read_bytes()
        except (OSError, ValueError) as error:
            raise ImageError("missing_image", f"row {row}, {value!r}: {error}") from error

    def _row(self, row: int) -> list[bytes | str]:
        value: Any = self._images[row]
        values = ([] if value is None else value) if self._has_lists else [value]
        return [one for value in values if (one := _content(value)) is not None]


def _content(value: Any) -> bytes | str | None:
    if isinstance(value, dict):
        value = value.get("path") if value.get("bytes") is None else value["bytes"]
    found: bytes | str | None = value
    return found
