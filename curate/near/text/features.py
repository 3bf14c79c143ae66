"""Numbers for texts, and the features by which texts are compared.

Texts are known by 128-bit hashes of their folded form and are not kept, so memory grows with the
number of distinct texts and not with their length.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from curate.near.lists import Numbering, offsets
from curate.near.spill import Spill
from curate.near.text.fold import fold_packed
from curate.near.text.minhash import Shingles, count_words, shingle
from curate.near.text.packed import Packed, hash128
from curate.near.text.wording import hash_wording

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """Features of n distinct texts, by number; without wording only shingles are compared.

    Attributes:
        shingles: Shingles of each text.
        n_words: [n] number of words.
        wording: [n] hash of the words without articles and politeness.
        facts: [n] hash of the words that change the meaning (negations, numbers, colors, ...).
    """

    shingles: Shingles
    n_words: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    wording: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    facts: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint64))

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arguments of the kernels in `curate.near.kernels.matching`."""
        return (self.shingles.at, self.shingles.values, self.n_words, self.wording, self.facts)


class TextNumbering:
    """Numbers texts that are equal when folded, and computes the features of each once."""

    def __init__(self, spill: Spill, ngram: int, *, wording: bool, shingles: bool) -> None:
        """Start without texts.

        Args:
            spill: Where large arrays are stored.
            ngram: Words per shingle.
            wording: Whether to compute wording and facts.
            shingles: Whether to compute shingles.
        """
        self._numbers, self._ngram = Numbering(), ngram
        self._with_wording, self._with_shingles = wording, shingles
        self._values, self._counts = spill.list(np.uint64), spill.list(np.int32)
        self._n_words = spill.list(np.int32)
        self._wording, self._facts = spill.list(np.uint64), spill.list(np.uint64)

    def number(self, texts: pl.Series) -> np.ndarray:
        """[n] numbers of n texts; features of new texts are computed."""
        folded = fold_packed(texts)
        numbers, new = self._numbers.number_and_new(*hash128(folded))
        if len(new):
            self._add(folded.take(new))
        return numbers

    def _add(self, folded: Packed) -> None:
        self._n_words.append(count_words(folded))
        if self._with_shingles:
            found = shingle(folded, self._ngram)
            self._values.append(found.values)
            self._counts.append(np.diff(found.at))
        if self._with_wording:
            wording, facts = hash_wording(folded)
            self._wording.append(wording)
            self._facts.append(facts)

    def finish(self) -> TextFeatures:
        """The features of all texts; no text may be numbered afterwards."""
        return TextFeatures(
            Shingles(offsets(self._counts.finish()), self._values.finish()),
            self._n_words.finish(), self._wording.finish(), self._facts.finish(),
        )  # fmt: skip
