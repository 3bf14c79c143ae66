"""Galleries of the page: rows that went beside rows that stayed, and rows that contradict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from curate.report import charts
from pairwright.text.htmltext import visible
from pairwright.text.worddiff import Span
from pairwright.webpage.parts import (
    bars,
    differences,
    marked,
    number,
    row_name,
    share,
    table,
    tag,
    turns,
    word_marks,
)

if TYPE_CHECKING:
    from curate.report.sections import Drawing

Figures = dict[str, Any]

_SHORT: Final = 160  # characters of a conversation that may stand twice
_UNFOLDED: Final = 2  # reasons of a step that are seen without unfolding
_OPEN: Final = 6  # cards that are seen without unfolding the rest


def duplicates(figures: Figures, drawing: Drawing) -> str:
    """Groups of doubles, borderline first."""
    from curate.report.sections import missing

    found = figures["duplicates"]
    if found is None:
        return missing("duplicates", figures)
    if not found["rows"]:
        return "<p class=none>No duplicates were found.</p>" + _held_back(found, figures, drawing)
    cut = found["threshold"]
    alike = found["similarity"]
    intro = (
        f"<p class=about>{found['rows']:,} rows went because a row that stays says the same; "
        f"{found['groups']:,} rows stand for them. Each was compared with the row that stands for it, "
        f"never only through others. {_meaning(found)}</p>"
    )
    charts_ = []
    if alike["below"]:
        equal = f"; {alike['equal']:,} more are alike word for word and not drawn"
        more = equal if alike["equal"] else ""
        spec = charts.similarity(alike["bins"], cut if isinstance(cut, int | float) else None)
        charts_.append(
            "<figure class=card><figcaption>Likeness of removed rows to the row that stays<small>"
            f"{alike['below']:,} removed rows differ in some words{more}</small></figcaption>{drawing.chart(spec)}</figure>"
        )
    values = [
        {"value": f"{s['rows']} rows, one stays", "kept": 0, "dropped": s["groups"]}
        for s in found["sizes"][:8]
    ]
    if len(values) > 1:
        charts_.append(
            "<figure class=card><figcaption>Size of the groups<small>groups of rows that say the same"
            f"</small></figcaption>{bars(values, total=found['groups'], fates=False)}</figure>"
        )
    cards = folded([_group(g, figures, drawing, cut) for g in found["examples"]], "groups")
    order = "The least alike come first: if those look right to you, the rest will. Then some drawn at random."
    return (
        f"{intro}<div class=grid>{''.join(charts_)}</div><h3>Groups</h3><p class=about>{order} "
        "Words that differ are <mark>marked</mark>.</p>"
        f"{cards}{_held_back(found, figures, drawing)}"
    )


def _meaning(found: Figures) -> str:
    """What the likeness of two rows is."""
    if found["on"] == "image":
        return "Rows count as the same if their images do, whatever is said about them."
    cut = found["threshold"]
    least = f"; at {cut:g} or more they count as the same" if isinstance(cut, int | float) else ""
    return f"Likeness is the share of word triples that two texts have in common{least}."


def _group(group: Figures, figures: Figures, drawing: Drawing, cut: float | None) -> str:
    """The row that stays beside the rows that went."""
    samples = figures["samples"]
    kept = samples.get(group["kept"])
    if kept is None:
        return ""
    first = group["removed"][0]
    one = samples.get(first["sample_id"])
    marks = differences(kept, one) if one else ({}, {})
    later = kept["dropped_by"]
    fate = f"stayed here, dropped later by {later}" if later else "stays"
    left = (
        f'<div class="side k"><p class=fate>{visible(fate)}</p>'
        f"{_what(drawing.pictures.of(kept), turns(kept, marks[0]), kept)}</div>"
    )
    right: list[str] = []
    above = None
    for place, member in enumerate(group["removed"]):
        row = samples.get(member["sample_id"])
        if row is None:
            continue
        right_words = _words(kept, row, above, marks[1] if place == 0 else None)
        above = row
        right.append(
            f"<div class=side><p class=fate>removed <span class=soft>{visible(member['words'])}"
            f"</span>{_likeness(member['similarity'], cut)}</p>"
            f"{_what(drawing.pictures.of(row, skip=kept['image_ids']), right_words, row)}</div>"
        )
    more = group["removed_in_all"] - len(right)
    tail = f"<p class=more>and {more:,} more rows of this group removed</p>" if more > 0 else ""
    return f"<article class=group>{left}<div class=went>{''.join(right)}{tail}</div></article>"


def _words(
    kept: Figures, row: Figures, above: Figures | None, marks: dict[int, list[Span]] | None
) -> str:
    """The turns of a removed row, or that they are those of the row beside or above it."""
    if row["turns"] == kept["turns"]:
        if above is not None or sum(len(turn["text"]) for turn in row["turns"]) > _SHORT:
            return "<p class=same>the same words</p>"
    elif above is not None and row["turns"] == above["turns"]:
        return "<p class=same>the same words as the row above</p>"
    return turns(row, differences(kept, row)[1] if marks is None else marks)


def _what(pictures: str, words: str, row: Figures) -> str:
    return f"<div class=what>{pictures}<div class=words>{words}{row_name(row)}</div></div>"


def _likeness(value: float | None, cut: float | None) -> str:
    if value is None:
        return ""
    if value >= 1:
        return "<span class=like>word for word</span>"
    tick = f'<i style="left:{100 * cut:.1f}%"></i>' if isinstance(cut, int | float) else ""
    return (
        f'<span class=like title="likeness {value:.4f}"><span class=meter aria-hidden=true>'
        f'<b style="width:{100 * max(0.0, min(1.0, value)):.1f}%"></b>{tick}</span>{value:.2f} alike</span>'
    )


def _held_back(found: Figures, figures: Figures, drawing: Drawing) -> str:
    """Pairs above the threshold that stayed because they say different things."""
    n = found["held_back"]
    if not n:
        return ""
    out = [
        f"<h3>Near, but kept</h3><p class=about>{n:,} pairs of rows share most words and are both kept, "
        "because the words in which they differ carry the meaning: a number, a colour, a side, a "
        "\u201cnot\u201d.</p>"
    ]
    cards = []
    for pair in found["held_back_examples"]:
        a, b = (figures["samples"].get(pair[side]) for side in ("a", "b"))
        if a is None or b is None:
            continue
        left, right = differences(a, b)
        sides = "".join(
            f'<div class="side k"><p class=fate>stays</p>'
            f"{_what(drawing.pictures.of(row, skip=() if row is a else a['image_ids']), turns(row, mark), row)}</div>"
            for row, mark in ((a, left), (b, right))
        )
        cards.append(f"<article class=group>{sides}</article>")
    return "".join(out) + folded(cards, "groups")


def victims(figures: Figures, drawing: Drawing) -> str:
    """Rows that filters dropped, by step and reason."""
    from curate.report.sections import missing

    if not figures["victims"]:
        if any(s["step"] != "dedup" for s in figures["funnel"]["steps"]):
            return "<p class=none>The filters that ran dropped nothing.</p>"
        return missing("victims", figures)
    out, step, shown_here = [], None, 0
    for reason in figures["victims"]:
        if reason["run"] != step:
            step, shown_here = reason["run"], 0
            out.append(f"<h3>{visible(reason['title'])} <small>{visible(step)}</small></h3>")
        value, by = reason["value"], ""
        if not reason["method"].startswith(reason["reason"]):
            by = f"by {reason['method']}"
        if value is not None and value["min"] != value["max"]:
            span = f"values {number(value['min'])} to {number(value['max'])}"
            by = f"{by}; {span}" if by else span
        rule = f": {reason['rule']}" if reason["rule"] else ""
        varies = value is not None and value["min"] != value["max"]
        shown = [_victim(one, figures, drawing, varies=varies) for one in reason["examples"]]
        out.append(
            f"<details{' open' if shown_here < _UNFOLDED else ''} class=reason><summary><b>{reason['rows']:,}</b> \u00b7 {visible(reason['words'])}"
            f"{visible(rule)} <span class=soft>{visible(by)}</span></summary>"
            f"{folded(shown, 'cards')}</details>"
        )
        shown_here += 1
    return (
        "<p class=about>What the filters took, by reason. Rows nearest to the threshold come first, then "
        f"some that were {tag('drawn at random')}</p>{''.join(out)}"
    )


def _victim(one: Figures, figures: Figures, drawing: Drawing, *, varies: bool) -> str:
    row = figures["samples"].get(one["sample_id"])
    if row is None:
        return ""
    has_value = varies and one["value"] is not None
    value = tag(f"value {number(one['value'])}", "num") if has_value else ""
    near = tag("drawn at random") if one["drawn"] else ""
    other = _beside(one["beside"]) if one["beside"] else ""
    if one["other"]:
        like = figures["samples"].get(one["other"])
        other = (
            f"<div class=other><p class=fate>because of</p>{turns(like)}</div>"
            if like
            else f"<p class=id>because of {visible(one['other'])}</p>"
        )
    return (
        f'<article class="card row">{drawing.pictures.of(row)}<div>{turns(row)}{other}'
        f"<p class=tags>{value}{near}</p>{row_name(row)}</div></article>"
    )


def _beside(row: Figures) -> str:
    """The benchmark's row that a training row matches."""
    return (
        f"<div class=other><p class=fate>{visible(row['benchmark'])}, {visible(row['kind'])} match"
        f"</p><p><bdi dir=auto>{visible(row['text'])}</bdi></p></div>"
    )


def folded(cards: Sequence[str], kind: str) -> str:
    """Cards of a gallery; beyond the first few they wait to be unfolded."""
    cards = [card for card in cards if card]
    if not cards:
        return ""
    first, rest = cards[:_OPEN], cards[_OPEN:]
    more = (
        f"<details class=rest><summary>{len(rest)} more</summary><div class={kind}>{''.join(rest)}"
        "</div></details>"
        if rest
        else ""
    )
    return f"<div class={kind}>{''.join(first)}</div>{more}"


def conflicts(figures: Figures, drawing: Drawing) -> str:
    """One question, one image, two answers."""
    from curate.report.sections import missing

    found = figures["conflicts"]
    if found is None:
        return missing("conflicts", figures)
    if not found["rows"]:
        return "<p class=none>No question is answered in two ways about the same image.</p>"
    pairs = [
        [f"<bdi>{visible(p['a'])}</bdi>", f"<bdi>{visible(p['b'])}</bdi>", f"{p['rows']:,}",
         share(p["rows"], found["rows"])]
        for p in found["answer_pairs"]
        if p["rows"] > 1
    ]  # fmt: skip
    frequent = ""
    if pairs:
        head = ("one answer", "the other", "contradictions", "share")
        frequent = f"<details open><summary>Which answers contradict most often</summary>{table(head, pairs, right=(2, 3))}</details>"
    cards = folded([_conflict(one, figures, drawing) for one in found["examples"]], "cards")
    return (
        f"<p class=about>{found['questions']:,} questions are answered differently for the same image, "
        f"in {found['rows']:,} pairs of rows. Where the question is closed, at most one answer is right. "
        "None was dropped for it: these pairs are candidates for preference data. A few, drawn at "
        "random:</p>"
        f"{frequent}{cards}"
    )


def _conflict(one: Figures, figures: Figures, drawing: Drawing) -> str:
    row = figures["samples"].get(one["sample_id"])
    other = figures["samples"].get(one["other_id"])
    left, right = word_marks(one["answer"], one["other_answer"])
    pictures = ""
    if row:
        ids = [*row["image_ids"], *(other["image_ids"] if other else ())]
        pictures = drawing.pictures.of({**row, "image_ids": list(dict.fromkeys(ids))})
    sides = "".join(
        f'<div class="turn A"><abbr title=answer>A{place}</abbr><bdi dir=auto>{marked(text, spans)}</bdi>'
        f"{_later(sample)}</div>"
        for place, text, spans, sample in (
            (1, one["answer"], left, row), (2, one["other_answer"], right, other),
        )
    )  # fmt: skip
    names = "".join(row_name(sample) for sample in (row, other) if sample)
    return (
        f'<article class="card row">{pictures}<div><div class="turn Q"><abbr title=question>Q</abbr>'
        f"<bdi dir=auto>{visible(one['question'])}</bdi></div>{sides}{names}</div></article>"
    )


def _later(sample: Figures | None) -> str:
    if sample is None or not sample["dropped_by"]:
        return ""
    return tag(f"dropped later by {sample['dropped_by']}", "lost")
