"""Filters of what is said again: loops in one answer, turns of one conversation."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from curate.filter.found import Found, Rows, high

if TYPE_CHECKING:
    import polars as pl

# As Data-Juicer's and Gopher's: shorter runs repeat in any comparison of two things, point by point.
NGRAM = 10
# Below so many words an answer has too few n-grams to say anything.
MIN_WORDS = 15
# Scripts without spaces are counted by the sign, of which two make about a word.
_DENSE = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
_CHUNK = 100_000
_NOTED = 5_000
_WORD = r"[\p{Han}\p{Hiragana}\p{Katakana}]|[\p{L}\p{M}\p{N}]+"
_SAME_SIGN = "|".join(f"{sign}{{15,}}" for sign in "abcdefghijklmnopqrstuvwyz") + r"|!{15,}|\?{15,}"


def repetition(rows: Rows, most: float) -> Found:
    """Answers most of whose words stand in a run of ten that the answer has had before."""
    import polars as pl

    shares = pl.concat(
        [
            _shares(rows.answers.slice(start, _CHUNK))
            for start in range(0, max(1, rows.answers.height), _CHUNK)
        ]
    )
    values = rows.spread(shares, "share", "max")
    found = Found("repetition", f"over {most:g} of an answer's words only repeat", values,
                  high(values, most), cut=most, unit="share of an answer's words that repeat")  # fmt: skip
    victims = rows.answers.filter(pl.col("row").is_in(np.flatnonzero(found.removes)))
    for row, text in victims.head(_NOTED).select("row", "text").iter_rows():
        passage = _repeated(text)
        if passage:
            found.where.setdefault(row, passage)
    return found


def _repeated(text: str) -> str:
    """The passage that an answer says most often, and how often."""
    words = text.split()
    grams = Counter(" ".join(words[n : n + NGRAM]) for n in range(len(words) - NGRAM + 1))
    gram, count = max(grams.items(), key=lambda item: item[1], default=("", 0))
    return f"{count} times: {gram} ..." if count > 1 else ""


def _shares(answers: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    # Code repeats itself by nature.
    text = pl.col("text").str.replace_all(r"(?s)```.*?(?:```|$)", " ").str.to_lowercase()
    frame = answers.select("row", text.alias("text")).with_row_index("answer")
    words = frame.select(
        "answer",
        pl.col("text").str.extract_all(_WORD).alias("word"),
        pl.col("text").str.count_matches(_DENSE).alias("dense"),
    ).filter(pl.col("word").list.len() >= MIN_WORDS)
    dense = pl.col("dense") * 2 > pl.col("word").list.len()
    share = pl.concat([_share(words.filter(~dense), NGRAM), _share(words.filter(dense), 2 * NGRAM)])
    loops = pl.when(pl.col("text").str.contains(_SAME_SIGN)).then(1.0)
    return (
        frame.join(share, on="answer", how="left", maintain_order="left")
        .select("row", pl.max_horizontal("share", loops).alias("share"))
    )  # fmt: skip


def _share(words: pl.DataFrame, length: int) -> pl.DataFrame:
    import polars as pl

    flat = words.select("answer", "word").explode("word")
    if flat.is_empty():
        return pl.DataFrame(schema={"answer": pl.UInt32, "share": pl.Float64})
    covered = _covered(flat["answer"].to_numpy(), flat["word"].hash(seed=1).to_numpy(), length)
    return (
        flat.select(pl.col("answer").cast(pl.UInt32), pl.Series("covered", covered))
        .group_by("answer")
        .agg(pl.col("covered").mean().alias("share"))
    )


def _covered(owner: np.ndarray, hashes: np.ndarray, length: int) -> np.ndarray:
    """Words that belong to an n-gram which the same answer has had before."""
    import polars as pl

    n = len(owner) - length + 1
    if n < 1:
        return np.zeros(len(owner), dtype=bool)
    grams = np.zeros(n, dtype=np.uint64)
    for place in range(length):
        grams = grams * np.uint64(0x9E3779B97F4A7C15) + hashes[place : place + n]
    grams ^= owner[:n].astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    inside = owner[:n] == owner[length - 1 :]
    again = inside & ~pl.Series(grams).is_first_distinct().to_numpy()
    covered = np.zeros(len(owner), dtype=bool)
    for place in range(length):
        covered[place : place + n] |= again
    return covered


def repeated_turns(rows: Rows, most: int) -> Found:
    """Questions asked again, and answers of four words or more given again, in one conversation.

    Between two images the same question may come twice.
    """
    import polars as pl

    said = pl.col("text").str.to_lowercase().str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ")
    turns = rows.turns.filter(pl.col("role").is_in(["user", "assistant"])).select(
        "row", "turn", "role", "images", "text", said.str.strip_chars().alias("said")
    )
    long_enough = (pl.col("role") == "user") | (pl.col("said").str.count_matches(r"\S+") >= 4)
    turns = turns.filter(long_enough & (pl.col("said") != ""))
    again = ~pl.struct("row", "role", "images", "said").is_first_distinct()
    turns = turns.with_columns(again.cast(pl.Float64).alias("again"))
    values = rows.spread(turns, "again", "sum")
    found = Found("repeated_turn", f"more than {most} turns that were there before", values,
                  high(values, most), cut=most + 0.5, unit="turns that were there before")  # fmt: skip
    hits = turns.filter(pl.col("again") > 0).unique("row", keep="first", maintain_order=True)
    found.where = dict(zip(hits["row"].to_list(), hits["text"].to_list(), strict=True))
    return found
