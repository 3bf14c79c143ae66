"""What the rules did, in words, and as metrics for the run's summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from curate.filter.found import Found
from curate.filter.histogram import BARS, WIDTH, counts_of, histogram
from curate.filter.rows import Rows

if TYPE_CHECKING:
    import polars as pl

_CUT = 150
_FEW = 6
# Near the threshold, of rows that are kept.
_BORDER = 2


def _distribution(one: Found) -> str:
    """Histogram of a rule's values; few distinct values are listed one by one."""
    import polars as pl

    assert one.threshold is not None
    given = one.values.drop_nulls()
    counts = given.value_counts().sort(given.name)
    if not 1 < counts.height <= _FEW:
        return histogram(one.values, one.threshold, removes_low=one.removes_low)
    most = max(counts["count"].to_list())
    gone = set(one.values.filter(pl.Series(one.removes)).drop_nulls().to_list())
    return "\n".join(
        f"  {value:>20.4g} {count:>9,} "
        + ("." if value in gone else "#") * round(WIDTH * count / most)
        for value, count in counts.iter_rows()
    )


def metrics(found: list[Found]) -> dict[str, Any]:
    """Every rule's counts and a compact histogram, for the summary.

    `removed` counts rows that the rule alone would remove from the whole set, `only` those that
    no other rule would, `first` those whose reason it is.
    """
    from curate.filter.rules import load_rules

    words = {reason.name: reason.words for rule in load_rules() for reason in rule.reasons}
    total = np.sum([one.removes for one in found], axis=0) if found else np.zeros(0)
    first = first_of(found)
    out: dict[str, Any] = {}
    for number, one in enumerate(found):
        names = {one.name, *one.reasons.values()}
        out[one.name] = {
            "rule": one.rule,
            "words": {name: words[name] for name in sorted(names) if name in words},
            "removed": int(one.removes.sum()),
            "only": int((one.removes & (total == 1)).sum()),
            "first": int((first == number).sum()),
            "measured": len(one.values) - one.values.null_count(),
            "threshold": one.threshold,
            **_spread(one.values),
        }
    return out


def _spread(values: pl.Series) -> dict[str, Any]:
    given = values.drop_nulls()
    if not len(given):
        return {}
    low, high = float(given.min()), float(given.max())  # type: ignore[arg-type]
    inner = {f"p{q}": float(given.quantile(q / 100) or 0.0) for q in (1, 5, 50, 95, 99)}
    counts, step = ([len(given)], 0.0) if low == high else counts_of(given, low, high)
    edges = [low, high] if low == high else [low + bar * step for bar in range(BARS + 1)]
    return {
        "quantiles": {k: round(v, 4) for k, v in {"min": low, **inner, "max": high}.items()},
        "histogram": {"edges": [round(edge, 6) for edge in edges], "counts": counts},
    }


def first_of(found: list[Found]) -> np.ndarray:
    """Number of the first rule that every row fails, -1 for rows that are kept."""
    if not found:
        return np.zeros(0, dtype=np.int64)
    first = np.full(len(found[0].removes), -1, dtype=np.int64)
    for number in reversed(range(len(found))):
        first[found[number].removes] = number
    return first


def stored(summary: dict[str, Any]) -> str:
    """A run's summary: rows in and out, then one line per rule."""
    rows, removed = summary["rows"], summary["removed"]
    percent = f" ({100 * removed / rows:.1f} %)" if rows else ""
    seconds = f", in {summary['seconds']:.1f} s" if "seconds" in summary else ""
    head = f"{rows:,} rows in, {summary['kept']:,} kept, {removed:,} removed{percent}{seconds}"
    # Runs of scores alone had no metrics per rule in earlier versions.
    return "\n".join([head, *_table(summary.get("filters", {}), rows)])


def _table(shown: dict[str, Any], rows: int) -> list[str]:
    if not shown:
        return []
    width = max(len(name) for name in shown)
    lines = [f"  {'rule':<{width}} {'removes':>9} {'rate':>7} {'only it':>9}  what is removed"]
    for name, one in shown.items():
        rate = f"{100 * one['removed'] / rows:.2f} %" if rows else "-"
        lines.append(
            f"  {name:<{width}} {one['removed']:>9,} {rate:>7} {one['only']:>9,}  {one['rule']}"
        )
    return lines


def section(one: Found, rows: Rows, show: int, hidden: dict[int, str]) -> list[str]:
    """A rule's distribution, dropped rows and borderline rows.

    Args:
        one: What it found.
        rows: Samples.
        show: Examples of each.
        hidden: Rows whose text must not be printed, as they may be shown.
    """
    if one.threshold is None and not one.removes.any():
        return []
    lines = ["", f"{one.name}: {one.rule}", *(f"  {note}" for note in one.notes)]
    if one.values.null_count() == len(one.values):
        lines.append("  nothing to measure in any row")
    elif one.threshold is not None:
        lines.append(f"  {one.unit}:")
        lines.append(_distribution(one))
    gone = np.flatnonzero(one.removes)
    if show and len(gone):
        # From the whole set, not its first rows, which are often of one kind.
        chosen = gone[np.linspace(0, len(gone) - 1, min(show, len(gone))).astype(int)]
        lines.append("  removed:")
        lines += [_line(one, rows, int(row), hidden) for row in chosen]
    border = _border(one, min(show, _BORDER))
    if border:
        lines.append("  kept, nearest to the threshold:")
        lines += [_line(one, rows, row, hidden) for row in border]
    return lines


def _border(one: Found, count: int) -> list[int]:
    """Kept rows with the values nearest to the threshold, one per value."""
    if one.threshold is None or not count or not np.isfinite(one.threshold):
        return []
    values = one.values.cast(float).fill_null(float("nan")).to_numpy()
    kept = ~one.removes & ~np.isnan(values) & (values > 0)
    if not kept.any() or np.nanmin(values) == np.nanmax(values):
        return []
    found = np.flatnonzero(kept)
    _, firsts = np.unique(values[found], return_index=True)
    found = found[firsts]
    order = np.argsort(np.abs(values[found] - one.threshold), kind="stable")
    return [int(row) for row in found[order[:count]]]


def _line(one: Found, rows: Rows, row: int, hidden: dict[int, str]) -> str:
    value = one.values[row]
    shown = "" if value is None else f"{value:.4g}"
    words = one.evidence.get(row) if one.masked else hidden.get(row, one.evidence.get(row))
    if words is None:
        words = " -> ".join(text for role, text in rows.turns_of(row) if role != "system")
    images = rows.samples["image_ids"][row].to_list()
    if one.of_images and images:
        words = f"[image {images[0][:10]}] {words}"
    return f"  - {shown:>7}  {_cut(words)}"


def _cut(words: str) -> str:
    """A text on one line of bounded length, control characters made harmless."""
    line = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    return line if len(line) <= _CUT else line[: _CUT - 3] + "..."
