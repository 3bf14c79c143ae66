"""Answers without a letter, digit or symbol."""

from __future__ import annotations

from collections.abc import Iterator

from curate.filter.found import Found, above
from curate.filter.rows import Rows
from curate.filter.rules.base import Inputs, Reason, Rule
from pairwright.commands.choices import NoOptions


def find(rows: Rows, _: NoOptions, __: Inputs) -> Iterator[Found]:
    """Rows with an answer without a letter, digit or symbol; a row of questions alone has none."""
    import polars as pl

    bare = rows.answers.select(
        "row", (~pl.col("text").str.contains(r"[\p{L}\p{N}\p{S}]")).cast(pl.Float64).alias("bare")
    )
    values = rows.spread(bare, "bare", "sum")
    removes = above(values, 0)
    yield Found("empty_answer", "an answer without a letter, digit or symbol", values, removes,
                 threshold=0.5, unit="empty answers")  # fmt: skip


RULE = Rule(
    name="empty_answer",
    reasons=(Reason(name="empty_answer", words="empty answer"),),
    find=find,
    presets={"basic": {}, "llava": {}},
)
