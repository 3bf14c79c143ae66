"""Wordings that too many rows have in common."""

# ruff: noqa: RUF001 (quotes, stops and dashes of print and of other scripts are meant)

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from curate.filter.found import Found
from curate.filter.rows import WORD, Rows
from curate.filter.rules.base import Inputs, Reason, Rule
from curate.filter.rules.checks import check_counts, check_fractions
from pairwright.commands.options import option

if TYPE_CHECKING:
    import polars as pl

# Fraction of the texts from which on a word belongs to the wording, not to what was filled in.
_RARE = 0.05
_NAME = r"\p{Lu}[\p{L}\p{M}'’-]*(?:(?: of| the| de| von| van)? \p{Lu}[\p{L}\p{M}'’-]*)*"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplatedOptions:
    """What a wording is, and how many rows may have it."""

    max_template_fraction: float | None = option(
        None,
        help="max fraction of all rows that one wording may have, numbers and names left out; rows "
        "above it are removed (try 0.01)",
        aliases=("max_template_share",),
    )
    template_of: Literal["answer", "question", "both"] = option(
        "answer", help="whose wording counts"
    )
    template_mask: Literal["names", "rare"] = option(
        "names",
        help="what may differ in one wording: numbers, names and quotes (names), or also every "
        "word that under 5 % of the texts have (rare), as in `is there a _ in the image`",
    )
    template_words: int = option(6, help="texts of fewer words never count")
    template_rows: int = option(20, help="rows of a wording that are always kept")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_fractions(self, "max_template_fraction")
        check_counts(self, "template_words", "template_rows")


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
    """Wordings without the words that under 5 % of the texts have: what a generator filled in."""
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


def _wordings(rows: Rows, options: TemplatedOptions) -> pl.DataFrame:
    """`row`, `role`, `wording` of the texts that are long enough, each wording once a row."""
    import polars as pl

    roles = {"answer": ["assistant"], "question": ["user"]}.get(
        options.template_of, ["assistant", "user"]
    )
    turns = rows.turns.filter(pl.col("role").is_in(roles)).select(
        "row", "role", wording(pl.col("text")).alias("wording")
    )
    if options.template_mask == "rare":
        turns = _frames(turns)
    fixed = pl.col("wording").str.replace_all("_", "", literal=True)
    turns = turns.filter(fixed.str.count_matches(WORD) >= options.template_words)
    return turns.unique(["row", "role", "wording"], keep="first", maintain_order=True)


def find(rows: Rows, options: TemplatedOptions, inputs: Inputs) -> Iterator[Found]:
    """Rows whose wording is that of more of the set than one wording may be.

    As many rows of a wording are kept as the fraction allows, spread evenly over the set, and
    first those that no rule before this one removes.
    """
    import numpy as np
    import polars as pl

    most = options.max_template_fraction
    assert most is not None
    turns = _wordings(rows, options)
    cap = max(options.template_rows, int(most * len(rows)))
    order = pl.DataFrame(
        {
            "row": pl.int_range(len(rows), dtype=pl.UInt32, eager=True),
            "removed": inputs.removed,
            "mix": rows.samples["sample_id"].hash(seed=4),
        }
    )
    turns = turns.with_columns(pl.col("row").cast(pl.UInt32)).join(order, on="row")
    ranked = turns.sort("removed", "mix").with_columns(
        pl.len().over("role", "wording").alias("count"),
        pl.int_range(pl.len()).over("role", "wording").alias("rank"),
    )
    fraction = (pl.col("count") / len(rows)).alias("fraction")
    values = rows.spread(ranked.select("row", fraction), "fraction", "max")
    over = ranked.filter((pl.col("rank") >= cap) & (pl.col("count") > cap))
    removes = np.zeros(len(rows), dtype=bool)
    removes[over["row"].to_numpy()] = True
    whose = "answer or question" if options.template_of == "both" else options.template_of
    found = Found(
        "templated",
        f"an {whose} worded like more than {most:g} of the rows "
        f"(above {cap:,} rows)".replace("an question", "a question"),
        values, removes, threshold=cap / max(1, len(rows)),
        unit="fraction of the rows with the same wording",
    )  # fmt: skip
    for row, text, count in over.select("row", "wording", "count").iter_rows():
        found.evidence.setdefault(row, f"{count:,} rows: {text}")
    yield found


RULE = Rule(
    name="templated",
    reasons=(
        Reason(
            name="templated",
            words="wording that too many rows have in common",
            options=("max_template_fraction",),
        ),
    ),
    options=TemplatedOptions,
    find=find,
    presets={"llava": {"max_template_fraction": 0.01}},
)
