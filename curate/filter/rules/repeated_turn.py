"""Conversations in which a turn comes twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from curate.filter.found import Found, above
from curate.filter.rows import Rows
from curate.filter.rules.base import Inputs, Reason, Rule
from curate.filter.rules.checks import check_counts
from pairwright.commands.options import option


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOptions:
    """How many turns may be repeated."""

    max_repeated_turns: int | None = option(
        None, help="max questions or long answers that a conversation repeats (try 0)"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_counts(self, "max_repeated_turns")


def find(rows: Rows, options: TurnOptions, _: Inputs) -> Iterator[Found]:
    """Rows whose conversation has a question twice, or an answer of four words or more.

    After another image the same question may come again.
    """
    import polars as pl

    most = options.max_repeated_turns
    assert most is not None
    words = pl.col("text").str.to_lowercase().str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ")
    turns = rows.turns.filter(pl.col("role").is_in(["user", "assistant"])).select(
        "row", "turn", "role", "images", "text", words.str.strip_chars().alias("words")
    )
    long_enough = (pl.col("role") == "user") | (pl.col("words").str.count_matches(r"\S+") >= 4)
    turns = turns.filter(long_enough & (pl.col("words") != ""))
    again = ~pl.struct("row", "role", "images", "words").is_first_distinct()
    turns = turns.with_columns(again.cast(pl.Float64).alias("again"))
    values = rows.spread(turns, "again", "sum")
    found = Found("repeated_turn", f"more than {most} repeated turns", values,
                  above(values, most), threshold=most + 0.5, unit="repeated turns")  # fmt: skip
    hits = turns.filter(pl.col("again") > 0).unique("row", keep="first", maintain_order=True)
    found.evidence = dict(zip(hits["row"].to_list(), hits["text"].to_list(), strict=True))
    yield found


RULE = Rule(
    name="repeated_turn",
    reasons=(
        Reason(
            name="repeated_turn",
            words="a turn that comes twice in the conversation",
            options=("max_repeated_turns",),
        ),
    ),
    options=TurnOptions,
    find=find,
    presets={"basic": {"max_repeated_turns": 0}, "llava": {"max_repeated_turns": 0}},
)
