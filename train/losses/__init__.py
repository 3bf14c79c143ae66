"""What DPO training minimizes: one file a loss, or a family of losses that share a mechanism.

A new loss is a file here that sets `LOSSES`, and its name in `FILES`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from train.losses.base import Loss

FILES: Final = (
    "trl",
    "sft",
)


def load_losses() -> tuple[Loss, ...]:
    """All losses, in the order of their files."""
    return tuple(loss for file in FILES for loss in import_module(f"{__name__}.{file}").LOSSES)
