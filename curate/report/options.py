"""Options of `curate report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pairwright.commands.options import option
from pairwright.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """Options of `curate report`."""

    output: Path | None = option(
        None,
        short="-o",
        help="folder for report.html and report.json (default: reports/ in the dataset, and "
        "reports/NAME with --run NAME)",
    )
    title: str | None = option(None, help="heading of the page (default: the dataset's name)")
    examples: int = option(12, help="examples of every kind; 0 shows no row of the data")
    images: bool = option(True, help="show thumbnails of the examples' images")
    thumbnail: int = option(224, help="longest side of a thumbnail in pixels")
    max_mb: float = option(10.0, help="max megabytes of the page; thumbnails shrink to fit")
    seed: int = option(0, help="seed of the examples that are sampled at random")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name, low, high in (
            ("examples", 0, 200), ("thumbnail", 32, 1024), ("max_mb", 2.0, 500.0),
            ("seed", 0, 2**31),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                msg = f"--{name.replace('_', '-')} must be from {low:g} to {high:g}, got {value:g}"
                raise UsageError(msg)
