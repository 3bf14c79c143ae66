"""A distribution of values as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

BARS = 10
WIDTH = 40


def histogram(
    values: pl.Series, threshold: float, *, removes_low: bool = True, noun: str = "values"
) -> str:
    """Distribution of values as lines of text, those that are removed with a lighter bar."""
    given = values.drop_nulls()
    if not len(given):
        return f"  no {noun}"
    low, high = float(given.min()), float(given.max())  # type: ignore[arg-type]
    if low == high:
        return f"  all {len(given):,} {noun} are {low:g}"
    counts, step = counts_of(given, low, high)
    digits = 3 if step >= 0.005 else 6
    lines = []
    for bar, count in enumerate(counts):
        start, end = low + bar * step, low + (bar + 1) * step
        below, above = (".", "#") if removes_low else ("#", ".")
        fill = below if end <= threshold else above if start >= threshold else "+"
        bar_text = fill * round(WIDTH * count / max(counts))
        lines.append(f"  {start:8.{digits}f} to {end:8.{digits}f} {count:>9,} {bar_text}")
    mixed = ", + the bar with the threshold" if any("+" in line for line in lines) else ""
    return "\n".join([*lines, f"  . removed, # kept{mixed}"])


def counts_of(given: pl.Series, low: float, high: float) -> tuple[list[int], float]:
    """Values in each of the bars from `low` to `high`, and the width of a bar."""
    step = (high - low) / BARS
    bars = ((given - low) / step).floor().clip(0, BARS - 1).cast(int)
    return [int((bars == bar).sum()) for bar in range(BARS)], step
