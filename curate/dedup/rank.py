"""The order in which samples are decided: of several doubles the first stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate.dedup.options import DedupOptions
from curate.near.images.matching import Pictures, facts_of
from curate.near.items import Corpus

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Preference:
    """What is known of samples for choosing which of several doubles stays.

    Attributes:
        scores: `target_id` and `score` of samples.
        last: `sample_id` of samples that stay only if nothing else can stand for them.
    """

    scores: pl.DataFrame | None = None
    last: pl.DataFrame | None = None


def rank(
    corpus: Corpus, options: DedupOptions, pictures: Pictures | None, preference: Preference
) -> np.ndarray:
    """Rows in order of preference, anchors in front, ties in input order."""
    import polars as pl

    n = len(corpus)
    # Sorted by the last key first; every sort is stable.
    order: np.ndarray = np.arange(n, dtype=np.int64)
    names = [name for name in options.priorities if name != "order"]
    if "order" in options.priorities:
        names = names[: options.priorities.index("order")]
    for name in reversed(names):
        if name == "length":
            value = corpus.length.astype(np.float64)
        elif name == "resolution":
            pixels = np.zeros(len(corpus.image_ids), dtype=np.int64)
            if pictures is not None:
                facts = facts_of(corpus.image_ids, pictures)
                pixels = (facts["width"] * facts["height"]).fill_null(0).to_numpy()
            total = np.r_[0, np.cumsum(pixels[corpus.images])]
            value = (total[corpus.images_at[1:]] - total[corpus.images_at[:-1]]).astype(np.float64)
        else:
            assert preference.scores is not None
            marks = pl.DataFrame({"target_id": corpus.sample_ids}).join(
                preference.scores, on="target_id", how="left", maintain_order="left"
            )
            value = marks["score"].fill_nan(None).fill_null(-np.inf).to_numpy()
        if n and value.min() != value.max():
            order = order[np.argsort(-value[order], kind="stable")]
    if preference.last is not None:
        order = order[np.argsort(_among(corpus, preference.last)[order], kind="stable")]
    if corpus.n_anchors:
        order = order[np.argsort(order >= corpus.n_anchors, kind="stable")]
    return order


def _among(corpus: Corpus, ids: pl.DataFrame) -> np.ndarray:
    found: np.ndarray = corpus.sample_ids.is_in(ids["sample_id"].implode()).to_numpy()
    return found
