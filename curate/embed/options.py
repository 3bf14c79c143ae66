"""Options of `curate embed`."""

from __future__ import annotations

from dataclasses import dataclass

from pairwright.commands.options import option
from pairwright.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedOptions:
    """Options of `curate embed`."""

    model: str = option(
        "ViT-B-32",
        help="open_clip architecture, hf-hub:owner/name, or a folder with open_clip_config.json",
    )
    pretrained: str | None = option(
        None, help="weights of the architecture: tag, file or folder; `random` for tests"
    )
    text: bool = option(False, help="also embed questions and answers")
    device: str = option("auto", help="auto, cpu, cuda, cuda:1, mps, ...")
    batch_size: int = option(64, help="images per batch")
    workers: int | None = option(None, help="threads that decode images (default: one per core)")

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        for name in ("batch_size", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                msg = f"--{name.replace('_', '-')} must be at least 1, got {value}"
                raise UsageError(msg)
