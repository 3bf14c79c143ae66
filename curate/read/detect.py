"""Telling the format of rows by the fields they have, and saying why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curate.read.formats.registry import FORMATS, Format
from curate.read.rows import printable
from pairwright.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What rows seem to be.

    Attributes:
        because: What tells it.
        others: Formats that fit them as well.
        share: Rows of the first ones that are of it, and how many were looked at.
        table: Table that they are for.
    """

    format: Format
    because: str
    others: tuple[str, ...]
    share: tuple[int, int]
    table: str

    def in_words(self) -> str:
        """The guess as a line for the user."""
        text = f"read as {self.format.meaning}, because its rows {self.because}"
        if self.share[0] < self.share[1]:
            text += f" ({self.share[0]} of the first {self.share[1]} do)"
        if self.others:
            text += f"; could also be {' or '.join(self.others)}"
        return f"{text}. --format NAME overrules"


def detect(rows: Sequence[dict[str, Any]], name: str) -> Guess:
    """The format that most of the first rows have.

    Args:
        rows: The first rows.
        name: What they are called, for errors.

    Raises:
        DataError: If none fits.
    """
    told = [[(one, why) for one in FORMATS.values() if (why := one.tell(row))] for row in rows]
    votes = Counter(found[0][0].name for found in told if found)
    if not votes:
        raise DataError(_unknown(rows, name))
    chosen = FORMATS[votes.most_common(1)[0][0]]
    mine = [found for found in told if found and found[0][0] is chosen]
    table = usual_table(chosen, rows)
    # Another name for the same reading is no other reading.
    others = Counter(
        one.name
        for found in mine
        for one, _ in found[1:]
        if one.makes.get(table) is not None and one.makes[table] is not chosen.makes[table]
    )
    return Guess(
        format=chosen,
        because=mine[0][0][1],
        others=tuple(n for n in FORMATS if others[n] * 2 > len(mine)),
        share=(len(mine), len(rows)),
        table=table,
    )


def usual_table(form: Format, rows: Sequence[dict[str, Any]]) -> str:
    """The table that most of the rows are for."""
    votes = Counter(table for row in rows if (table := form.usual(row)))
    found = [table for table, _ in votes.most_common() if table in form.makes]
    return found[0] if found else next(iter(form.makes))


def _unknown(rows: Sequence[dict[str, Any]], name: str) -> str:
    if not rows:
        return f"{name}: has no rows, or none of the first is an object that can be read"
    fields = ", ".join(printable(str(key), 40) for key in list(rows[0])[:12]) or "none"
    return (
        f"{name}: cannot tell the format by its fields ({fields}); give --format, and --question, "
        "--answer, --image for fields of other names (or --as responses for answers to samples that "
        "the dataset has)"
    )
