"""Filters of how much is said, and of wordings that too many rows share."""

# ruff: noqa: RUF001 (quotes, stops and dashes of print and of other scripts are meant)

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from curate.filter.found import Found, Rows, high, low
from curate.filter.options import FilterOptions

if TYPE_CHECKING:
    import polars as pl

# Scripts without spaces count by the sign.
WORD = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|[^\s\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]+"
# Share of the texts from which on a word belongs to the wording, not to what was filled in.
_RARE = 0.05
_NAME = r"\p{Lu}[\p{L}\p{M}'’-]*(?:(?: of| the| de| von| van)? \p{Lu}[\p{L}\p{M}'’-]*)*"


def lengths(rows: Rows, options: FilterOptions) -> Iterator[Found]:
    """Words of answers and questions, characters and turns of the conversation."""
    import polars as pl

    def total(value: pl.Expr, turns: pl.DataFrame, how: str) -> pl.Series:
        return rows.spread(turns.select("row", value.alias("value")), "value", how)

    words = pl.col("text").str.count_matches(WORD)
    if options.min_answer_words is not None or options.max_answer_words is not None:
        values = total(words, rows.answers, "max")
        least, most = options.min_answer_words, options.max_answer_words
        yield _between("answer_words", values, least, most, "words of the longest answer")
    if options.min_question_words is not None or options.max_question_words is not None:
        values = total(words, rows.questions, "max")
        least, most = options.min_question_words, options.max_question_words
        yield _between("question_words", values, least, most, "words of the longest question")
    if options.min_chars is not None or options.max_chars is not None:
        values = total(pl.col("text").str.len_chars(), rows.turns, "sum")
        least, most = options.min_chars, options.max_chars
        yield _between("characters", values, least, most, "characters of the conversation")
    if options.min_turns is not None or options.max_turns is not None:
        values = total(pl.lit(1), rows.answers, "sum").fill_null(0.0)
        yield _between("turns", values, options.min_turns, options.max_turns, "answers")


def _between(
    name: str, values: pl.Series, least: float | None, most: float | None, unit: str
) -> Found:
    removes, rule = np.zeros(len(values), dtype=bool), []
    if least is not None:
        removes |= low(values, least)
        rule.append(f"fewer than {least:,}")
    if most is not None:
        removes |= high(values, most)
        rule.append(f"more than {most:,}")
    return Found(
        name, f"{' or '.join(rule)} {unit}", values, removes,
        cut=least if least is not None else most, low_goes=least is not None, unit=unit,
    )  # fmt: skip


def wording(text: pl.Expr) -> pl.Expr:
    """A text with numbers, quotes and names (capitals within a sentence) left out."""
    return (
        text.str.replace_all(r"\"[^\"\n]{1,200}\"|“[^”\n]{1,200}”", "q")
        .str.replace_all(rf"(\p{{Ll}}[,;:]? (?:q )?)(?:{_NAME})", "${1}n")
        .str.replace_all(r"\d+(?:[.,:/x×-]\d+)*", "0")
        .str.to_lowercase()
        .str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ")
        .str.strip_chars()
    )


def _frames(turns: pl.DataFrame) -> pl.DataFrame:
    """Wordings with words of under a twentieth of the texts left out: what a generator filled in."""
    import polars as pl

    words = (
        turns.with_row_index("text_number")
        .select("text_number", "role", pl.col("wording").str.split(" ").alias("word"))
        .explode("word")
    )
    often = (
        words.unique(["text_number", "word"])
        .group_by("role", "word")
        .agg(pl.len().alias("count"))
        .join(turns.group_by("role").agg(pl.len().alias("texts")), on="role")
        .filter(pl.col("count") >= pl.col("texts") * _RARE)
        .select("role", "word", pl.lit(value=True).alias("often"))
    )
    joined = words.join(often, on=["role", "word"], how="left", maintain_order="left")
    word = pl.when(pl.col("often")).then("word").otherwise(pl.lit("_"))
    frames = joined.group_by("text_number", maintain_order=True).agg(word.str.join(" "))
    frame = frames["word"].str.replace_all(r"_(?: _)+", "_")
    return turns.with_columns(frame.alias("wording"))


def templated(rows: Rows, options: FilterOptions, gone: np.ndarray) -> Found:
    """Rows whose wording stands in more of the set than one wording may.

    As many rows of a wording stay as the share allows, those that no other filter removes first,
    spread evenly over the set.

    Args:
        rows: Samples.
        options: The most share of one wording, and whose wording counts.
        gone: Rows that other filters remove.
    """
    import polars as pl

    assert options.max_template_share is not None
    roles = {"answer": ["assistant"], "question": ["user"]}.get(
        options.template_of, ["assistant", "user"]
    )
    turns = rows.turns.filter(pl.col("role").is_in(roles)).select(
        "row", "role", "text", wording(pl.col("text")).alias("wording")
    )
    if options.template_mask == "rare":
        turns = _frames(turns)
    fixed = pl.col("wording").str.replace_all("_", "", literal=True)
    turns = turns.filter(fixed.str.count_matches(WORD) >= options.template_words).unique(
        ["row", "role", "wording"], keep="first", maintain_order=True
    )
    cap = max(options.template_rows, int(options.max_template_share * len(rows)))
    order = pl.DataFrame(
        {
            "row": pl.int_range(len(rows), dtype=pl.UInt32, eager=True),
            "gone": gone,
            "mix": rows.samples["sample_id"].hash(seed=4),
        }
    )
    turns = turns.with_columns(pl.col("row").cast(pl.UInt32)).join(order, on="row")
    ranked = turns.sort("gone", "mix").with_columns(
        pl.len().over("role", "wording").alias("count"),
        pl.int_range(pl.len()).over("role", "wording").alias("rank"),
    )
    share = (pl.col("count") / len(rows)).alias("share")
    values = rows.spread(ranked.select("row", share), "share", "max")
    over = ranked.filter((pl.col("rank") >= cap) & (pl.col("count") > cap))
    removes = np.zeros(len(rows), dtype=bool)
    removes[over["row"].to_numpy()] = True
    whose = "answer or question" if options.template_of == "both" else options.template_of
    found = Found(
        "templated",
        f"an {whose} worded like more than {options.max_template_share:g} of the rows "
        f"(above {cap:,} rows)".replace("an question", "a question"),
        values, removes, cut=cap / max(1, len(rows)), unit="share of the rows with the same wording",
    )  # fmt: skip
    for row, text, count in over.select("row", "wording", "count").iter_rows():
        found.where.setdefault(row, f"{count:,} rows: {text}")
    return found
