"""Which of many items stay: candidates by band keys, exact matches in order of preference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curate.near.buckets import find_buckets
from curate.near.items import TextSide
from curate.near.spill import Spill
from curate.near.text.minhash import alone

_SHOWN_HELD = 1000


@dataclass(frozen=True, slots=True)
class Items:
    """What is compared, in order of preference: lists of texts and lists of images.

    Attributes:
        texts_at: Where each item's texts start in `texts`, and where the last ends.
        texts: Numbers of texts.
        kinds: How each is compared (`WORDS_*` of the kernels).
        images_at: Where each item's images start in `images`.
        images: Numbers of images.
        groups: Items of different groups never match.
        n_anchors: So many items in front stand already and are not decided on.
    """

    texts_at: np.ndarray
    texts: np.ndarray
    kinds: np.ndarray
    images_at: np.ndarray
    images: np.ndarray
    groups: np.ndarray
    n_anchors: int = 0

    def __len__(self) -> int:
        """Number of items."""
        return len(self.groups)

    @classmethod
    def of_texts(cls, n: int) -> Items:
        """Every one of n texts alone, without images."""
        at, texts = alone(n)
        nothing = np.zeros(n + 1, dtype=np.int64)
        return cls(
            texts_at=at, texts=texts, kinds=np.zeros(n, dtype=np.uint8), images_at=nothing,
            images=np.empty(0, dtype=np.int32), groups=np.zeros(n, dtype=np.uint64),
        )  # fmt: skip

    def arguments(self) -> tuple[Any, ...]:
        """As the kernels take them."""
        return (self.texts_at, self.texts, self.kinds, self.images_at, self.images, self.groups)


@dataclass(frozen=True, slots=True)
class ImageSide:
    """Which images count as the same: confirmed pairs, or vectors near in angle.

    Attributes:
        mode: `IMAGES_*` of the kernels.
        keys: Sorted keys of pairs, lower number in the high half.
        values: Similarity of each pair.
        vectors: Unit vectors by image number.
        threshold: Least cosine.
    """

    mode: int = 0
    keys: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    values: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.float64))
    vectors: np.ndarray = field(default_factory=lambda: np.empty((0, 1), dtype=np.float32))
    threshold: float = 1.0

    def arguments(self) -> tuple[Any, ...]:
        """As the kernels take them."""
        return (self.mode, self.keys, self.values, self.vectors, self.threshold)


@dataclass(frozen=True, slots=True)
class Stars:
    """Decisions on items.

    Attributes:
        kept: The item that stands for each; itself if it stays.
        similarity: Exact similarity of texts to it.
        alike: Similarity of images to it.
        held: Some pairs that reach the threshold but say different things.
        n_held: Number of such pairs met.
    """

    kept: np.ndarray
    similarity: np.ndarray
    alike: np.ndarray
    held: np.ndarray
    n_held: int


def star(
    items: Items,
    texts: TextSide,
    images: ImageSide | None = None,
    *,
    threshold: float,
    num_perm: int = 128,
    spill: Spill | None = None,
) -> Stars:
    """Decide items in order: an item goes if it matches one that stays.

    Args:
        items: In order of preference.
        texts: What `items.texts` are.
        images: Which of `items.images` count as the same; `None` ignores images.
        threshold: Least Jaccard coefficient of texts, turn by turn.
        num_perm: Permutations of the MinHash that finds candidates.
        spill: Where large arrays go; memory if not given.
    """
    from curate.near.kernels import star as kernels

    n = len(items)
    buckets = find_buckets(items, texts.shingles, threshold, num_perm, spill or Spill())
    kept = np.arange(n, dtype=np.int32)
    similarity, alike = np.ones(n), np.ones(n)
    held = np.zeros((_SHOWN_HELD, 2), dtype=np.int32)
    n_held = kernels.star(
        *buckets, items.n_anchors, items.arguments(), texts.arguments(),
        (images or ImageSide()).arguments(), threshold, kept, similarity, alike, held,
    )  # fmt: skip
    return Stars(kept, similarity, alike, held[: min(n_held, _SHOWN_HELD)], n_held)


def conflicts(
    items: Items,
    answers: np.ndarray,
    leaders: np.ndarray,
    texts: TextSide,
    images: ImageSide,
    *,
    threshold: float,
    most: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Pairs of like questions that are answered differently.

    Args:
        items: Questions in their context, in order of preference.
        answers: Text number of each one's answer.
        leaders: First of the like questions of each.
        texts: What the texts are, wording included.
        images: Which images count as the same.
        threshold: Least Jaccard coefficient of like texts.
        most: Pairs that one item enters as the later one, so that one question with thousands of
            answers does not make millions of rows.

    Returns:
        Earlier item, later item and similarity of the questions of every pair, and the number of
        items that were cut short.
    """
    from curate.near.kernels import star as kernels

    order = np.argsort(leaders, kind="stable")
    ordered = leaders[order]
    new = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(order) else np.empty(0)
    starts = np.r_[new, len(order)].astype(np.int64)
    arguments = (
        starts, order, answers, items.arguments(), texts.arguments(), images.arguments(),
        threshold, most,
    )  # fmt: skip
    none = np.empty(0, dtype=np.int32)
    n, capped = kernels.count_conflicts(*arguments, none, none, np.empty(0))
    a, b, value = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n)
    if n:
        kernels.count_conflicts(*arguments, a, b, value)
    return a, b, value, capped
