"""Options of `curate dedup`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pairwright.commands.options import option
from pairwright.errors import UsageError

KEEP = ("order", "length", "resolution", "score")


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupOptions:
    """Options of `curate dedup`."""

    on: Literal["sample", "image", "text"] = option(
        "sample",
        help="what is compared: images and conversation (sample), images only, or text only",
    )
    threshold: float = option(
        0.7, help="min Jaccard similarity of word 3-grams (shingles) of similar texts, per turn"
    )
    num_perm: int = option(128, help="MinHash permutations that find candidates")
    image_match: Literal["phash", "exact", "clip"] = option(
        "phash",
        help="which images are the same: identical bytes (exact), also copies with a near "
        "perceptual hash that their pixels confirm (phash), or near embeddings (clip)",
    )
    phash_distance: int = option(8, help="max bits in which the hashes of candidates differ")
    clip_threshold: float = option(0.92, help="min cosine of embeddings that count as the same")
    image_index: Literal["auto", "exact", "hnsw"] = option(
        "auto",
        help="how near embeddings are found: by comparing all (exact), by a graph that may miss some "
        "(hnsw), or exact up to 1,000,000 images (auto)",
    )
    keep: str = option(
        "length,resolution,order",
        help="which of several duplicates is kept: comma-separated list of length (longest), "
        "resolution (largest image), score (highest score), order (first)",
    )
    word_check: bool = option(
        True,
        help="with --on sample, similar texts must also agree in the words that carry the meaning: "
        "questions and short answers in all words except articles, long answers in negations, "
        "numbers, colors and sides",
    )
    answer_cap: int | None = option(
        None, help="keep at most N rows with the same long answer on different images"
    )
    conflicts_per_row: int = option(
        8, help="max earlier rows with which the answer of a row is listed as conflicting"
    )
    against: tuple[Path, ...] = option(
        (), help="other datasets: a sample that duplicates one of their current samples is removed"
    )
    extend: bool = option(
        False, help="keep the decisions of the active dedup and decide only samples added since"
    )
    promote: bool = option(
        False,
        help="where a later filter or selection dropped the kept representative, keep the next of "
        "its duplicates",
        aliases=("rescue",),
    )
    embeddings: str | None = option(None, help="run of embeddings for --image-match clip")
    scores: str | None = option(None, help="run of scores for --keep score")
    show: int = option(3, help="number of examples of each kind to print")

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        for name in ("threshold", "clip_threshold"):
            if not 0 < getattr(self, name) <= 1:
                msg = f"--{name.replace('_', '-')} must be above 0 and at most 1, got {getattr(self, name):g}"
                raise UsageError(msg)
        for name, low, high in (
            ("num_perm", 16, 4096), ("phash_distance", 0, 16), ("conflicts_per_row", 1, 10_000),
            ("show", 0, 1000),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                msg = f"--{name.replace('_', '-')} must be from {low} to {high}, got {getattr(self, name)}"
                raise UsageError(msg)
        if self.answer_cap is not None and self.answer_cap < 1:
            msg = f"--answer-cap must be at least 1, got {self.answer_cap}"
            raise UsageError(msg)
        if self.extend and self.promote:
            msg = "--extend keeps decisions and --promote changes them: use one of them"
            raise UsageError(msg)
        unknown = [name for name in self.priorities if name not in KEEP]
        if unknown or not self.priorities:
            msg = f"--keep takes a comma-separated list of {', '.join(KEEP)}, got {self.keep!r}"
            raise UsageError(msg)

    @property
    def priorities(self) -> tuple[str, ...]:
        """The names in `keep`."""
        return tuple(name.strip() for name in self.keep.split(",") if name.strip())
