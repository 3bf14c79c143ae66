"""Which items are kept: each dropped item matches one kept representative directly.

Items are visited in order of preference. An item that matches none of the items kept so far is
kept; otherwise it is dropped, and the kept item that is most similar becomes its representative.
So a chain of items, each similar to the next, never drops an item that is not similar to a kept
one. MinHash buckets propose which items to compare; every match is then verified exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.near.buckets import find_buckets
from curate.near.items import Items, SameImages
from curate.near.spill import Spill
from curate.near.text.features import TextFeatures

# Pairs kept as distinct are listed up to this number, and counted beyond.
_MAX_DISTINCT = 1000


@dataclass(frozen=True, slots=True)
class Representatives:
    """The decisions on n items.

    Attributes:
        kept: [n] the kept representative of each item; the item itself if it is kept.
        text_similarity: [n] exact similarity of the texts to those of the representative.
        image_similarity: [n] similarity of the images to those of the representative.
        distinct: [m, 2] pairs of items that reach the threshold but differ in wording: kept as
            distinct.
        n_distinct: Number of such pairs; may be larger than m.
    """

    kept: np.ndarray
    text_similarity: np.ndarray
    image_similarity: np.ndarray
    distinct: np.ndarray
    n_distinct: int


def choose_representatives(
    items: Items,
    texts: TextFeatures,
    images: SameImages | None = None,
    *,
    threshold: float,
    num_perm: int = 128,
    spill: Spill | None = None,
) -> Representatives:
    """Decide which items are kept.

    Args:
        items: The items, in order of preference.
        texts: Features of the texts, by number.
        images: Which images count as the same; without it images are ignored.
        threshold: Min Jaccard similarity of each text.
        num_perm: Permutations of the MinHash that finds candidates.
        spill: Where large arrays are stored; in memory by default.
    """
    from curate.near.kernels import matching as kernels

    n = len(items)
    buckets = find_buckets(items, texts.shingles, threshold, num_perm, spill or Spill())
    kept = np.arange(n, dtype=np.int32)
    text_similarity, image_similarity = np.ones(n), np.ones(n)
    distinct = np.zeros((_MAX_DISTINCT, 2), dtype=np.int32)
    n_distinct = kernels.choose_representatives(
        *buckets, items.n_existing, items.arrays(), texts.arrays(),
        (images or SameImages()).arrays(), threshold, kept, text_similarity, image_similarity,
        distinct,
    )  # fmt: skip
    listed = distinct[: min(n_distinct, _MAX_DISTINCT)]
    return Representatives(kept, text_similarity, image_similarity, listed, n_distinct)
