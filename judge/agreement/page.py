"""The page: one HTML file without scripts that asks the network for nothing."""

from __future__ import annotations

import math
from html import escape
from typing import Any, Final

from judge.agreement import svg
from judge.agreement.words import audit_lines, counts, interval, share
from pairwright.text.htmltext import plain, visible
from pairwright.webpage import style_sheet
from pairwright.webpage.parts import Pictures, coded, table, tag

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_STYLE: Final = (
    ".pic{cursor:default}.verdict{max-width:56rem}.confusion table{width:auto}"
    "h1,h3,.verdict,.about,.tag,figcaption,.facts,details bdi{overflow-wrap:anywhere}"
    ".tag{white-space:normal}details bdi{display:block;white-space:pre-line;font-size:.9rem}"
)
_LONG: Final = 500
_SIDES: Final = {"a": "answer 1 is better", "b": "answer 2 is better"}


def render(figures: dict[str, Any], thumbs: tuple[dict[str, bytes], dict[str, str]]) -> str:
    """The page as text.

    Args:
        figures: Content of report.json.
        thumbs: WebP thumbnails by image id, and why some are missing.
    """
    sections = [
        ("agreement", "Agreement", _agreement(figures)),
        ("reliability", "What a mark means", _reliability(figures)),
        ("audits", "What moves the judge", _audits(figures)),
        ("gallery", "Disagreements", _gallery(figures, Pictures(*thumbs))),
        ("method", "How this was computed", _method(figures)),
    ]
    shown = [one for one in sections if one[2]]
    body = "".join(
        f'<section id={anchor} aria-labelledby="h-{anchor}"><h2 id="h-{anchor}">{title}</h2>{text}</section>'
        for anchor, title, text in shown
    )
    links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title, _ in shown)
    name = figures["judge"]["run"]
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        f'<meta name=generator content="pairwright {escape(figures["pairwright"])}">'
        f'<meta http-equiv=Content-Security-Policy content="{_POLICY}">'
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        '<meta name=color-scheme content="light dark"><meta name=referrer content=no-referrer>'
        f'<link rel=icon href="data:,"><title>{escape(plain(name))} \u2013 agreement</title>'
        f"<style>{style_sheet()}{_STYLE}</style></head><body><a class=skip href=#main>Skip to the figures</a>"
        f"<header class=bar><strong class=brand>{visible(name)}</strong>"
        f"<nav aria-label=Sections>{links}</nav></header>"
        f"<main id=main>{_hero(figures)}{body}</main>"
        f"<footer>{visible(figures['dataset'])} \u00b7 {escape(figures['made_at'][:16].replace('T', ' '))} "
        f"UTC \u00b7 pairwright {escape(figures['pairwright'])}</footer></body></html>"
    )


def _hero(figures: dict[str, Any]) -> str:
    judge, labels = figures["judge"], figures["labels"]
    who = visible(", ".join(judge["who"][:3]))
    against = f" against {visible(labels['run'])}" if labels else ""
    return (
        f"<section class=hero><p class=kicker>{visible(judge['run'])}{against}</p><h1>{who}</h1>"
        f"<p class='lead verdict'>{coded(figures['verdict'])}</p></section>"
    )


def _agreement(figures: dict[str, Any]) -> str:
    return "".join(_topic(topic) for topic in figures["topics"])


def _topic(topic: dict[str, Any]) -> str:
    rows = []
    for one in topic["figures"]:
        value = "\u2013" if one["value"] is None else f"{one['value']:.3f}"
        bounds = interval(one).strip(" ()") or "\u2013"
        rows.append((visible(one["name"]), value, bounds, f"{one['n']:,}"))
    people = topic["people"]
    if people is not None and people["alpha"] is not None:
        name = f"Krippendorff's alpha among {people['annotators']} annotators: the ceiling"
        bounds = interval(people).strip(" ()") or "\u2013"
        rows.append(
            (visible(name), f"{people['alpha']:.3f}", bounds, f"{people['rows_of_several']:,}")
        )
    head = ("figure", "value", "95 % interval", "rows")
    return (
        f"<h3>{visible(topic['name'])}</h3><p class=about>{visible(counts(topic))}.</p>"
        f"{table(head, rows, right=(1, 2, 3))}{_confusion(topic['confusion'])}"
    )


def _confusion(confusion: dict[str, Any] | None) -> str:
    if confusion is None:
        return ""
    rows = [
        (f"<b>judge: {visible(name)}</b>", *(f"{n:,}" for n in line))
        for name, line in zip(confusion["names"], confusion["table"], strict=True)
    ]
    head = ("", *(f"labels: {visible(name)}" for name in confusion["names"]))
    right = tuple(range(1, len(head)))
    return f"<h3>Who said what</h3><div class=confusion>{table(head, rows, right=right)}</div>"


def _reliability(figures: dict[str, Any]) -> str:
    out = []
    for topic in figures["topics"]:
        raw, fitted = topic["reliability"]["raw"], topic["reliability"]["calibrated"]
        if not raw and not fitted:
            continue
        low, high = (0.0, 1.0) if topic["shape"] != "marks" else _range(raw, fitted)
        label = "share that the labels call good" if low == 0 and high == 1 else "the labels' mark"
        label = "share that the labels prefer" if topic["shape"] == "verdicts" else label
        out.append(
            f"<figure class=card><figcaption>{visible(topic['name'])}<small>bins of equal numbers of "
            "rows; bars are 95 % intervals of the bin</small></figcaption>"
            f"{svg.reliability(raw, fitted, low, high, label)}</figure>"
        )
    if not out:
        return ""
    about = (
        "<p class=about>On the dashed line a mark means what the labels say. Calibrated marks were "
        "read by curves that saw no row of the same image.</p>"
    )
    legend = "<p class=legend><span class=d>as given</span><span class=k>calibrated</span></p>"
    return f"{about}{legend}<div class=grid>{''.join(out)}</div>"


def _range(raw: list[dict[str, float]], fitted: list[dict[str, float]]) -> tuple[float, float]:
    values = [v for b in (*raw, *fitted) for v in (b["mark"], b["label"], b["low"], b["high"])]
    low, high = min(values), max(values)
    if high - low > 1:  # whole numbers at the ends
        return float(math.floor(low)), float(math.ceil(high))
    return (low, high) if high > low else (low - 1, low + 1)


def _audits(figures: dict[str, Any]) -> str:
    lines = "".join(f"<li>{coded(line)}</li>" for line in audit_lines(figures["audits"]))
    return f"<ul class=facts>{lines}</ul>{_lengths(figures['topics'])}"


def _lengths(topics: list[dict[str, Any]]) -> str:
    wins: list[tuple[str, ...]] = []
    ranks: list[tuple[str, ...]] = []
    for topic in topics:
        length = topic["length"] or {}
        name = visible(topic["name"])
        for side, words in (
            ("judge", "the judge"), ("people", "the labels"),
            ("judge_given_people", "the judge, labels held fixed"),
        ):  # fmt: skip
            one = length.get(side)
            if one is None:
                continue
            if "chars" in one:
                wins.append((name, words, share(one["chars"]), share(one["words"])))
            elif one["value"] is not None:
                ranks.append((name, words, f"{one['value']:.2f}{interval(one)}"))
    out = ""
    if wins:
        head = ("criterion", "who decides", "longer answer wins, by characters", "by words")
        out += table(head, wins)
    if ranks:
        out += table(("criterion", "whose marks", "rank correlation with length"), ranks)
    return f"<h3>Length</h3>{out}" if out else ""


def _gallery(figures: dict[str, Any], pictures: Pictures) -> str:
    if not figures["topics"]:
        return ""
    if not figures["gallery"]:
        return "<p class=none>No row on which the judge and the labels differ is left to show.</p>"
    cards = "".join(_card(item, pictures) for item in figures["gallery"])
    return (
        "<p class=about>The worst first. Look here before you trust a figure: the labels are not "
        f"always right.</p><div class=groups>{cards}</div>"
    )


def _card(item: dict[str, Any], pictures: Pictures) -> str:
    answers = item["answers"]
    names = ["A"] if len(answers) == 1 else ["1", "2"]
    turns = [("Q", item["question"]), *zip(names, answers, strict=True)]
    if item["claim"]:
        turns.append(("C", item["claim"]))
    words = "".join(
        f"<div class=turn><abbr>{name}</abbr>{_text(text)}</div>" for name, text in turns
    )
    reason = (
        f"<details open><summary>the judge's reasons</summary><bdi dir=auto>{visible(item['rationale'])}</bdi></details>"
        if item["rationale"]
        else ""
    )
    label = _said(item["label"])
    if item["yes_or_no"]:
        label = "good" if item["label"] == 1 else "bad"
    sure = f", {100 * max(item['p'], 1 - item['p']):.0f} % sure" if item["p"] is not None else ""
    return (
        f"<article class=card><p class=fate>{tag(item['topic'])}"
        f"{tag('judge: ' + _said(item['judge']) + sure, 'warn')}{tag('labels: ' + label, 'on')}</p>"
        f"<div class=what>{pictures.of(item)}<div class=words>{words}{reason}"
        f"<p class=id>{visible(item['source'])} \u00b7 {visible(item['source_id'])}</p></div></div></article>"
    )


def _text(text: str) -> str:
    """A text; of a long one the end is folded away."""
    if len(text) <= _LONG:
        return f"<bdi dir=auto>{visible(text)}</bdi>"
    return (
        f"<div><bdi dir=auto>{visible(text[:_LONG])} \u2026</bdi><details><summary>all "
        f"{len(text):,} characters</summary><bdi dir=auto>{visible(text)}</bdi></details></div>"
    )


def _said(value: Any) -> str:
    if isinstance(value, str):
        return _SIDES.get(value, value)
    return f"{value:.2f}"


def _method(figures: dict[str, Any]) -> str:
    lines = [
        f"Intervals are percentile bootstrap intervals of {figures['draws']:,} resamples of whole "
        "groups: rows about one image are right or wrong together.",
        "Raw agreement counts what chance alone would give; alpha, kappa and AC1 do not. The gate "
        f"(--min-agreement) looks at {figures['metric']}, the lowest of all criteria.",
        "Of pairs, alpha, kappa and accuracy are of those that both sides decided. The others are "
        "counted, and the figures with `half` and `neither` include them.",
        "Several annotators' marks are averaged; of several verdicts the most frequent counts, and "
        "none if no verdict leads.",
        "The rank correlation `beyond` or `held fixed` is a partial correlation: what length explains "
        "of the judge's marks that the labels do not.",
    ]
    return "<ul>" + "".join(f"<li>{coded(line)}</li>" for line in lines) + "</ul>"
