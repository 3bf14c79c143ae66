"""What an evaluation measures: one file a metric.

A new metric is a file here that sets `METRIC`, and its name in `METRICS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from train.evaluate.metrics.base import Metric

METRICS: Final = (
    "exact-match",
    "preference",
)


def load_metrics() -> tuple[Metric, ...]:
    """All metrics."""
    return tuple(import_module(f"{__name__}.{name.replace('-', '_')}").METRIC for name in METRICS)
