"""Sections of the page, from the figures of report.json."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Any

from curate.report import charts
from curate.report.galleries import conflicts, duplicates, victims
from curate.report.words import MISSING
from pairwright.text.htmltext import visible
from pairwright.webpage.parts import Pictures, bars, coded, number, share, table, tag

__all__ = [
    "Drawing", "conflicts", "duplicates", "footer", "funnel", "headline", "lineage", "rejects",
    "spread", "victims",
]  # fmt: skip

Figures = dict[str, Any]


class Drawing:
    """What sections share while a page is drawn: pictures, and the charts so far."""

    def __init__(self, pictures: Pictures) -> None:
        """No chart yet."""
        self.pictures = pictures
        self.specs: list[dict[str, Any]] = []

    def chart(self, spec: dict[str, Any], *, least: int = 0, tall: int = 170) -> str:
        """A place for a chart; scripts fill it."""
        self.specs.append(spec)
        width = f"min-width:{least}px;" if least else ""
        return (
            f'<div class="chart{" wide" if least else ""}"{" tabindex=0 role=region aria-label=Diagram" if least else ""}>'
            f'<div data-chart={len(self.specs) - 1} style="{width}min-height:{tall}px"></div></div>'
        )


def missing(name: str, figures: Figures) -> str:
    """What is not there yet, and the command that would bring it."""
    text, command = MISSING[name]
    shown = command.format(data=shlex.quote(figures["dataset"] + "/"))
    return f"<p class=none>{text} This fills the section: <code>{visible(shown)}</code></p>"


def headline(figures: Figures) -> str:
    """The result in one sentence, then the figures one by one."""
    head, flow = figures["headline"], figures["funnel"]
    read, kept = head["samples_read"], head["samples_kept"]
    if not read:
        lead = "No samples yet."
    elif not flow["steps"]:
        lead = f"<b>{read:,}</b> samples, none judged yet: everything is kept."
    else:
        lead = f"<b>{kept:,}</b> of {read:,} samples stay: <b>{share(kept, read)}</b>."
    lost = head["rows_rejected"]
    unread = "could not be read" if lost else "every row was read"
    tiles = [
        ("kept", kept, share(kept, read), "kept"),
        ("dropped", head["samples_dropped"], share(head["samples_dropped"], read), "dropped"),
        ("rejected at ingest", lost, unread, "rejected"),
    ]
    if head["images"]:
        tiles.append(("images", head["images"], f"{head['images_kept']:,} in kept samples", ""))
    if head["conflicts"]:
        on = f"on {head['conflicting_questions']:,} questions"
        tiles.append(("contradictions", head["conflicts"], on, ""))
    shown = "".join(
        f'<div class="tile {kind}"><dt>{name}</dt><dd><b>{value:,}</b><span>{note}</span></dd></div>'
        for name, value, note, kind in tiles
    )
    limit = figures["limit"]
    part = f"<p class=note>Only the first {limit:,} samples (--limit).</p>" if limit else ""
    notes = "".join(f"<p class=note>{coded(note)}</p>" for note in figures["notes"])
    return (
        f"<section class=hero aria-label=Headline><p class=kicker>Data report \u00b7 {_day(figures['made_at'])}</p>"
        f"<h1>{visible(figures['title'])}</h1><p class=lead>{lead}</p>{_ratio(head)}<p class=story>{_story(figures)}</p>"
        f"<dl class=tiles>{shown}</dl>{part}{notes}</section>"
    )


def _ratio(head: Figures) -> str:
    """One bar: kept, dropped, rejected."""
    parts = [
        (head["samples_kept"], "k"), (head["samples_dropped"], "d"), (head["rows_rejected"], "r"),
    ]  # fmt: skip
    total = sum(rows for rows, _ in parts)
    if not total:
        return ""
    bits = "".join(f'<i class={kind} style="flex:{rows}"></i>' for rows, kind in parts if rows)
    return f"<div class=ratio aria-hidden=true>{bits}</div>"


def _story(figures: Figures) -> str:
    """What happened, step by step, in words."""
    from curate.report.words import STEPS

    flow = figures["funnel"]
    n = len(flow["sources"])
    out = [f"{flow['read']:,} samples came from {'one source' if n == 1 else f'{n} sources'}."]
    for step in flow["steps"]:
        what = STEPS.get(step["step"], ("", f"went by {step['step']}"))[1]
        if not figures["headline"]["images"]:
            what = what.replace(" about the same image", "")
        out.append(
            f"{step['dropped']:,} {visible(what)}." if step["dropped"] else
            f"{visible(step['title'])}: nothing was dropped."
        )  # fmt: skip
    return " ".join(out) if flow["read"] else "Read some rows with <code>curate ingest</code>."


def funnel(figures: Figures, drawing: Drawing) -> str:
    """The Sankey diagram, and the same as a table."""
    flow = figures["funnel"]
    if not flow["read"] and not flow["sources"]:
        return "<p class=none>Nothing was read yet: <code>curate ingest SRC -o data/</code></p>"
    spec, least = charts.sankey(flow)
    rows = [
        [visible(s["source"]), "read from here", f"{s['rows'] + s['rejected']:,}", ""]
        for s in flow["sources"]
    ]
    rejected = sum(s["rejected"] for s in flow["sources"])
    if rejected:
        rows.append(
            ["ingest", "rejected: could not be read", f"\u2212{rejected:,}", f"{flow['read']:,}"]
        )
    for step in flow["steps"]:
        left = step["left"] + step["dropped"]
        for reason in step["reasons"]:
            left -= reason["rows"]
            rows.append(
                [
                    visible(step["run"]),
                    visible(reason["words"]),
                    f"\u2212{reason['rows']:,}",
                    f"{left:,}",
                ]
            )
        if not step["reasons"]:
            rows.append([visible(step["run"]), "nothing dropped", "0", f"{left:,}"])
    as_table = table(("step", "what", "rows", "left"), rows, right=(2, 3))
    hint = (
        "" if flow["steps"] else
        "<p class=none>No step has decided on these samples yet. Begin with <code>curate dedup</code>.</p>"
    )  # fmt: skip
    return (
        "<noscript><p class=note>The charts need scripts. Without them the tables below each chart hold "
        "the same figures.</p></noscript><p class=about>Follow the rows from left to right: what stays runs along the top, what goes "
        "falls off at the step that dropped it. A row is counted once, at the first step that dropped "
        f"it.</p>{drawing.chart(spec, least=least, tall=spec['height'])}"
        f"<p class=swipe>The diagram is wider than the screen: move it sideways.</p>{hint}"
        f"<details><summary>The funnel as a table</summary>{as_table}</details>"
    )


LEGEND = "<p class=legend><span class=k>kept</span><span class=d>dropped</span></p>"


def spread(figures: Figures, drawing: Drawing) -> str:
    """Lengths, names, images and marks."""
    fates = bool(figures["funnel"]["steps"])
    axis = {
        "question_words": "words", "answer_words": "words", "answers": "answers",
        "images_a_sample": "images", "long_side": "pixels",
    }  # fmt: skip
    cards, lists, facts = [], [], []
    for one in [*figures["distributions"], *figures["images"]]:
        if not one["total"]:
            continue
        single = _single(one)
        if single:
            facts.append(f"<li>{visible(one['title'])}: <b>{single}</b></li>")
        elif "bins" in one:
            cards.append(_histogram(one, axis[one["key"]], drawing))
        elif one["values"]:
            tall = 4 + sum(1.2 + len(str(v["value"])) // 34 for v in one["values"])
            lists.append((tall, _names(one, fates=fates)))
    same = f"<h3>The same everywhere</h3><ul class=facts>{''.join(facts)}</ul>" if facts else ""
    about = (
        "<p class=about>Words are counted turn by turn, images once; an image counts as kept if a kept "
        "sample has it. A character of a script without spaces counts as a word.</p>"
    )
    return (
        f"{about}{LEGEND if fates else ''}<div class=grid>{''.join(cards)}</div>"
        f"{_columns(lists)}{same}"
        f"<h3>Marks of the judge</h3>{_marks(figures, drawing)}"
    )


def _columns(cards: list[tuple[float, str]], n: int = 3) -> str:
    """Cards of different heights in columns of about the same height.

    Args:
        cards: Height, in lines, and the card.
        n: Number of columns.
    """
    columns: list[list[int]] = [[] for _ in range(n)]
    heights = [0.0] * n
    for place in sorted(range(len(cards)), key=lambda i: -cards[i][0]):
        least = heights.index(min(heights))
        columns[least].append(place)
        heights[least] += cards[place][0]
    columns.sort(key=lambda one: min(one, default=len(cards)))
    inside = ["".join(cards[place][1] for place in sorted(one)) for one in columns if one]
    return f"<div class=columns>{''.join(f'<div>{one}</div>' for one in inside)}</div>"


def _single(one: Figures) -> str:
    """The value where all rows have the same."""
    if "bins" in one:
        return f"{one['min']:,}, all of {one['total']:,}" if one["min"] == one["max"] else ""
    if one["distinct"] != 1 or one["key"].startswith("top_"):
        return ""
    value = next(v["value"] for v in one["values"] if v["kept"] + v["dropped"])
    name = "not stated" if value is None else str(value)
    return f"{visible(name)}, all of {one['total']:,}"


def _histogram(one: Figures, axis: str, drawing: Drawing) -> str:
    spec = charts.histogram(one["bins"], title=one["title"], axis=axis, width=one["width"])
    rows = [
        [f"{b['from']:,} to {b['to'] - 1:,}" if b["to"] - b["from"] > 1 else f"{b['from']:,}",
         f"{b['kept']:,}", f"{b['dropped']:,}"]
        for b in one["bins"]
    ]  # fmt: skip
    last = one["bins"][-1]
    more = (
        f"; the last bar is everything from {last['from']:,} up"
        if last["to"] - last["from"] > one["width"]
        else ""
    )
    return (
        f"<figure class=card><figcaption>{visible(one['title'])}<small>half have at most "
        f"{one['median']:,}, the longest {one['max']:,}{more}</small></figcaption>{drawing.chart(spec)}"
        f"<details><summary>As a table</summary>{table((axis, 'kept', 'dropped'), rows, right=(1, 2))}"
        "</details></figure>"
    )


def _names(one: Figures, *, fates: bool) -> str:
    small = ""
    if one["key"].startswith("top_"):
        covered = one["total"] - one["others"]
        small = (
            f"{one['distinct']:,} different ones (but for case, spacing and end marks); these make "
            f"{share(covered, one['total'])} of all {one['total']:,}"
        )
    elif one["others"]:
        small = f"and {one['distinct'] - len(one['values']):,} more with {one['others']:,} in all"
    note = f"<small>{small}</small>" if small else ""
    return (
        f"<figure class=card><figcaption>{visible(one['title'])}{note}</figcaption>"
        f"{bars(one['values'], total=one['total'], fates=fates)}</figure>"
    )


def _marks(figures: Figures, drawing: Drawing) -> str:
    if not figures["marks"]:
        return missing("scores", figures)
    cards = []
    for one in figures["marks"]:
        if not one["bins"]:
            continue
        spec = charts.histogram(one["bins"], title=f"marks for {one['criterion']}", axis="mark")
        apart = (
            f"; kept {number(one['mean_kept'])}, dropped {number(one['mean_dropped'])}"
            if one["mean_dropped"] is not None and one["mean_kept"] is not None
            else ""
        )
        without = f"; {one['without_mark']:,} without a mark" if one["without_mark"] else ""
        cards.append(
            f"<figure class=card><figcaption>{visible(one['criterion'])}<small>mean "
            f"{number(one['mean'])}{apart}{without}. Judge: {visible(one['judge'])}, "
            f"{visible(one['run'])}</small></figcaption>{drawing.chart(spec)}</figure>"
        )
    return f"<div class=grid>{''.join(cards)}</div>"


def rejects(figures: Figures, drawing: Drawing) -> str:
    """Rows that could not be processed, by reason."""
    del drawing
    if not figures["rejects"]:
        return "<p class=none>No row was rejected: everything that was read could be processed.</p>"
    out = []
    for one in figures["rejects"]:
        rows = [
            [f"<bdi>{visible(e['row_id'])}</bdi>", f"<bdi>{visible(e['detail'] or '')}</bdi>"]
            for e in one["examples"]
        ]
        out.append(
            f"<details class=reject><summary><b>{one['rows']:,}</b> \u00b7 {visible(one['words'])} "
            f"<span class=soft>while {visible(one['stage_words'])}, {visible(one['table'])}</span></summary>"
            f"{table(('row', 'what was found'), rows)}</details>"
        )
    return (
        "<p class=about>These rows could not be processed and are in no table of samples. Nothing is "
        f"lost in silence: every one has a line in the rejects.</p>{''.join(out)}"
    )


def lineage(figures: Figures, drawing: Drawing) -> str:
    """The commands that made the dataset, oldest first."""
    del drawing
    rows = []
    for one in figures["runs"]:
        state = one["status"] if one["status"] != "complete" else ""
        force = tag("in force", "on") if one["active"] else ""
        idle = tag("not in force") if one["active"] is False and not state else ""
        rows.append(
            [
                f"{visible(one['table'])} {force}{idle}{tag(state, 'warn') if state else ''}",
                f"{one['rows']:,}",
                f"<code>{visible(one['command'])}</code>",
                _when(one["started_at"]),
                _took(one["started_at"], one["finished_at"]),
            ]
        )
    packages: dict[str, set[str]] = {}
    for one in figures["runs"]:
        for name, version in one["packages"].items():
            packages.setdefault(name, set()).add(version)
    versions = ", ".join(
        f"{visible(name)} {visible(' and '.join(sorted(found)))}"
        for name, found in packages.items()
    )
    return (
        "<p class=about>Every command reads tables and adds one; nothing is edited in place. Of several "
        "runs of a command the one <em>in force</em> counts; <code>pairwright use</code> chooses another."
        f"</p>{table(('table', 'rows', 'command', 'started (UTC)', 'took'), rows, right=(1, 4))}"
        f"<p class=soft>Made with {versions or 'no packages noted'}.</p>"
    )


def footer(figures: Figures) -> str:
    """When and by what the page was made."""
    return (
        f"<footer><p>Made {_when(figures['made_at'])} UTC by pairwright {visible(figures['pairwright'])} "
        "with <code>curate report</code>. The same figures are in <code>report.json</code> beside this "
        "file. This page is complete in itself: it asks the network for nothing.</p></footer>"
    )


def _when(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"
    except ValueError:
        return "\u2013"


def _day(text: str) -> str:
    return f"{datetime.fromisoformat(text):%d %B %Y}".lstrip("0")


def _took(start: str, end: str | None) -> str:
    try:
        seconds = (
            datetime.fromisoformat(end or "") - datetime.fromisoformat(start)
        ).total_seconds()
    except ValueError:
        return "\u2013"
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
