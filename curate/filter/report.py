"""What a filter did, in words, and as figures for the run's summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from curate.filter.found import Found, Rows

if TYPE_CHECKING:
    import polars as pl

_BARS = 10
_WIDTH = 40
_CUT = 150
_FEW = 6
_OF_IMAGES = ("resolution", "aspect_ratio", "blank_image", "low_information", "blur", "image_text")
# Near the threshold, of rows that stay.
_BORDER = 2


def histogram(values: pl.Series, cut: float, *, low_goes: bool = True, noun: str = "marks") -> str:
    """Distribution of values as lines of text, those that go with a lighter bar."""
    given = values.drop_nulls()
    if not len(given):
        return f"  no {noun}"
    low, high = float(given.min()), float(given.max())  # type: ignore[arg-type]
    if low == high:
        return f"  all {len(given):,} {noun} are {low:g}"
    counts, step = _counts(given, low, high)
    digits = 3 if step >= 0.005 else 6
    lines = []
    for bar, count in enumerate(counts):
        start, end = low + bar * step, low + (bar + 1) * step
        below, above = ("." if low_goes else "#"), ("#" if low_goes else ".")
        sign = below if end <= cut else above if start >= cut else "+"
        mark = sign * round(_WIDTH * count / max(counts))
        lines.append(f"  {start:8.{digits}f} to {end:8.{digits}f} {count:>9,} {mark}")
    note = "  . goes, # stays" + (
        ", + the bar with the cut" if any("+" in x for x in lines) else ""
    )
    return "\n".join([*lines, note])


def distribution(one: Found) -> str:
    """Histogram of a filter's values; few distinct values are listed one by one."""
    import polars as pl

    assert one.cut is not None
    given = one.values.drop_nulls()
    counts = given.value_counts().sort(given.name)
    if not 1 < counts.height <= _FEW:
        return histogram(one.values, one.cut, low_goes=one.low_goes, noun="values")
    most = max(counts["count"].to_list())
    gone = set(one.values.filter(pl.Series(one.removes)).drop_nulls().to_list())
    return "\n".join(
        f"  {value:>20.4g} {count:>9,} {('.' if value in gone else '#') * round(_WIDTH * count / most)}"
        for value, count in counts.iter_rows()
    )


def _counts(given: pl.Series, low: float, high: float) -> tuple[list[int], float]:
    step = (high - low) / _BARS
    place = ((given - low) / step).floor().clip(0, _BARS - 1).cast(int)
    return [int((place == bar).sum()) for bar in range(_BARS)], step


def figures(found: list[Found]) -> dict[str, Any]:
    """Every filter's counts and a compact histogram, for the summary.

    `removed` counts rows that the filter alone would remove from the whole set, `only` those that
    no other filter would, `first` those whose reason it is.
    """
    total = np.sum([one.removes for one in found], axis=0) if found else np.zeros(0)
    first = first_of(found)
    out: dict[str, Any] = {}
    for number, one in enumerate(found):
        out[one.name] = {
            "rule": one.rule,
            "removed": int(one.removes.sum()),
            "only": int((one.removes & (total == 1)).sum()),
            "first": int((first == number).sum()),
            "measured": len(one.values) - one.values.null_count(),
            "threshold": one.cut,
            **_spread(one.values),
        }
    return out


def _spread(values: pl.Series) -> dict[str, Any]:
    given = values.drop_nulls()
    if not len(given):
        return {}
    low, high = float(given.min()), float(given.max())  # type: ignore[arg-type]
    marks = {f"p{q}": float(given.quantile(q / 100) or 0.0) for q in (1, 5, 50, 95, 99)}
    counts, step = ([len(given)], 0.0) if low == high else _counts(given, low, high)
    edges = [low, high] if low == high else [low + bar * step for bar in range(_BARS + 1)]
    return {
        "quantiles": {k: round(v, 4) for k, v in {"min": low, **marks, "max": high}.items()},
        "histogram": {"edges": [round(edge, 6) for edge in edges], "counts": counts},
    }


def first_of(found: list[Found]) -> np.ndarray:
    """Number of the first filter that every row fails, -1 for rows that stay."""
    if not found:
        return np.zeros(0, dtype=np.int64)
    first = np.full(len(found[0].removes), -1, dtype=np.int64)
    for number in reversed(range(len(found))):
        first[found[number].removes] = number
    return first


def table(shown: dict[str, Any], rows: int) -> list[str]:
    """One line a filter: what it removes in all and alone.

    Args:
        shown: From `figures`.
        rows: Rows of the set.
    """
    width = max((len(name) for name in shown), default=6)
    lines = [f"  {'filter':<{width}} {'removes':>9} {'share':>7} {'only it':>9}  what goes"]
    for name, one in shown.items():
        share = f"{100 * one['removed'] / rows:.2f} %" if rows else "-"
        lines.append(
            f"  {name:<{width}} {one['removed']:>9,} {share:>7} {one['only']:>9,}  {one['rule']}"
        )
    return lines


def section(one: Found, rows: Rows, show: int, hidden: dict[int, str]) -> list[str]:
    """A filter's distribution, victims and borderline rows.

    Args:
        one: What it found.
        rows: Samples.
        show: Examples of each.
        hidden: Rows with personal data, as they may be shown.
    """
    if one.cut is None and not one.removes.any():
        return []
    lines = ["", f"{one.name}: {one.rule}"]
    if one.values.null_count() == len(one.values):
        lines.append("  nothing to measure in any row")
    elif one.cut is not None:
        lines.append(f"  {one.unit}:")
        lines.append(distribution(one))
    gone = np.flatnonzero(one.removes)
    if show and len(gone):
        # From the whole set, not its first rows, which are often of one kind.
        chosen = gone[np.linspace(0, len(gone) - 1, min(show, len(gone))).astype(int)]
        lines.append("  goes:")
        lines += [_line(one, rows, int(row), hidden) for row in chosen]
    border = _border(one, min(show, _BORDER))
    if border:
        lines.append("  stays, nearest to the threshold:")
        lines += [_line(one, rows, row, hidden) for row in border]
    return lines


def _border(one: Found, count: int) -> list[int]:
    """Rows that stay with the values nearest to the threshold, one a value."""
    if one.cut is None or not count or not np.isfinite(one.cut):
        return []
    values = one.values.cast(float).fill_null(float("nan")).to_numpy()
    stays = ~one.removes & ~np.isnan(values) & (values > 0)
    if not stays.any() or np.nanmin(values) == np.nanmax(values):
        return []
    places = np.flatnonzero(stays)
    _, firsts = np.unique(values[places], return_index=True)
    places = places[firsts]
    order = np.argsort(np.abs(values[places] - one.cut), kind="stable")
    return [int(row) for row in places[order[:count]]]


def _line(one: Found, rows: Rows, row: int, hidden: dict[int, str]) -> str:
    value = one.values[row]
    mark = "" if value is None else f"{value:.4g}"
    words = one.where.get(row) if one.name == "pii" else hidden.get(row, one.where.get(row))
    if words is None:
        words = " -> ".join(text for role, text in rows.turns_of(row) if role != "system")
    images = rows.samples["image_ids"][row].to_list()
    if one.name in _OF_IMAGES and images:
        words = f"[image {images[0][:10]}] {words}"
    return f"  - {mark:>7}  {cut(words)}"


def cut(words: str) -> str:
    """A text on one line of bounded length, control signs made harmless."""
    line = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    return line if len(line) <= _CUT else line[: _CUT - 3] + "..."
