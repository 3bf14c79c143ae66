"""Answers that repeat themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.filter.found import Found, above
from curate.filter.rows import Rows
from curate.filter.rules.base import Inputs, Reason, Rule
from curate.filter.rules.checks import check_fractions
from pairwright.commands.options import option

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

# As Data-Juicer's and Gopher's: shorter runs repeat in any point-by-point comparison.
NGRAM = 10
# An answer of fewer words has too few n-grams to measure.
MIN_WORDS = 15
# Scripts without spaces are counted by characters, of which two make about a word.
_DENSE = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
_CHUNK = 100_000
_NOTED = 5_000
_WORD = r"[\p{Han}\p{Hiragana}\p{Katakana}]|[\p{L}\p{M}\p{N}]+"
_SAME_CHARACTER = (
    "|".join(f"{letter}{{15,}}" for letter in "abcdefghijklmnopqrstuvwyz") + r"|!{15,}|\?{15,}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepetitionOptions:
    """How much an answer may repeat."""

    max_repetition: float = option(
        0.4, help="max fraction of an answer's words that only repeat what it contains before"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_fractions(self, "max_repetition")


def find(rows: Rows, options: RepetitionOptions, _: Inputs) -> Iterator[Found]:
    """Rows with an answer most of whose words only repeat runs of ten that it contains before."""
    import numpy as np
    import polars as pl

    most = options.max_repetition
    fractions = pl.concat(
        [
            _fractions(rows.answers.slice(start, _CHUNK))
            for start in range(0, max(1, rows.answers.height), _CHUNK)
        ]
    )
    values = rows.spread(fractions, "fraction", "max")
    found = Found("repetition", f"over {most:g} of an answer's words only repeat", values,
                  above(values, most), threshold=most, unit="fraction of an answer's words that repeat")  # fmt: skip
    dropped = rows.answers.filter(pl.col("row").is_in(np.flatnonzero(found.removes)))
    for row, text in dropped.head(_NOTED).select("row", "text").iter_rows():
        passage = _repeated(text)
        if passage:
            found.evidence.setdefault(row, passage)
    yield found


def _repeated(text: str) -> str:
    """The passage that an answer repeats most often, and how often."""
    words = text.split()
    grams = Counter(" ".join(words[n : n + NGRAM]) for n in range(len(words) - NGRAM + 1))
    gram, count = max(grams.items(), key=lambda item: item[1], default=("", 0))
    return f"{count} times: {gram} ..." if count > 1 else ""


def _fractions(answers: pl.DataFrame) -> pl.DataFrame:
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
    fraction = pl.concat(
        [_fraction(words.filter(~dense), NGRAM), _fraction(words.filter(dense), 2 * NGRAM)]
    )
    loops = pl.when(pl.col("text").str.contains(_SAME_CHARACTER)).then(1.0)
    return (
        frame.join(fraction, on="answer", how="left", maintain_order="left")
        .select("row", pl.max_horizontal("fraction", loops).alias("fraction"))
    )  # fmt: skip


def _fraction(words: pl.DataFrame, length: int) -> pl.DataFrame:
    import polars as pl

    flat = words.select("answer", "word").explode("word")
    if flat.is_empty():
        return pl.DataFrame(schema={"answer": pl.UInt32, "fraction": pl.Float64})
    covered = _covered(flat["answer"].to_numpy(), flat["word"].hash(seed=1).to_numpy(), length)
    return (
        flat.select(pl.col("answer").cast(pl.UInt32), pl.Series("covered", covered))
        .group_by("answer")
        .agg(pl.col("covered").mean().alias("fraction"))
    )


def _covered(owner: np.ndarray, hashes: np.ndarray, length: int) -> np.ndarray:
    """Words that belong to an n-gram which the same answer contains before."""
    import numpy as np
    import polars as pl

    n = len(owner) - length + 1
    if n < 1:
        return np.zeros(len(owner), dtype=bool)
    grams = np.zeros(n, dtype=np.uint64)
    for step in range(length):
        grams = grams * np.uint64(0x9E3779B97F4A7C15) + hashes[step : step + n]
    grams ^= owner[:n].astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    inside = owner[:n] == owner[length - 1 :]
    again = inside & ~pl.Series(grams).is_first_distinct().to_numpy()
    covered = np.zeros(len(owner), dtype=bool)
    for step in range(length):
        covered[step : step + n] |= again
    return covered


RULE = Rule(
    name="repetition",
    reasons=(
        Reason(
            name="repetition",
            words="answer that repeats itself",
            elsewhere="DJ `word_repetition_filter` (n 10, 0.5); NeMo "
            "`RepeatingDuplicateNGramsFilter` (n 2, 0.2)",
        ),
    ),
    options=RepetitionOptions,
    find=find,
    presets={"basic": {}, "llava": {}},
)
