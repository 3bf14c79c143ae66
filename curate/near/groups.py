"""Groups of near-duplicate texts, from a plain polars column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curate.near.items import Items
from curate.near.lists import first_positions
from curate.near.representatives import choose_representatives
from curate.near.spill import Spill
from curate.near.text.features import TextNumbering
from curate.near.text.minhash import NGRAM

if TYPE_CHECKING:
    import polars as pl

_BATCH = 20_000


def minhash_groups(
    texts: pl.Series, *, threshold: float = 0.7, num_perm: int = 128, ngram: int = NGRAM
) -> pl.DataFrame:
    """Find near-duplicate texts; the first text of each group is kept.

    A text is dropped only if it is a near-duplicate of a kept text: a chain of texts, each similar
    to the next, never drops a text that is not similar to a kept one.

    Args:
        texts: Texts in order of preference; null counts as empty.
        threshold: Min Jaccard similarity of the shingle sets, computed exactly.
        num_perm: Permutations of the MinHash that finds candidates.
        ngram: Words per shingle.

    Returns:
        One row per text: `kept`, `kept_index` (row of the kept representative; its own row if it is
        kept) and `similarity` to the representative.
    """
    import polars as pl

    numbering = TextNumbering(Spill(), ngram, wording=False, shingles=True)
    batches = texts.fill_null("").to_frame().iter_slices(_BATCH)
    numbers = [numbering.number(batch.to_series()) for batch in batches]
    number = np.concatenate(numbers) if numbers else np.empty(0, dtype=np.int32)
    features = numbering.finish()
    first = first_positions(number, len(features.n_words))
    found = choose_representatives(
        Items.of_texts(len(first)), features, threshold=threshold, num_perm=num_perm
    )
    kept_index = first[found.kept][number]
    return pl.DataFrame(
        {
            "kept": kept_index == np.arange(len(number)),
            "kept_index": kept_index,
            "similarity": found.text_similarity[number],
        }
    )
