"""Positions of the parts of a reliability diagram; the template draws them.

It is drawn by hand, without Altair, so that `judge agree` needs no extra.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

SIDE: Final = 300
LEFT: Final = 52
TOP: Final = 12
_TICKS: Final = 4


class Plot:
    """A square whose two axes have the same range."""

    side, left, top = SIDE, LEFT, TOP
    width, height = LEFT + SIDE + 16, TOP + SIDE + 46

    def __init__(self, low: float, high: float) -> None:
        """Take the lowest and the highest value of both axes."""
        self.low, self.high = low, high

    def x(self, value: float) -> float:
        """From the left, in pixels."""
        return LEFT + SIDE * self._inside(value)

    def y(self, value: float) -> float:
        """From the top, in pixels."""
        return TOP + SIDE * (1 - self._inside(value))

    def _inside(self, value: float) -> float:
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    @property
    def ticks(self) -> list[float]:
        """Values that label the axes."""
        return [self.low + (self.high - self.low) * n / _TICKS for n in range(_TICKS + 1)]

    def points(self, bins: Sequence[dict[str, float]]) -> list[dict[str, Any]]:
        """Mean label over mean score of every bin, with its interval."""
        return [
            {**one, "x": self.x(one["score"]), "y": self.y(one["label"]),
             "y_low": self.y(one["low"]), "y_high": self.y(one["high"])}
            for one in bins
        ]  # fmt: skip
