"""Short benchmark texts, found whole: MinHash proposes turns, the similarity is exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curate.near.text.minhash import Shingles, choose_bands, shingle, signatures

if TYPE_CHECKING:
    import polars as pl

    from curate.decontaminate.options import DecontaminateOptions

# Min content words of a specific text; min content words and words of an equal text without image.
_CONTENT_WORDS, _CONTENT_WORDS_EQUAL, _WORDS_EQUAL = 5, 3, 8


class WholeIndex:
    """The specific short texts of a benchmark, by MinHash bands."""

    def __init__(self, texts: pl.DataFrame, options: DecontaminateOptions) -> None:
        """Index the specific texts that are no templates.

        Args:
            texts: `text_number`, `text`, `words`, `content_words`, `no_image`, `groups`.
            options: Limits.
        """
        self._options = options
        is_template = texts["groups"].list.len() > options.common
        specific = (texts["content_words"] >= _CONTENT_WORDS) | (
            texts["no_image"]
            & (texts["content_words"] >= _CONTENT_WORDS_EQUAL)
            & (texts["words"] >= _WORDS_EQUAL)
        )
        chosen = texts.filter(specific & ~is_template)
        self._texts = chosen.with_columns(position=np.arange(chosen.height))
        self._shingles = shingle(chosen["text"])
        self._bands = _band_keys(self._shingles, options.threshold)
        self._near: list[pl.DataFrame] = []  # `row`, `group`, `text_number`, `similarity`

    def search(self, turns: pl.DataFrame) -> None:
        """Search the texts in turns (`row`, `group`, `no_image`, `text`, `content_words`)."""
        import polars as pl

        some = turns.filter(
            (pl.col("content_words") >= _CONTENT_WORDS_EQUAL) & (pl.col("words") >= 3)
        )
        others = some.select(pl.col("text").unique(maintain_order=True))
        if not self._texts.height or others.is_empty():
            return
        near = self._similar(others["text"])
        if near.is_empty():
            return
        known = self._texts.select("position", "text_number", "no_image", "content_words")
        named = others.with_row_index("other").with_columns(pl.col("other").cast(pl.Int64))
        rows = some.select("text", "row", "group", pl.col("no_image").alias("row_no_image"))
        found = near.join(known, on="position").join(named, on="other").join(rows, on="text")
        equal = pl.col("no_image") & pl.col("row_no_image") & (pl.col("similarity") == 1)
        found = found.filter((pl.col("content_words") >= _CONTENT_WORDS) | equal)
        self._near.append(found.select("row", "group", "text_number", "similarity"))

    def _similar(self, others: pl.Series) -> pl.DataFrame:
        """`position` of a text, `other` text, `similarity`: pairs that reach the threshold."""
        import polars as pl

        mine, theirs = self._shingles, shingle(others)
        keys, numbers = _band_keys(theirs, self._options.threshold)
        left = pl.DataFrame({"key": self._bands[0], "position": self._bands[1]})
        right = pl.DataFrame({"key": keys, "other": numbers})
        pairs = left.join(right, on="key").select("position", "other").unique()
        values = [
            _jaccard(
                mine.values[mine.at[a] : mine.at[a + 1]],
                theirs.values[theirs.at[b] : theirs.at[b + 1]],
            )
            for a, b in pairs.iter_rows()
        ]
        pairs = pairs.with_columns(similarity=np.array(values, dtype=float))
        return pairs.filter(pl.col("similarity") >= self._options.threshold)

    def matches(self) -> tuple[pl.DataFrame, int]:
        """`row`, `text_number`, `method`, `similarity` of all rows; number of templates omitted."""
        import polars as pl

        if not self._near:
            schema = {"row": pl.Int64, "text_number": pl.Int64, "method": pl.String}
            return pl.DataFrame(schema={**schema, "similarity": pl.Float64}), 0
        near = pl.concat(self._near)
        spread = near.group_by("text_number").agg(pl.col("group").n_unique().alias("n"))
        specific = spread.filter(pl.col("n") <= self._options.common)
        method = pl.when(pl.col("similarity") == 1).then(pl.lit("words"))
        found = near.join(specific, on="text_number", how="semi").select(
            "row", "text_number", method.otherwise(pl.lit("minhash")).alias("method"), "similarity"
        )
        return found, spread.height - specific.height


def _band_keys(
    sets: Shingles, threshold: float, num_perm: int = 128
) -> tuple[np.ndarray, np.ndarray]:
    """Keys of the bands of n texts, [n * bands], and the number of the text of each."""
    hashes = signatures(sets, num_perm=num_perm)
    bands, rows = choose_bands(threshold, num_perm)
    keys = np.empty((len(hashes), bands), dtype=np.uint64)
    for band in range(bands):
        key = np.full(len(hashes), band, dtype=np.uint64)
        for column in range(band * rows, (band + 1) * rows):
            key = (key ^ hashes[:, column]) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
        keys[:, band] = key
    return keys.ravel(), np.repeat(np.arange(len(hashes), dtype=np.int64), bands)


def _jaccard(one: np.ndarray, other: np.ndarray) -> float:
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both)
