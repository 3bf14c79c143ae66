"""What a format declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from curate.read.fields import Naming
from curate.read.rows import Draft
from pairwright.commands.choices import NoOptions

Row = dict[str, Any]
Converter = Callable[[Row, Naming], Draft]


def never(_: Row) -> None:
    """The answer of formats that rows are never detected as, and of rows without a usual table."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format of rows.

    Attributes:
        name: As `--format` takes it; its file has the same name, with `_` for `-`.
        summary: What it is, in a few words, for messages.
        rows: What its rows look like, in Markdown, for the table in the documentation.
        makes: What makes a draft of a row, by the table that it is for; the first one is the
            usual table.
        detect: Why a row is of this format ("have question and answer"), or `None` if it is not.
        table_of: Table that a row is for; `None`: the first one of `makes`.
        also: A second table for some rows, by the first one: its name, and whether a row has
            something for it.
        source: Kind of source whose rows are always of this format, whatever their fields.
        options: Dataclass of its own options, which become options of `curate ingest`; converters
            find them in `naming.options`.
        note: What is worth knowing about its license.
    """

    name: str
    summary: str
    rows: str
    makes: Mapping[str, Converter]
    detect: Callable[[Row], str | None] = never
    table_of: Callable[[Row], str | None] = never
    also: Mapping[str, tuple[str, Callable[[Row], bool]]] = field(default_factory=dict)
    source: str | None = None
    options: type[Any] = NoOptions
    note: str | None = None

    @property
    def tables(self) -> str:
        """The tables that its rows can become, in words."""
        return ", ".join(
            f"{table} (with {self.also[table][0]})" if table in self.also else table
            for table in self.makes
        )
