"""Texts that are too short or too long: words of a turn, characters and turns of a conversation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.filter.found import Found, above, below
from curate.filter.rows import WORD, Rows
from curate.filter.rules.base import Inputs, Reason, Rule
from curate.filter.rules.checks import check_counts, check_order
from pairwright.commands.options import option

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthOptions:
    """Limits of lengths."""

    min_answer_words: int | None = option(None, help="min words of the longest answer")
    max_answer_words: int | None = option(None, help="max words of the longest answer")
    min_question_words: int | None = option(None, help="min words of the longest question")
    max_question_words: int | None = option(None, help="max words of the longest question")
    min_chars: int | None = option(None, help="min characters of the conversation")
    max_chars: int | None = option(None, help="max characters of the conversation")
    min_turns: int | None = option(None, help="min number of answers")
    max_turns: int | None = option(None, help="max number of answers")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name in ("answer_words", "question_words", "chars", "turns"):
            check_counts(self, f"min_{name}", f"max_{name}")
            check_order(self, f"min_{name}", f"max_{name}")


def find(rows: Rows, options: LengthOptions, _: Inputs) -> Iterator[Found]:
    """Rows of a length that is not wanted."""
    import polars as pl

    def total(value: pl.Expr, turns: pl.DataFrame, how: str) -> pl.Series:
        return rows.spread(turns.select("row", value.alias("value")), "value", how)

    words = pl.col("text").str.count_matches(WORD)
    o = options
    if o.min_answer_words is not None or o.max_answer_words is not None:
        values, unit = total(words, rows.answers, "max"), "words of the longest answer"
        yield _between("answer_words", values, o.min_answer_words, o.max_answer_words, unit)
    if o.min_question_words is not None or o.max_question_words is not None:
        values, unit = total(words, rows.questions, "max"), "words of the longest question"
        yield _between("question_words", values, o.min_question_words, o.max_question_words, unit)
    if o.min_chars is not None or o.max_chars is not None:
        values = total(pl.col("text").str.len_chars(), rows.turns, "sum")
        unit = "characters of the conversation"
        yield _between("characters", values, o.min_chars, o.max_chars, unit)
    if o.min_turns is not None or o.max_turns is not None:
        values = total(pl.lit(1), rows.answers, "sum").fill_null(0.0)
        yield _between("turns", values, o.min_turns, o.max_turns, "answers")


def _between(
    name: str, values: pl.Series, least: float | None, most: float | None, unit: str
) -> Found:
    import numpy as np

    removes, rule = np.zeros(len(values), dtype=bool), []
    if least is not None:
        removes |= below(values, least)
        rule.append(f"fewer than {least:,}")
    if most is not None:
        removes |= above(values, most)
        rule.append(f"more than {most:,}")
    return Found(
        name, f"{' or '.join(rule)} {unit}", values, removes,
        threshold=least if least is not None else most, removes_low=least is not None, unit=unit,
    )  # fmt: skip


RULE = Rule(
    name="lengths",
    reasons=(
        Reason(
            name="answer_words",
            words="answer too short or too long",
            options=("min_answer_words", "max_answer_words"),
            elsewhere="DJ `words_num_filter` (10), NeMo `WordCountFilter` (50): both remove every "
            "*yes*",
        ),
        Reason(
            name="question_words",
            words="question too short or too long",
            options=("min_question_words", "max_question_words"),
        ),
        Reason(
            name="characters",
            words="text too short or too long",
            options=("min_chars", "max_chars"),
            elsewhere="DJ `text_length_filter` (10)",
        ),
        Reason(name="turns", words="too few or too many turns", options=("min_turns", "max_turns")),
    ),
    options=LengthOptions,
    find=find,
)
