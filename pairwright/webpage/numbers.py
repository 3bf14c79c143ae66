"""Numbers for readers."""

from __future__ import annotations


def number(value: float | None) -> str:
    """A number as a reader wants it."""
    if value is None:
        return "\u2013"
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.3g}" if abs(value) < 1 else f"{value:,.2f}"


def percent(part: float, whole: float) -> str:
    """A fraction as a percentage; never 0 or 100 where it is not."""
    if not whole:
        return "0 %"
    value = 100 * part / whole
    if 0 < value < 0.1:
        return "under 0.1 %"
    if 99.9 < value < 100:
        return "over 99.9 %"
    return f"{value:.1f} %" if value % 1 else f"{value:.0f} %"
