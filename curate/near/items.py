"""Items: what is compared for near-duplicates, each a list of texts and a list of images.

Texts and images are numbers here. What is known of them lies in `TextFeatures` (by text number) and
`SameImages` (by image number).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curate.near.text.minhash import one_text_each


@dataclass(frozen=True, slots=True)
class Items:
    """n items in order of preference.

    The texts of item i are `texts[texts_at[i] : texts_at[i + 1]]`, its images
    `images[images_at[i] : images_at[i + 1]]`. Two items match only if they have equally many of
    both, and each text (image) matches the one at the same position.

    Attributes:
        texts_at: [n + 1] offsets.
        texts: Numbers of texts.
        checks: For each entry of `texts`, how strictly its wording is compared (`CHECK_*` of
            `curate.near.kernels.matching`).
        images_at: [n + 1] offsets.
        images: Numbers of images.
        groups: [n] items of different groups never match.
        n_existing: The first `n_existing` items are kept already: other items are compared with
            them, but they themselves are not decided.
    """

    texts_at: np.ndarray
    texts: np.ndarray
    checks: np.ndarray
    images_at: np.ndarray
    images: np.ndarray
    groups: np.ndarray
    n_existing: int = 0

    def __len__(self) -> int:
        """Number of items."""
        return len(self.groups)

    @classmethod
    def of_texts(cls, n: int) -> Items:
        """Items of one text each, without images, for n texts."""
        at, texts = one_text_each(n)
        return cls(
            texts_at=at, texts=texts, checks=np.zeros(n, dtype=np.uint8),
            images_at=np.zeros(n + 1, dtype=np.int64), images=np.empty(0, dtype=np.int32),
            groups=np.zeros(n, dtype=np.uint64),
        )  # fmt: skip

    def arrays(self) -> tuple[Any, ...]:
        """The arguments of the kernels in `curate.near.kernels.matching`."""
        return (self.texts_at, self.texts, self.checks, self.images_at, self.images, self.groups)


@dataclass(frozen=True, slots=True)
class SameImages:
    """Which images count as the same: listed pairs, or embeddings above a cosine.

    Attributes:
        mode: `IMAGES_*` of `curate.near.kernels.matching`.
        keys: [p] sorted keys of pairs: lower image number in the high half, higher in the low half.
        values: [p] similarity of each pair.
        vectors: [n, width] unit vectors by image number.
        threshold: Min cosine.
    """

    mode: int = 0
    keys: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    values: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.float64))
    vectors: np.ndarray = field(default_factory=lambda: np.empty((0, 1), dtype=np.float32))
    threshold: float = 1.0

    def arrays(self) -> tuple[Any, ...]:
        """The arguments of the kernels in `curate.near.kernels.matching`."""
        return (self.mode, self.keys, self.values, self.vectors, self.threshold)
