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
    examples: int = option(12, help="examples to show of every kind; 0 shows no row of the data")
    images: bool = option(True, help="show thumbnails of the examples' images")
    thumbnail: int = option(224, help="longest side of a thumbnail in pixels")
    max_mb: float = option(10.0, help="most megabytes of the page; thumbnails shrink to fit")
    seed: int = option(0, help="chooses among examples that are equally telling")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name, least, most in (
            ("examples", 0, 200), ("thumbnail", 32, 1024), ("max_mb", 2.0, 500.0),
            ("seed", 0, 2**31),
        ):  # fmt: skip
            value = getattr(self, name)
            if not least <= value <= most:
                msg = (
                    f"--{name.replace('_', '-')} must be from {least:g} to {most:g}, got {value:g}"
                )
                raise UsageError(msg)
