"""Options of `curate embed`, `curate dedup` and `curate filter`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pairwright.errors import UsageError
from pairwright.options import option

KEEP = ("order", "length", "resolution", "score")


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupOptions:
    """Options of `curate dedup`."""

    on: Literal["sample", "image", "text"] = option(
        "sample",
        help="what makes a double: image and conversation (sample), the image alone, or the text "
        "alone",
    )
    threshold: float = option(
        0.7, help="least Jaccard coefficient of word triples, turn by turn, of like texts"
    )
    num_perm: int = option(128, help="MinHash permutations that find candidates")
    image_match: Literal["phash", "exact", "clip"] = option(
        "phash",
        help="which images are the same: identical bytes (exact), also copies with a near "
        "perceptual hash that their pixels confirm (phash), or embeddings near in angle (clip)",
    )
    phash_distance: int = option(8, help="bits in which the hashes of candidates may differ")
    clip_threshold: float = option(0.92, help="least cosine of embeddings that count as the same")
    keep: str = option(
        "length,resolution,order",
        help="which of several doubles stays: comma list of length (longest), resolution "
        "(largest image), score (best mark), order (first)",
    )
    word_check: bool = option(
        True,
        help="like texts must also agree in the words that carry the meaning: questions and short "
        "answers in all but articles, long answers in denials, numbers, colours, sides",
    )
    answer_cap: int | None = option(
        None, help="keep at most N rows with the same long answer on different images"
    )
    conflicts_per_row: int = option(
        8, help="most earlier rows that a row's different answer is set against"
    )
    embeddings: str | None = option(None, help="run of embeddings to take with --image-match clip")
    scores: str | None = option(None, help="run of scores to take with --keep score")
    show: int = option(3, help="examples to print of every kind")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name in ("threshold", "clip_threshold"):
            if not 0 < getattr(self, name) <= 1:
                msg = f"--{name.replace('_', '-')} must be above 0 and at most 1, got {getattr(self, name):g}"
                raise UsageError(msg)
        for name, least, most in (
            ("num_perm", 16, 4096), ("phash_distance", 0, 16), ("conflicts_per_row", 1, 10_000),
            ("show", 0, 1000),
        ):  # fmt: skip
            if not least <= getattr(self, name) <= most:
                msg = f"--{name.replace('_', '-')} must be from {least} to {most}, got {getattr(self, name)}"
                raise UsageError(msg)
        if self.answer_cap is not None and self.answer_cap < 1:
            msg = f"--answer-cap must be at least 1, got {self.answer_cap}"
            raise UsageError(msg)
        unknown = [name for name in self.priorities if name not in KEEP]
        if unknown or not self.priorities:
            msg = f"--keep takes a comma list of {', '.join(KEEP)}, got {self.keep!r}"
            raise UsageError(msg)

    @property
    def priorities(self) -> tuple[str, ...]:
        """Names in `keep`."""
        return tuple(name.strip() for name in self.keep.split(",") if name.strip())
