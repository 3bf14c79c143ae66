"""Options of `judge calibrate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pairwright.commands.options import option


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateOptions:
    """Options of `judge calibrate`."""

    calibration: Path = option(help="the calibration.json that `judge agree` wrote")
    scores: str | None = option(None, help="run of scores to read (default: the active one)")
