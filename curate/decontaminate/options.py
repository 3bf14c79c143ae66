"""Options of `curate decontaminate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pairwright.commands.options import option
from pairwright.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class DecontaminateOptions:
    """Options of `curate decontaminate`."""

    against: tuple[str, ...] = option(
        help="benchmarks: dataset folders, or sources that `curate ingest` reads; SRC:SPLIT reads "
        "one split, for example easy-vqa:test"
    )
    by: Literal["both", "image", "text"] = option(
        "both", help="what is compared: images, texts, or both"
    )
    image_folder: Path | None = option(
        None, help="folder of the images that benchmark files name (default: next to the file)"
    )
    image_match: Literal["phash", "exact"] = option(
        "phash",
        help="which images are the same: identical bytes (exact), or also copies with a near "
        "perceptual hash that their pixels confirm (phash)",
    )
    phash_distance: int = option(8, help="max bits in which the hashes of candidates differ")
    clip_threshold: float | None = option(
        None,
        help="also remove rows whose image has at least this cosine to a benchmark image, if both "
        "have embeddings by one model (default: such rows are only reported, at 0.95)",
    )
    embeddings: str | None = option(None, help="run of embeddings (default: the active one)")
    ngram: int = option(8, help="words per n-gram by which long texts are compared")
    min_words: int = option(13, help="min words of a benchmark text that is compared by n-grams")
    containment: float = option(
        0.7,
        help="min fraction of the n-grams of a benchmark text that a row contains; 0.2 less if that "
        "is 10 n-grams or more",
    )
    threshold: float = option(
        0.8, help="min Jaccard similarity of a short text to a benchmark text"
    )
    common: int = option(
        5, help="a text on more images than this, on either side, is a template and is ignored"
    )
    show: int = option(3, help="number of examples of each kind to print")

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        if not self.against:
            msg = "--against needs at least one benchmark"
            raise UsageError(msg)
        for name in ("containment", "threshold", "clip_threshold"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                msg = f"--{name.replace('_', '-')} must be above 0 and at most 1, got {value:g}"
                raise UsageError(msg)
        for name, low, high in (
            ("phash_distance", 0, 16), ("ngram", 3, 50), ("min_words", 3, 1000),
            ("common", 1, 1_000_000), ("show", 0, 1000),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                msg = f"--{name.replace('_', '-')} must be from {low} to {high}, got {getattr(self, name)}"
                raise UsageError(msg)
        if self.min_words < self.ngram:
            msg = f"--min-words {self.min_words} is less than --ngram {self.ngram}: such texts have no n-gram"
            raise UsageError(msg)
