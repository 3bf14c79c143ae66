"""What the other sections of the page show, from report.json."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Any, Final

from curate.report import charts
from curate.report.words import MISSING, STEPS
from pairwright.webpage.numbers import percent

Metrics = dict[str, Any]

_AXIS: Final = {
    "question_words": "words", "answer_words": "words", "answers": "answers",
    "images_per_sample": "images", "long_side": "pixels",
}  # fmt: skip


def absent(metrics: Metrics) -> dict[str, Metrics]:
    """What a section shows where its table is missing, and the command that makes it."""
    data = shlex.quote(metrics["dataset"] + "/")
    return {
        name: {"text": text, "command": command.format(data=data)}
        for name, (text, command) in MISSING.items()
    }


def step_story(step: Metrics, images: int) -> str:
    """What a step did to the rows that it dropped, as a sentence's end."""
    what = STEPS.get(step["step"], ("", f"were removed by {step['step']}"))[1]
    return what if images else what.replace(" about the same image", "")


def funnel_rows(flow: Metrics) -> list[tuple[str, ...]]:
    """The funnel as a table: step, what, rows, rows left."""
    rows: list[tuple[str, ...]] = [
        (one["source"], "read from here", f"{one['rows'] + one['invalid']:,}", "")
        for one in flow["sources"]
    ]
    invalid = sum(one["invalid"] for one in flow["sources"])
    if invalid:
        rows.append(
            ("ingest", "invalid: could not be read", f"\u2212{invalid:,}", f"{flow['read']:,}")
        )
    for step in flow["steps"]:
        left = step["left"] + step["dropped"]
        for reason in step["reasons"]:
            left -= reason["rows"]
            lost = f"\u2212{reason['rows']:,}"
            rows.append((step["run"], reason["words"], lost, f"{left:,}"))
        if not step["reasons"]:
            rows.append((step["run"], "nothing dropped", "0", f"{left:,}"))
    return rows


def spread(metrics: Metrics) -> Metrics:
    """Lengths, names, images and scores: as histograms, in columns, or as one value."""
    histograms, lists, constant = [], [], []
    for one in [*metrics["distributions"], *metrics["images"]]:
        if not one["total"]:
            continue
        value = _single(one)
        if value is not None:
            constant.append({"title": one["title"], "value": value, "total": one["total"]})
        elif "bins" in one:
            histograms.append(_histogram(one))
        elif one["values"]:
            tall = 4 + sum(1.2 + len(str(v["value"])) // 34 for v in one["values"])
            lists.append((tall, {**one, "note": _note(one)}))
    scores = [
        {**one, "chart": charts.histogram(one["bins"], title=f"scores for {one['criterion']}", axis="score")}
        for one in metrics["scores"]
        if one["bins"]
    ]  # fmt: skip
    return {
        "histograms": histograms, "columns": _columns(lists), "constant": constant, "scores": scores,
    }  # fmt: skip


def _single(one: Metrics) -> str | None:
    """The value where all rows have the same."""
    if "bins" in one:
        return f"{one['min']:,}" if one["min"] == one["max"] else None
    if one["distinct"] != 1 or one["key"].startswith("top_"):
        return None
    value = next(v["value"] for v in one["values"] if v["kept"] + v["dropped"])
    return "not stated" if value is None else str(value)


def _histogram(one: Metrics) -> Metrics:
    axis, bins = _AXIS[one["key"]], one["bins"]
    rows = [
        (f"{b['from']:,} to {b['to'] - 1:,}" if b["to"] - b["from"] > 1 else f"{b['from']:,}",
         f"{b['kept']:,}", f"{b['dropped']:,}")
        for b in bins
    ]  # fmt: skip
    chart = charts.histogram(bins, title=one["title"], axis=axis, width=one["width"])
    open_end = bins[-1]["to"] - bins[-1]["from"] > one["width"]
    return {**one, "axis": axis, "chart": chart, "rows": rows, "open_end": open_end}


def _note(one: Metrics) -> str:
    """What a list of names leaves out."""
    if one["key"].startswith("top_"):
        covered = one["total"] - one["others"]
        return (
            f"{one['distinct']:,} distinct ones (ignoring case, spacing and end punctuation); these are "
            f"{percent(covered, one['total'])} of all {one['total']:,}"
        )
    more = one["distinct"] - len(one["values"])
    return f"and {more:,} more with {one['others']:,} in all" if one["others"] else ""


def _columns(cards: list[tuple[float, Metrics]], n: int = 3) -> list[list[Metrics]]:
    """Cards in columns of about the same height.

    Args:
        cards: Height, in lines, and the card.
        n: Number of columns.
    """
    columns: list[list[int]] = [[] for _ in range(n)]
    heights = [0.0] * n
    for card in sorted(range(len(cards)), key=lambda i: -cards[i][0]):
        least = heights.index(min(heights))
        columns[least].append(card)
        heights[least] += cards[card][0]
    columns.sort(key=lambda one: min(one, default=len(cards)))
    return [[cards[card][1] for card in sorted(one)] for one in columns if one]


def versions(metrics: Metrics) -> str:
    """Packages that the runs were made with."""
    packages: dict[str, set[str]] = {}
    for one in metrics["runs"]:
        for name, version in one["packages"].items():
            packages.setdefault(name, set()).add(version)
    return ", ".join(f"{name} {' and '.join(sorted(some))}" for name, some in packages.items())


def minute(text: str) -> str:
    """A time to the minute."""
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"
    except ValueError:
        return "\u2013"


def day(text: str) -> str:
    """A date in words."""
    return f"{datetime.fromisoformat(text):%d %B %Y}".lstrip("0")


def took(run: Metrics) -> str:
    """How long a run took."""
    try:
        start, end = (
            datetime.fromisoformat(run[key] or "") for key in ("started_at", "finished_at")
        )
    except ValueError:
        return "\u2013"
    seconds = (end - start).total_seconds()
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
