"""Answers that stop in the middle of a sentence."""

# ruff: noqa: RUF001 (quotes, stops and dashes of print and of other scripts are meant)

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.filter.found import Found, at_least
from curate.filter.rows import Rows
from curate.filter.rules.base import Inputs, Reason, Rule
from curate.filter.rules.checks import check_fractions
from pairwright.commands.options import option

if TYPE_CHECKING:
    import polars as pl

_END = r"[.!?。！？…।؟۔．⋯]['\"”’»)\]*_`]*$|[:;]-?[)D]$|[\p{So}\p{Sk}\x{FE0F}]$"
# Words that nothing can end with.
_OPEN = (
    r"(?i)(?:^|[\s(])(?:the|an|and|or|nor|but|its|their|whose|than|because|although|while|whereas|"
    r"such as|due to|which is|that is|which are|that are|as well as|in order to)$"
)
# Words that a statement seldom ends with; they count where its full stop is missing as well.
_SELDOM = (
    r"(?i)(?:^|[\s(])(?:a|of|to|in|into|on|onto|at|by|for|from|with|without|within|between|through|"
    r"about|as|is|are|was|were|be|been|being|has|have|had|he|she|they|we|i|it|that|which|who|when|"
    r"where|how|if|so|will|would|can|could|may|might|must|should|do|does|did|not|very|more|most|"
    r"also|often|every|each|his|her|our|your|my|these|those|other|another|such|until|upon|over|"
    r"under|after|before|during|indicates|shows|using|including|like)$|['’-]$"
)
_DANGLING = r"[(\[&+=–—]$"
# Human annotators end captions with a comma by mistake, so it counts after a closed sentence or in a long text.
_COMMA = r"[^)\s]\s*,$"
_BARE_MARKER = r"\n\s*(?:\d{1,3}[.)]|[-*•+])$"
_LIST_ITEM = (
    r"^\s*(?:[-*•+#>|]|\d{1,3}[.)]\s|\(?[a-zA-Z][.)]\s)|\|\s*$|^\s*\*\*[^*]+\*\*|^[^.!?]{0,60}:\s"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TruncationOptions:
    """How certain it must be."""

    truncation_certainty: float = option(
        0.8,
        help="1 takes only ends that nothing ends with, 0.5 any without a full stop",
        aliases=("cut_certainty",),
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_fractions(self, "truncation_certainty")


def find(rows: Rows, options: TruncationOptions, _: Inputs) -> Iterator[Found]:
    """Rows with an answer that stops in the middle of a sentence, by how certain that is.

    1: it ends with a word, symbol or list marker that nothing ends with, or within code. 0.8: earlier
    sentences are closed, the last is not and ends with a word that a statement seldom ends with,
    or with the beginning of a longer word. 0.5: the last sentence of several is not closed; 25 %
    of those in real answers merely lacked the full stop. Captions, list items, table rows,
    headings and code without a full stop are not looked at.
    """
    import polars as pl

    text = pl.col("text").str.strip_chars_end()
    answers = rows.answers.with_columns(
        text.alias("text"), text.str.split("\n").list.last().alias("line")
    )
    words = text.str.count_matches(r"\S+")
    fences = text.str.count_matches("```")
    never = text.str.contains(_BARE_MARKER) | (fences % 2 == 1)
    closed = text.str.contains(_END) | ((fences % 2 == 0) & text.str.ends_with("```"))
    comma = text.str.contains(_COMMA) & ((words >= 15) | text.str.contains(r"[.!?]\s"))
    dangling = text.str.contains(_OPEN) | text.str.contains(_DANGLING) | comma
    certain = (words >= 4) & dangling
    line = pl.col("line")
    sentences = line.str.count_matches(r"[\p{L}\p{N})\"”'][.!?]\s+[\p{Lu}\"“]")
    tail = line.str.extract(r"(?:.*[.!?]\s+)?(.*)$", 1)
    open_end = (
        (sentences >= 1)
        & (tail.str.count_matches(r"\S+") >= 2)
        & ~line.str.contains(_LIST_ITEM)
        & line.str.contains(r"[\p{L}\p{N}'’-]$")
    )
    certainties = answers.select(
        "row", "text",
        pl.when(never).then(1.0).when(closed).then(0.0).when(certain).then(1.0)
        .when(open_end & text.str.contains(_SELDOM)).then(0.8)
        .when(open_end).then(0.5).otherwise(0.0).alias("certainty"),
    )  # fmt: skip
    certainties = _truncated_words(certainties, rows)
    values = rows.spread(certainties, "certainty", "max")
    least = options.truncation_certainty
    removes = at_least(values, least)
    found = Found("truncated_answer", f"an answer that stops in the middle of a sentence ({least:g})",
                  values, removes, threshold=least, unit="0 closed, 0.5 no full stop, 1 surely truncated")  # fmt: skip
    ends = certainties.filter(pl.col("certainty") > 0).with_columns(
        pl.col("text").str.tail(70).alias("end")
    )
    found.evidence = dict(zip(ends["row"].to_list(), ("... " + ends["end"]).to_list(), strict=True))
    yield found


def _truncated_words(certainties: pl.DataFrame, rows: Rows) -> pl.DataFrame:
    """Be more certain of ends with a word that the set has only there, and longer words begin with."""
    import polars as pl

    last = pl.col("text").str.extract(r"(\p{Ll}{3,})$", 1)
    ends = (
        certainties.filter(pl.col("certainty") == 0.5)
        .select(last.alias("last"))
        .drop_nulls()["last"]
    )
    if ends.is_empty():
        return certainties
    words = rows.answers.select(
        pl.col("text").str.to_lowercase().str.extract_all(r"\p{L}{3,}").alias("word")
    )
    counts = words.explode("word").drop_nulls()["word"].value_counts()
    known = dict(counts.iter_rows())
    ordered = sorted(known)
    parts = [
        word
        for word in ends.unique().to_list()
        if known.get(word, 0) == 1
        and (after := bisect_right(ordered, word)) < len(ordered)
        and ordered[after].startswith(word)
    ]
    certainty = (
        pl.when((pl.col("certainty") == 0.5) & last.is_in(parts)).then(0.8).otherwise("certainty")
    )
    return certainties.with_columns(certainty.alias("certainty"))


RULE = Rule(
    name="truncated_answer",
    reasons=(
        Reason(
            name="truncated_answer",
            words="answer that is truncated",
            elsewhere="NeMo `PunctuationFilter` (0.85 of the sentences)",
        ),
    ),
    options=TruncationOptions,
    find=find,
    presets={"llava": {}},
)
