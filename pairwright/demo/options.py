"""Options of `pairwright demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pairwright.commands.options import option
from pairwright.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """How much of the demo to run, and where."""

    output: Path = option(Path("demo"), short="-o", help="folder for everything the demo makes")
    images: int = option(400, help="training images to start from, of 2,000 (ten rows each)")
    test_images: int = option(250, help="official test images to evaluate on, of 1,000")
    full: bool = option(False, help="evaluate on the whole official test split")
    controls: bool = option(False, help="also train the controls: random pairs, chosen alone")
    answers: int = option(8, help="responses sampled per question")
    seed: int = option(0, help="seed of the planted faults, the sampling and the training")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name, low, high in (
            ("images", 50, 2000),
            ("test_images", 20, 1000),
            ("answers", 2, 16),
        ):
            if not low <= getattr(self, name) <= high:
                msg = f"--{name.replace('_', '-')} must be between {low} and {high}"
                raise UsageError(msg)
