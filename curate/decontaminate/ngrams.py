"""Long benchmark texts, found by their word n-grams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curate.near.text.minhash import shingle

if TYPE_CHECKING:
    import polars as pl

    from curate.decontaminate.options import DecontaminateOptions

# A row with so many n-grams of a text may contain a fraction that is this much lower.
_MANY, _LESS = 10, 0.2


class NgramIndex:
    """An inverted index of the n-grams of long texts.

    `_ngrams` has g sorted hashes; the texts with n-gram i are `_texts[_at[i] : _at[i + 1]]`. An
    n-gram on more than `common` images of the dataset becomes a template and no longer counts.
    """

    def __init__(self, texts: pl.DataFrame, options: DecontaminateOptions) -> None:
        """Index the n-grams of texts with at least `min_words` words.

        Args:
            texts: `text_number`, `text`, `words`, `groups`.
            options: Limits.
        """
        self._options = options
        self._ngrams, self._at, self._texts = _inverted(texts, options)
        self._is_template = np.zeros(len(self._ngrams), dtype=bool)
        self._hits: list[pl.DataFrame] = []  # `row`, `ngram` (position in `_ngrams`)
        self._seen: pl.DataFrame | None = None  # `ngram`, `group`: distinct images per n-gram

    def search(self, turns: pl.DataFrame) -> None:
        """Search the n-grams in turns (`row`, `group`, `text`, `words`)."""
        import polars as pl

        long = turns.filter(pl.col("words") >= self._options.ngram)
        if not len(self._ngrams) or long.is_empty():
            return
        sets = shingle(long["text"], self._options.ngram)
        position = np.searchsorted(self._ngrams, sets.values)
        position = np.minimum(position, len(self._ngrams) - 1)
        is_hit = (self._ngrams[position] == sets.values) & ~self._is_template[position]
        hit = np.flatnonzero(is_hit)
        turn = np.searchsorted(sets.at, hit, side="right") - 1
        hits = long.select("row", "group")[turn].with_columns(ngram=position[hit]).unique()
        if hits.is_empty():
            return
        seen = hits.select("ngram", "group").unique()
        if self._seen is not None:
            seen = pl.concat([self._seen, seen]).unique()
        counts = seen.group_by("ngram").len()
        templates = counts.filter(pl.col("len") > self._options.common)["ngram"].to_numpy()
        self._is_template[templates] = True
        specific = ~self._is_template
        self._seen = seen.filter(pl.Series(specific[seen["ngram"].to_numpy()]))
        self._hits.append(hits.select("row", "ngram"))

    def matches(self) -> pl.DataFrame:
        """Rows that contain enough of the specific n-grams of a text."""
        import polars as pl

        if not self._hits:
            return pl.DataFrame(
                schema={
                    "row": pl.Int64, "text_number": pl.Int64, "method": pl.String,
                    "similarity": pl.Float64,
                }
            )  # fmt: skip
        options = self._options
        ngram = np.repeat(np.arange(len(self._ngrams)), np.diff(self._at))
        specific = pl.Series(~self._is_template[ngram])
        entries = pl.DataFrame({"ngram": ngram, "text_number": self._texts}).filter(specific)
        sizes = entries.group_by("text_number").agg(pl.len().alias("size"))
        min_ngrams = options.min_words - options.ngram + 1
        hits = pl.concat(self._hits).unique()
        similarity = pl.col("similarity")
        return (
            hits.join(entries, on="ngram")
            .group_by("row", "text_number").agg(pl.len().alias("n"))
            .join(sizes.filter(pl.col("size") >= min_ngrams), on="text_number")
            .with_columns(similarity=pl.col("n") / pl.col("size"))
            .filter(
                (similarity >= options.containment)
                | (pl.col("n") >= _MANY) & (similarity >= options.containment - _LESS)
            )
            .select("row", "text_number", pl.lit("ngram").alias("method"), "similarity")
        )  # fmt: skip


def _inverted(
    texts: pl.DataFrame, options: DecontaminateOptions
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[g] n-grams of the long texts, [g + 1] offsets, and the texts; templates are omitted."""
    import polars as pl

    long = texts.filter(texts["words"] >= options.min_words)
    sets = shingle(long["text"], options.ngram)
    entries = long.select("text_number")[np.repeat(np.arange(long.height), np.diff(sets.at))]
    entries = entries.with_columns(ngram=sets.values)
    images = entries.join(long.select("text_number", "groups"), on="text_number").explode("groups")
    spread = images.unique(["ngram", "groups"]).group_by("ngram").len()
    templates = spread.filter(pl.col("len") > options.common)
    entries = entries.join(templates, on="ngram", how="anti").sort("ngram", "text_number")
    ngrams, first = np.unique(entries["ngram"].to_numpy(), return_index=True)
    at = np.r_[first, entries.height].astype(np.int64)
    return ngrams, at, entries["text_number"].to_numpy()
