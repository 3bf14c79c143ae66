r"""The texts of a benchmark, searched in rows: long texts by n-grams, short texts whole.

A benchmark text counts without its image only if it is specific:

- It has at least `min_words` words, and a row contains a fraction of its n-grams
  (`curate.decontaminate.ngrams`).
- Or it is short, has at least five content words, and a turn of a row has nearly the same words
  (`curate.decontaminate.whole`). If neither row has an image, three content words and eight words
  suffice if the texts are equal.

A text on several images, of the benchmark or of the dataset, is a template and is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate.decontaminate.ngrams import NgramIndex
from curate.decontaminate.turns import turns_of
from curate.decontaminate.whole import WholeIndex

if TYPE_CHECKING:
    import polars as pl

    from curate.decontaminate.options import DecontaminateOptions


@dataclass(frozen=True, slots=True)
class TextMatches:
    """Rows that repeat benchmark texts.

    Attributes:
        found: `row`, `text_number`, `method`, `similarity`: the best match of each row.
        n_templates: Benchmark texts that matched rows on too many images.
    """

    found: pl.DataFrame
    n_templates: int = 0


class TextIndex:
    """The distinct texts of a benchmark; `search` rows in batches, then read the `matches`.

    Attributes:
        texts: `text_number`, `text`, `row` (the first benchmark row that has it), `words`,
            `content_words`, `no_image` (whether a row without an image has it), `groups` (keys of
            the images of the rows that have it).
    """

    def __init__(self, texts: pl.DataFrame, options: DecontaminateOptions) -> None:
        """Index the texts."""
        self.texts = texts
        self._ngrams = NgramIndex(texts, options)
        self._whole = WholeIndex(texts, options)

    @classmethod
    def of(cls, rows: pl.DataFrame, options: DecontaminateOptions) -> TextIndex:
        """Index the texts of benchmark rows (as `turns_of` reads them)."""
        import polars as pl

        turns = turns_of(rows)
        texts = turns.group_by("text", maintain_order=True).agg(
            pl.col("row", "words", "content_words").first(),
            pl.col("no_image").any(),
            pl.col("group").unique().alias("groups"),
        )
        return cls(texts.with_columns(text_number=np.arange(texts.height)), options)

    def search(self, rows: pl.DataFrame) -> None:
        """Search the benchmark texts in some rows (`row`, `image_ids`, `messages`)."""
        turns = turns_of(rows)
        self._ngrams.search(turns)
        self._whole.search(turns)

    def matches(self) -> TextMatches:
        """What was found in all rows, without templates."""
        import polars as pl

        whole, n_templates = self._whole.matches()
        found = pl.concat([self._ngrams.matches(), whole]).sort(
            "row", "similarity", "method", "text_number", descending=[False, True, True, False]
        )
        return TextMatches(found.unique("row", keep="first", maintain_order=True), n_templates)
