"""A resolved ingest, and the rows of its source."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from curate.ingest.options import IngestOptions
from curate.read.fields import Naming, source_id
from curate.read.rows import RowError, printable
from curate.read.sources.source import Source

_T = TypeVar("_T")
STEP: Final = "ingest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A resolved ingest.

    Attributes:
        name: Name of the source, part of its ids.
        run: Name of the runs that are written.
        table: The table that the rows are for.
        kinds: Tables that are written, in the order of their dependence.
        folder: The only folder that image paths may lead to.
        config: Configuration to record.
        fingerprints: Of the source's files.
    """

    source: Source
    name: str
    run: str
    table: str
    kinds: tuple[str, ...]
    folder: Path
    naming: Naming
    options: IngestOptions
    limit: int | None
    replace: bool
    dry_run: bool
    config: dict[str, Any]
    fingerprints: dict[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the source with its ids.

    Attributes:
        row_id: File, number and id, as the rejects table names it.
        source_id: Id in the source, or its position there.
        split: Split of its file.
        value: The row.
        error: Why there is no value.
        images_in: Folder that its image paths start from, inside of the image folder.
    """

    row_id: str
    source_id: str
    split: str | None
    value: Any
    error: RowError | None
    images_in: str = ""


def rows_of(plan: Plan) -> Iterator[Row]:
    """Rows of the source, each with an id."""
    single = len(plan.source.files) == 1
    inner = {file.name: file.images_in for file in plan.source.files}
    if plan.options.image_folder is not None:
        inner = {}
    for file, raw in itertools.islice(plan.source.rows(), plan.limit):
        position = f"{file.name}#{raw.number}"
        row_id, found, error = position, None, raw.error
        if error is None and not isinstance(raw.value, dict):
            kind = type(raw.value).__name__
            error = RowError("not_an_object", f"the row is {kind}, not an object", stage="parse")
        if error is None:
            try:
                found = source_id(raw.value, plan.naming)
            except RowError as problem:
                error = problem
        if found is not None:
            row_id = f"{position} ({printable(found, 100)})"
        sid = found or (str(raw.number) if single else position)
        value = raw.value if error is None else None
        yield Row(row_id, sid, file.split, value, error, inner.get(file.name, ""))


def attempt(convert: Callable[..., _T], *arguments: Any) -> _T:
    """Call a function that converts a row.

    Raises:
        RowError: If anything goes wrong: it costs the row and not the ingest.
    """
    try:
        return convert(*arguments)
    except RowError:
        raise
    except Exception as error:
        # The one boundary between foreign rows and our code.
        detail = f"{type(error).__name__}: {error}"
        raise RowError("unexpected_error", detail) from error
