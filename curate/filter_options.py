"""Options of `curate embed` and `curate filter`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pairwright.errors import UsageError
from pairwright.options import option


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedOptions:
    """Options of `curate embed`."""

    model: str = option(
        "ViT-B-32", help="open_clip architecture, local-dir:FOLDER, or hf-hub:OWNER/NAME"
    )
    pretrained: str | None = option(
        None, help="weights of an architecture: a tag, a checkpoint file, or random (for tests)"
    )
    text: bool = option(False, help="embed the questions and answers too")
    batch_size: int = option(64, help="images a forward pass")
    device: str | None = option(None, help="such as cuda or cpu (default: a GPU if there is one)")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.batch_size < 1:
            msg = f"--batch-size must be at least 1, got {self.batch_size}"
            raise UsageError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterOptions:
    """Options of `curate filter`."""

    min_score: float = option(help="keep samples whose mark is at least this")
    scores: str | None = option(None, help="run of scores (default: the one in force)")
    criterion: str | None = option(None, help="one criterion (default: the mean of all)")
    min_label_mass: float = option(
        0.0, help="marks whose judge gave the labels less probability than this do not count"
    )
    unscored: Literal["keep", "drop"] = option("keep", help="what happens to rows without a mark")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if not 0 <= self.min_label_mass <= 1:
            msg = f"--min-label-mass is a probability, got {self.min_label_mass}"
            raise UsageError(msg)
