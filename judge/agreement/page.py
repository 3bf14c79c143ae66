"""The page: one HTML file without scripts that asks the network for nothing."""

from __future__ import annotations

import math
from typing import Any, Final

from judge.agreement import reliability
from judge.agreement.words import audit_lines, counts, interval, share
from pairwright.webpage.parts import Thumbnails
from pairwright.webpage.render import render_template

_LONG: Final = 500
_SIDES: Final = {"a": "answer 1 is better", "b": "answer 2 is better"}
# Anchor, title and template.
_SECTIONS: Final = (
    ("agreement", "Agreement", "agreement.html.jinja"),
    ("reliability", "What a mark means", "reliability.html.jinja"),
    ("audits", "What moves the judge", "audits.html.jinja"),
    ("gallery", "Disagreements", "gallery.html.jinja"),
    ("method", "How this was computed", "method.html.jinja"),
)


def render(figures: dict[str, Any], thumbs: tuple[dict[str, bytes], dict[str, str]]) -> str:
    """The page as text.

    Args:
        figures: Content of report.json.
        thumbs: WebP thumbnails by image id, and why some are missing.
    """
    diagrams = _diagrams(figures["topics"])
    empty = {
        "agreement": not figures["topics"],
        "gallery": not figures["topics"],
        "reliability": not diagrams,
    }
    return render_template(
        "judge.agreement",
        "page.html.jinja",
        version=figures["pairwright"],
        figures=figures,
        sections=[
            dict(zip(("anchor", "title", "template"), one, strict=True))
            for one in _SECTIONS
            if not empty.get(one[0])
        ],
        topics=[_topic(topic) for topic in figures["topics"]],
        diagrams=diagrams,
        audit_lines=audit_lines(figures["audits"]),
        lengths=_lengths(figures["topics"]),
        gallery=[_card(item, Thumbnails(*thumbs)) for item in figures["gallery"]],
    )


def _topic(topic: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (one["name"], _three_digits(one["value"]), _bounds(one), f"{one['n']:,}")
        for one in topic["figures"]
    ]
    people = topic["people"]
    if people is not None and people["alpha"] is not None:
        name = f"Krippendorff's alpha among {people['annotators']} annotators: the ceiling"
        several = f"{people['rows_of_several']:,}"
        rows.append((name, _three_digits(people["alpha"]), _bounds(people), several))
    return {
        "name": topic["name"], "counts": counts(topic), "rows": rows, "confusion": topic["confusion"],
    }  # fmt: skip


def _three_digits(value: float | None) -> str:
    return "\u2013" if value is None else f"{value:.3f}"


def _bounds(one: dict[str, Any]) -> str:
    return interval(one).strip(" ()") or "\u2013"


def _diagrams(topics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    out = []
    for topic in topics:
        raw, fitted = topic["reliability"]["raw"], topic["reliability"]["calibrated"]
        if not raw and not fitted:
            continue
        low, high = (0.0, 1.0) if topic["shape"] != "marks" else _range(raw, fitted)
        label = "share that the labels call good" if low == 0 and high == 1 else "the labels' mark"
        label = "share that the labels prefer" if topic["shape"] == "verdicts" else label
        plot = reliability.Plot(low, high)
        curves = [
            {"color": color, "points": plot.points(bins)}
            for color, bins in (("var(--dropped)", raw), ("var(--kept)", fitted))
        ]
        out.append({"name": topic["name"], "label": label, "plot": plot, "curves": curves})
    return out


def _range(raw: list[dict[str, float]], fitted: list[dict[str, float]]) -> tuple[float, float]:
    values = [v for b in (*raw, *fitted) for v in (b["mark"], b["label"], b["low"], b["high"])]
    low, high = min(values), max(values)
    if high - low > 1:  # whole numbers at the ends
        return float(math.floor(low)), float(math.ceil(high))
    return (low, high) if high > low else (low - 1, low + 1)


def _lengths(topics: list[dict[str, Any]]) -> dict[str, list[tuple[str, ...]]]:
    """How often the longer answer wins, and how marks go with length, by topic and by whom."""
    wins: list[tuple[str, ...]] = []
    ranks: list[tuple[str, ...]] = []
    for topic in topics:
        length = topic["length"] or {}
        for side, words in (
            ("judge", "the judge"), ("people", "the labels"),
            ("judge_given_people", "the judge, labels held fixed"),
        ):  # fmt: skip
            one = length.get(side)
            if one is None:
                continue
            if "chars" in one:
                wins.append((topic["name"], words, share(one["chars"]), share(one["words"])))
            elif one["value"] is not None:
                ranks.append((topic["name"], words, f"{one['value']:.2f}{interval(one)}"))
    return {"wins": wins, "ranks": ranks}


def _card(item: dict[str, Any], thumbnails: Thumbnails) -> dict[str, Any]:
    answers = item["answers"]
    names = ["A"] if len(answers) == 1 else ["1", "2"]
    turns = [("Q", item["question"]), *zip(names, answers, strict=True)]
    if item["claim"]:
        turns.append(("C", item["claim"]))
    label = _said(item["label"])
    if item["yes_or_no"]:
        label = "good" if item["label"] == 1 else "bad"
    sure = f", {100 * max(item['p'], 1 - item['p']):.0f} % sure" if item["p"] is not None else ""
    return {
        **item,
        "images": thumbnails.of(item),
        "judge": _said(item["judge"]) + sure,
        "label": label,
        "turns": [
            {"name": name, "text": text, "head": text[:_LONG] if len(text) > _LONG else ""}
            for name, text in turns
        ],
    }


def _said(value: Any) -> str:
    if isinstance(value, str):
        return _SIDES.get(value, value)
    return f"{value:.2f}"
