"""Options of `curate embed` and `curate dedup`."""

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
    image_index: Literal["auto", "exact", "hnsw"] = option(
        "auto",
        help="how near embeddings are searched: all compared (exact), by a graph that may miss some "
        "(hnsw), or exact up to 1,000,000 images",
    )
    keep: str = option(
        "length,resolution,order",
        help="which of several doubles stays: comma list of length (longest), resolution "
        "(largest image), score (best mark), order (first)",
    )
    word_check: bool = option(
        True,
        help="with --on sample, like texts must also agree in the words that carry the meaning: questions and short "
        "answers in all but articles, long answers in denials, numbers, colours, sides",
    )
    answer_cap: int | None = option(
        None, help="keep at most N rows with the same long answer on different images"
    )
    conflicts_per_row: int = option(
        8, help="most earlier rows that a row's different answer is set against"
    )
    against: tuple[Path, ...] = option(
        (), help="datasets whose current samples stand already: what doubles one of them goes"
    )
    extend: bool = option(
        False,
        help="keep the decisions of the dedup in force and decide only on samples that came since",
    )
    rescue: bool = option(
        False,
        help="samples that a later filter or selection dropped do not stand for others: the next "
        "of their doubles does",
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
        if self.extend and self.rescue:
            msg = "--extend keeps decisions as they are and --rescue changes them: use one of them"
            raise UsageError(msg)
        unknown = [name for name in self.priorities if name not in KEEP]
        if unknown or not self.priorities:
            msg = f"--keep takes a comma list of {', '.join(KEEP)}, got {self.keep!r}"
            raise UsageError(msg)

    @property
    def priorities(self) -> tuple[str, ...]:
        """Names in `keep`."""
        return tuple(name.strip() for name in self.keep.split(",") if name.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedOptions:
    """Options of `curate embed`."""

    model: str = option(
        "ViT-B-32",
        help="open_clip architecture, hf-hub:owner/name, or a folder with open_clip_config.json",
    )
    pretrained: str | None = option(
        None, help="tag, weights file or folder of the architecture's weights; random for tests"
    )
    text: bool = option(False, help="embed questions and answers as well")
    device: str = option("auto", help="auto, cpu, cuda, cuda:1, mps, ...")
    batch_size: int = option(64, help="images at a time")
    workers: int | None = option(None, help="threads that decode images (default: one a core)")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name in ("batch_size", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                msg = f"--{name.replace('_', '-')} must be at least 1, got {value}"
                raise UsageError(msg)
