"""What the stages of one dedup share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.dedup.corpus import Corpus, SampleSource
from curate.dedup.options import DedupOptions
from curate.near.images.matching import ImageMatches
from curate.near.items import Items
from curate.near.representatives import Representatives
from curate.near.spill import Spill


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupState:
    """n rows (samples), m items (distinct rows) and the decisions on them.

    Attributes:
        samples: The samples, to read some of them again.
        corpus: The samples as numbers.
        images: Which images count as the same.
        options: The options.
        first_row: [m] preferred row of each item.
        item_of_row: [n] item of each row.
        items: The items, in order of preference.
        found: Kept representatives by similarity.
        kept: [m] kept representative of each item, after the answer cap.
        capped: [m] whether the answer cap dropped the item.
        spill: Where large arrays are stored.
    """

    samples: SampleSource
    corpus: Corpus
    images: ImageMatches
    options: DedupOptions
    first_row: np.ndarray
    item_of_row: np.ndarray
    items: Items
    found: Representatives
    kept: np.ndarray
    capped: np.ndarray
    spill: Spill

    @property
    def kept_items(self) -> np.ndarray:
        """Numbers of the items that are kept."""
        return np.flatnonzero(self.kept == np.arange(len(self.items)))
