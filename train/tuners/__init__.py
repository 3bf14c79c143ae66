"""What of a model is trained: one file a tuner.

A new tuner is a file here that sets `TUNER`, and its name in `TUNERS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from train.tuners.base import Tuner

TUNERS: Final = (
    "lora",
    "qlora",
    "none",
)


def load_tuners() -> tuple[Tuner, ...]:
    """All tuners."""
    return tuple(import_module(f"{__name__}.{name.replace('-', '_')}").TUNER for name in TUNERS)
