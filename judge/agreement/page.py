"""The page: one HTML file without scripts that asks the network for nothing."""

from __future__ import annotations

import math
from typing import Any, Final

from judge.agreement import reliability
from judge.agreement.sentences import audit_lines, counts, interval, rate
from pairwright.webpage.parts import Thumbnails
from pairwright.webpage.render import render_template

_LONG: Final = 500
_SIDES: Final = {"a": "response 1 is better", "b": "response 2 is better"}
# Anchor, title and template.
_SECTIONS: Final = (
    ("agreement", "Agreement", "agreement.html.jinja"),
    ("reliability", "Calibration", "reliability.html.jinja"),
    ("audits", "What affects the judge", "audits.html.jinja"),
    ("gallery", "Disagreements", "gallery.html.jinja"),
    ("method", "Method", "method.html.jinja"),
)


def render(report: dict[str, Any], thumbs: tuple[dict[str, bytes], dict[str, str]]) -> str:
    """The page as text.

    Args:
        report: Content of report.json.
        thumbs: WebP thumbnails by image id, and why some are missing.
    """
    diagrams = _diagrams(report["criteria"])
    empty = {
        "agreement": not report["criteria"],
        "gallery": not report["criteria"],
        "reliability": not diagrams,
    }
    return render_template(
        "judge.agreement",
        "page.html.jinja",
        version=report["pairwright"],
        report=report,
        sections=[
            dict(zip(("anchor", "title", "template"), one, strict=True))
            for one in _SECTIONS
            if not empty.get(one[0])
        ],
        criteria=[_criterion(one) for one in report["criteria"]],
        diagrams=diagrams,
        audit_lines=audit_lines(report["audits"]),
        lengths=_lengths(report["criteria"]),
        gallery=[_card(item, Thumbnails(*thumbs)) for item in report["gallery"]],
    )


def _criterion(criterion: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (one["name"], _three_digits(one["value"]), _bounds(one), f"{one['n']:,}")
        for one in criterion["metrics"]
    ]
    human = criterion["human_agreement"]
    if human is not None and human["alpha"] is not None:
        name = f"Krippendorff's alpha among {human['annotators']} annotators: the upper limit"
        several = f"{human['rows_of_several']:,}"
        rows.append((name, _three_digits(human["alpha"]), _bounds(human), several))
    return {
        "name": criterion["name"], "counts": counts(criterion), "rows": rows,
        "confusion": criterion["confusion"],
    }  # fmt: skip


def _three_digits(value: float | None) -> str:
    return "\u2013" if value is None else f"{value:.3f}"


def _bounds(one: dict[str, Any]) -> str:
    return interval(one).strip(" ()") or "\u2013"


def _diagrams(criteria: list[dict[str, Any]]) -> list[dict[str, Any]]:
    out = []
    for criterion in criteria:
        raw, fitted = criterion["reliability"]["raw"], criterion["reliability"]["calibrated"]
        if not raw and not fitted:
            continue
        low, high = (0.0, 1.0) if criterion["shape"] != "scores" else _range(raw, fitted)
        label = "fraction labeled good" if low == 0 and high == 1 else "mean label"
        label = "fraction preferred by the labels" if criterion["shape"] == "verdicts" else label
        plot = reliability.Plot(low, high)
        curves = [
            {"color": color, "points": plot.points(bins)}
            for color, bins in (("var(--dropped)", raw), ("var(--kept)", fitted))
        ]
        out.append({"name": criterion["name"], "label": label, "plot": plot, "curves": curves})
    return out


def _range(raw: list[dict[str, float]], fitted: list[dict[str, float]]) -> tuple[float, float]:
    values = [v for b in (*raw, *fitted) for v in (b["score"], b["label"], b["low"], b["high"])]
    low, high = min(values), max(values)
    if high - low > 1:  # whole numbers at the ends
        return float(math.floor(low)), float(math.ceil(high))
    return (low, high) if high > low else (low - 1, low + 1)


def _lengths(criteria: list[dict[str, Any]]) -> dict[str, list[tuple[str, ...]]]:
    """How often the longer response wins, and rank correlations with length."""
    wins: list[tuple[str, ...]] = []
    ranks: list[tuple[str, ...]] = []
    for criterion in criteria:
        length = criterion["length"] or {}
        for side, words in (
            ("judge", "the judge"), ("labels", "the labels"),
            ("judge_given_labels", "the judge, labels held fixed"),
        ):  # fmt: skip
            one = length.get(side)
            if one is None:
                continue
            if "chars" in one:
                wins.append((criterion["name"], words, rate(one["chars"]), rate(one["words"])))
            elif one["value"] is not None:
                ranks.append((criterion["name"], words, f"{one['value']:.2f}{interval(one)}"))
    return {"wins": wins, "ranks": ranks}


def _card(item: dict[str, Any], thumbnails: Thumbnails) -> dict[str, Any]:
    responses = item["responses"]
    names = ["R"] if len(responses) == 1 else ["1", "2"]
    turns = [("Q", item["question"]), *zip(names, responses, strict=True)]
    if item["claim"]:
        turns.append(("C", item["claim"]))
    label = _shown(item["label"])
    if item["yes_or_no"]:
        label = "good" if item["label"] == 1 else "bad"
    confidence = (
        f", {100 * max(item['p'], 1 - item['p']):.0f} % confident" if item["p"] is not None else ""
    )
    return {
        **item,
        "images": thumbnails.of(item),
        "judge": _shown(item["judge"]) + confidence,
        "label": label,
        "turns": [
            {"name": name, "text": text, "head": text[:_LONG] if len(text) > _LONG else ""}
            for name, text in turns
        ],
    }


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return _SIDES.get(value, value)
    return f"{value:.2f}"
