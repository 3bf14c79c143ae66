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
        help="benchmarks: dataset folders, or sources that `curate ingest` reads; SRC:SPLIT takes "
        "one split, as in easy-vqa:test"
    )
    by: Literal["both", "image", "text"] = option(
        "both", help="what is compared: pictures, texts, or both"
    )
    image_folder: Path | None = option(
        None, help="folder of the images that benchmark files name (default: beside the file)"
    )
    image_match: Literal["phash", "exact"] = option(
        "phash",
        help="which images are the same: identical bytes (exact), or also copies with a near "
        "perceptual hash that their pixels confirm (phash)",
    )
    phash_distance: int = option(8, help="bits in which the hashes of candidates may differ")
    clip_threshold: float | None = option(
        None,
        help="rows whose image has at least this cosine to a benchmark's go as well, where both "
        "have embeddings of one model (default: only reported, at 0.95)",
    )
    embeddings: str | None = option(None, help="run of embeddings (default: the one in force)")
    ngram: int = option(8, help="words of the sequences that texts are compared by")
    min_words: int = option(
        13, help="least words of a benchmark text that counts if parts of it are found"
    )
    containment: float = option(
        0.7,
        help="least share of a benchmark text's word sequences that a row repeats; 0.2 less where "
        "that is ten sequences or more",
    )
    threshold: float = option(
        0.8, help="least Jaccard coefficient of a short text to a benchmark's"
    )
    common: int = option(
        5, help="wording on more pictures than this, on either side, is a template: no evidence"
    )
    show: int = option(3, help="examples to print of every kind")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if not self.against:
            msg = "--against needs at least one benchmark"
            raise UsageError(msg)
        for name in ("containment", "threshold", "clip_threshold"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                msg = f"--{name.replace('_', '-')} must be above 0 and at most 1, got {value:g}"
                raise UsageError(msg)
        for name, least, most in (
            ("phash_distance", 0, 16), ("ngram", 3, 50), ("min_words", 3, 1000),
            ("common", 1, 1_000_000), ("show", 0, 1000),
        ):  # fmt: skip
            if not least <= getattr(self, name) <= most:
                msg = f"--{name.replace('_', '-')} must be from {least} to {most}, got {getattr(self, name)}"
                raise UsageError(msg)
        if self.min_words < self.ngram:
            msg = f"--min-words {self.min_words} is less than --ngram {self.ngram}: such texts have no word sequence to find"
            raise UsageError(msg)
