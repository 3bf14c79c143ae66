"""The format of rows, detected from their fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curate.read.formats.base import Format
from curate.read.rows import printable
from pairwright.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """The format that rows seem to have.

    Attributes:
        because: The fields that it was detected by.
        others: Formats that fit the rows as well.
        matching: How many of the first rows have the format, and how many were checked.
        table: Table that the rows are for.
    """

    format: Format
    because: str
    others: tuple[str, ...]
    matching: tuple[int, int]
    table: str

    def in_words(self) -> str:
        """The guess as a line for the user."""
        text = f"read as {self.format.summary}, because its rows {self.because}"
        if self.matching[0] < self.matching[1]:
            text += f" ({self.matching[0]} of the first {self.matching[1]} do)"
        if self.others:
            text += f"; could also be {' or '.join(self.others)}"
        return f"{text}. --format NAME overrules"


def detect(rows: Sequence[dict[str, Any]], name: str, formats: Mapping[str, Format]) -> Guess:
    """The format that most of the first rows have.

    Args:
        rows: The first rows.
        name: Their name in errors.
        formats: By name, in the order in which they are tried.

    Raises:
        DataError: If none fits.
    """
    detected = [
        [(form, why) for form in formats.values() if (why := form.detect(row))] for row in rows
    ]
    votes = Counter(found[0][0].name for found in detected if found)
    if not votes:
        raise DataError(_unknown(rows, name))
    chosen = formats[votes.most_common(1)[0][0]]
    matching = [found for found in detected if found and found[0][0] is chosen]
    table = usual_table(chosen, rows)
    # Formats with the same converter read the rows the same way.
    others = Counter(
        form.name
        for found in matching
        for form, _ in found[1:]
        if form.makes.get(table) is not None and form.makes[table] is not chosen.makes[table]
    )
    return Guess(
        format=chosen,
        because=matching[0][0][1],
        others=tuple(n for n in formats if others[n] * 2 > len(matching)),
        matching=(len(matching), len(rows)),
        table=table,
    )


def usual_table(form: Format, rows: Sequence[dict[str, Any]]) -> str:
    """The table that most of the rows are for."""
    votes = Counter(table for row in rows if (table := form.table_of(row)))
    found = [table for table, _ in votes.most_common() if table in form.makes]
    return found[0] if found else next(iter(form.makes))


def _unknown(rows: Sequence[dict[str, Any]], name: str) -> str:
    if not rows:
        return f"{name}: has no rows, or none of the first ones is an object that can be read"
    fields = ", ".join(printable(str(key), 40) for key in list(rows[0])[:12]) or "none"
    return (
        f"{name}: the fields ({fields}) fit no format; give --format, and --question, --answer, "
        "--image for fields with other names (or --as responses for responses to samples that are "
        "in the dataset)"
    )
