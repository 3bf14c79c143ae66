"""The order of preference: of several duplicates the first in this order is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate.dedup.corpus import Corpus
from curate.dedup.options import DedupOptions
from curate.near.images.matching import ImageSource, facts_of

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Preference:
    """What decides, besides the samples themselves, which of several duplicates is kept.

    Attributes:
        scores: `target_id` and `score` of samples.
        last: `sample_id` of samples that are kept only if all their duplicates are among them.
    """

    scores: pl.DataFrame | None = None
    last: pl.DataFrame | None = None


def rank(
    corpus: Corpus,
    options: DedupOptions,
    images: ImageSource | None,
    preference: Preference | None = None,
) -> np.ndarray:
    """[n] row numbers in order of preference: existing samples first, ties in input order."""
    n, preference = len(corpus), preference or Preference()
    order: np.ndarray = np.arange(n, dtype=np.int64)
    names = [name for name in options.priorities if name != "order"]
    if "order" in options.priorities:
        names = names[: options.priorities.index("order")]
    for name in reversed(names):  # by the last name first; each sort is stable
        value = _value(name, corpus, images, preference)
        if n and value.min() != value.max():
            order = order[np.argsort(-value[order], kind="stable")]
    if preference.last is not None:
        last = corpus.sample_ids.is_in(preference.last["sample_id"].implode()).to_numpy()
        order = order[np.argsort(last[order], kind="stable")]
    if corpus.n_existing:
        order = order[np.argsort(order >= corpus.n_existing, kind="stable")]
    return order


def _value(
    name: str, corpus: Corpus, images: ImageSource | None, preference: Preference
) -> np.ndarray:
    """[n] what `--keep` compares: characters, pixels or scores; higher is better."""
    import polars as pl

    if name == "length":
        return corpus.length.astype(np.float64)
    if name == "resolution":
        pixels = np.zeros(len(corpus.image_ids), dtype=np.int64)
        if images is not None:
            facts = facts_of(corpus.image_ids, images)
            pixels = (facts["width"] * facts["height"]).fill_null(0).to_numpy()
        total = np.r_[0, np.cumsum(pixels[corpus.images])]
        sums = total[corpus.images_at[1:]] - total[corpus.images_at[:-1]]
        return np.asarray(sums, dtype=np.float64)
    assert preference.scores is not None
    scores = pl.DataFrame({"target_id": corpus.sample_ids}).join(
        preference.scores, on="target_id", how="left", maintain_order="left"
    )
    return np.asarray(scores["score"].fill_nan(None).fill_null(-np.inf).to_numpy())
