"""The reliability diagram as an SVG that takes the page's colours and needs no script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

_SIDE: Final = 300
_LEFT: Final = 52
_TOP: Final = 12
_TICKS: Final = 4


def reliability(
    raw: Sequence[dict[str, float]],
    calibrated: Sequence[dict[str, float]],
    low: float,
    high: float,
    label: str,
) -> str:
    """Mean label over mean mark, with the line on which both are equal.

    Args:
        raw: Bins of the judge's marks.
        calibrated: Bins of the calibrated marks.
        low: Least value of both axes.
        high: Greatest.
        label: Title of the upright axis.
    """
    width, height = _LEFT + _SIDE + 16, _TOP + _SIDE + 46

    def x(value: float) -> float:
        return _LEFT + _SIDE * _inside((value - low) / (high - low))

    def y(value: float) -> float:
        return _TOP + _SIDE * (1 - _inside((value - low) / (high - low)))

    parts = [_grid(low, high, x, y)]
    for bins, color in ((raw, "var(--dropped)"), (calibrated, "var(--kept)")):
        points = [(x(b["mark"]), y(b["label"]), b) for b in bins]
        line = "L".join(f"{px:.1f} {py:.1f}" for px, py, _ in points)
        if len(points) > 1:
            parts.append(f'<path d="M{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        for px, py, b in points:
            parts.append(
                f'<path d="M{px:.1f} {y(b["low"]):.1f}V{y(b["high"]):.1f}" stroke="{color}" opacity=".6"/>'
                f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{color}"><title>mark {b["mark"]:.3f}, '
                f"label {b['label']:.3f}, {b['n']:,} rows</title></circle>"
            )
    middle = _LEFT + _SIDE / 2
    parts.append(
        f'<text x="{middle}" y="{height - 6}" text-anchor="middle">the judge</text>'
        f'<text transform="translate(13 {_TOP + _SIDE / 2}) rotate(-90)" text-anchor="middle">{label}</text>'
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="reliability diagram: mean label '
        f'by mean mark" style="max-width:26rem;width:100%;fill:var(--soft);font-size:12px">{"".join(parts)}</svg>'
    )


def _inside(share: float) -> float:
    return min(1.0, max(0.0, share))


def _grid(low: float, high: float, x: Any, y: Any) -> str:
    out = []
    for number in range(_TICKS + 1):
        value = low + (high - low) * number / _TICKS
        out.append(
            f'<path d="M{x(value):.1f} {_TOP}v{_SIDE}M{_LEFT} {y(value):.1f}h{_SIDE}" stroke="var(--line)"/>'
            f'<text x="{x(value):.1f}" y="{_TOP + _SIDE + 18}" text-anchor="middle">{value:g}</text>'
            f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    out.append(
        f'<path d="M{x(low):.1f} {y(low):.1f}L{x(high):.1f} {y(high):.1f}" stroke="var(--rejected)" '
        'stroke-dasharray="4 4"/>'
    )
    return "".join(out)
