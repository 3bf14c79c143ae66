"""Charts as Vega and Vega-Lite specifications; colours are the page's, by name of CSS variable."""

from __future__ import annotations

from typing import Any, Final

from pairwright.text.htmltext import plain

Spec = dict[str, Any]

_VEGA: Final = "https://vega.github.io/schema/vega/v6.json"  # a name, never fetched
_LITE: Final = "https://vega.github.io/schema/vega-lite/v6.json"
KEPT, DROPPED = "var(--kept)", "var(--dropped)"
# Vega measures words in this face before the page draws them.
_FONT: Final = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif"
_SHORT: Final = "datum.value >= 1000 ? format(datum.value, '~s') : format(datum.value, ',')"
_TRUNK: Final = 210  # pixels of all rows together
_TOP: Final = 64
_LINE: Final = 21
_NODE: Final = 10
_REASONS: Final = 5
_READ: Final = "Read in"
_SOURCES: Final = 8


def config() -> Spec:
    """Look shared by all Vega-Lite charts."""
    axis = {
        "labelColor": "var(--soft)", "titleColor": "var(--soft)", "gridColor": "var(--line)",
        "domainColor": "var(--line)", "tickColor": "var(--line)", "labelFontSize": 11,
        "titleFontSize": 11, "titleFontWeight": "normal", "labelFont": _FONT,
        "titleFont": _FONT, "titlePadding": 8,
    }  # fmt: skip
    return {
        "background": "transparent",
        "view": {"stroke": None},
        "axis": axis,
        "axisY": {"domain": False, "ticks": False, "tickCount": 4, "labelPadding": 6},
        "axisX": {"grid": False, "labelPadding": 4},
        "bar": {"color": KEPT},
    }


def histogram(
    bins: list[dict[str, Any]], *, title: str, axis: str, width: float | None = None
) -> Spec:
    """Stacked bars of kept and dropped rows.

    Args:
        bins: `from`, `to`, `kept`, `dropped`.
        title: What is counted, for readers who cannot see the chart.
        axis: Title of the horizontal axis.
        width: Width of a bar where the last bin is wider than it is drawn.
    """
    values = []
    # A bar of one whole number stands over it, not beside it.
    shift = 0.5 if width == 1 else 0.0
    for one in bins:
        end = one["from"] + width if width else one["to"]
        wide = one["to"] > end
        name = _bin_name(one["from"], one["to"], whole=width is not None, wide=wide)
        for order, fate in enumerate(("kept", "dropped")):
            if one.get(fate):
                values.append(
                    {"from": one["from"] - shift, "to": end - shift, "name": name, "fate": fate,
                     "rows": one[fate], "order": order}
                )  # fmt: skip
    whole = width is not None
    ticks: Spec = {"title": axis, "tickCount": 6}
    if whole:
        ticks |= {"tickMinStep": 1, "format": ",d"}
    return {
        "$schema": _LITE,
        "description": title,
        "width": "container",
        "height": 170,
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": values},
        "mark": {"type": "bar", "binSpacing": 1},
        "encoding": {
            "x": {"field": "from", "bin": "binned", "type": "quantitative", "axis": ticks},
            "x2": {"field": "to"},
            "y": {"field": "rows", "type": "quantitative", "stack": "zero",
                  "axis": {"title": None, "tickMinStep": 1, "labelExpr": _SHORT}},
            "color": {"field": "fate", "type": "nominal", "legend": None,
                      "scale": {"domain": ["kept", "dropped"], "range": [KEPT, DROPPED]}},
            "order": {"field": "order", "type": "quantitative"},
            "tooltip": [
                {"field": "name", "type": "nominal", "title": axis},
                {"field": "rows", "type": "quantitative", "title": "rows", "format": ","},
                {"field": "fate", "type": "nominal", "title": "fate"},
            ],
        },
        "config": config(),
    }  # fmt: skip


def _bin_name(start: float, end: float, *, whole: bool, wide: bool) -> str:
    if wide:
        return f"{start:,g} or more"
    if whole:
        return f"{start:,g}" if end - start == 1 else f"{start:,g} to {end - 1:,g}"
    return f"{start:g} to {end:g}"


def similarity(bins: list[dict[str, Any]], threshold: float | None) -> Spec:
    """Likeness of removed rows to the row that stands for them, with the threshold as a line."""
    spec = histogram(
        [{"from": b["from"], "to": b["to"], "kept": 0, "dropped": b["rows"]} for b in bins],
        title="likeness of removed rows to the row that stays", axis="likeness to the row that stays",
    )  # fmt: skip
    spec["encoding"]["x"]["axis"] |= {"format": ".2f"}
    if threshold is None:
        return spec
    layer = {name: spec.pop(name) for name in ("mark", "encoding", "data")}
    rule = {
        "data": {"values": [{"at": threshold, "name": f"threshold {threshold:g}"}]},
        "mark": {"type": "rule", "color": "var(--ink)", "strokeDash": [4, 3], "strokeWidth": 1.5},
        "encoding": {
            "x": {"field": "at", "type": "quantitative"},
            "tooltip": [{"field": "name", "type": "nominal", "title": "cut"}],
        },
    }
    return {**spec, "layer": [layer, rule]}


def sankey(flow: dict[str, Any]) -> tuple[Spec, int]:
    """The funnel as a Sankey diagram, and the least width at which its words fit.

    Rows run along the top from their sources to the kept ones; what goes falls off downwards. The
    first step's losses lie lowest, so that no ribbon ever crosses a label.
    """
    nodes, links, columns = layout(flow)
    height = int(max(n["y"] + n["h"] for n in nodes)) + 18
    least = 130 * (columns - 1) + _right(nodes, columns) + _NODE
    right = _right(nodes, columns)
    x = f"(datum.c * (width - {right + _NODE}) / {max(1, columns - 1)})"
    x0, x1 = x.replace("datum.c", "datum.c0"), x.replace("datum.c", "datum.c1")
    middle = f"(({x0}) + {_NODE} + ({x1})) / 2"
    ribbon = (
        f"'M' + ({x0} + {_NODE}) + ',' + datum.y0 + 'C' + ({middle}) + ',' + datum.y0 + ' ' + "
        f"({middle}) + ',' + datum.y1 + ' ' + ({x1}) + ',' + datum.y1 + 'v' + datum.h + 'C' + "
        f"({middle}) + ',' + (datum.y1 + datum.h) + ' ' + ({middle}) + ',' + (datum.y0 + datum.h) + "
        f"' ' + ({x0} + {_NODE}) + ',' + (datum.y0 + datum.h) + 'z'"
    )
    fill = {"field": "colour"}
    hover = {"signal": "{'': datum.name, rows: format(datum.rows, ','), share: datum.share}"}
    text = {"font": {"value": _FONT}, "fill": {"value": "var(--ink)"}}
    spec: Spec = {
        "$schema": _VEGA,
        "description": "Sankey diagram of rows from their sources to the rows that are kept",
        "height": height,
        "padding": 0,
        "autosize": {"type": "none"},
        "background": "transparent",
        "signals": [
            {"name": "width", "init": "containerSize()[0]",
             "on": [{"events": "window:resize", "update": "containerSize()[0]"}]}
        ],
        "data": [{"name": "nodes", "values": nodes}, {"name": "links", "values": links}],
        "marks": [
            {"type": "path", "from": {"data": "links"}, "encode": {
                "update": {"path": {"signal": ribbon}, "fill": fill, "fillOpacity": {"value": 0.28},
                           "tooltip": hover},
                "hover": {"fillOpacity": {"value": 0.5}}}},
            {"type": "rect", "from": {"data": "nodes"}, "encode": {
                "update": {"x": {"signal": x}, "y": {"field": "y"}, "width": {"value": _NODE},
                           "height": {"field": "h"}, "fill": fill, "cornerRadius": {"value": 1.5},
                           "tooltip": hover}}},
            _labels("label", x, {**text, "fontSize": {"value": 12.5}, "baseline": {"value": "middle"},
                                 "y": {"signal": "datum.y + max(datum.h / 2, 1)"}}, _NODE + 7, columns, right),
            _labels("head", x, {**text, "fontSize": {"value": 13}, "fontWeight": {"value": 600},
                                "y": {"value": 20}}, 0, columns, right),
            _labels("under", x, {**text, "fill": {"value": "var(--soft)"},
                                 "fontSize": {"value": 12}, "y": {"value": 38}}, 0, columns, right),
        ],
    }  # fmt: skip
    return spec, least


def _right(nodes: list[Spec], columns: int) -> int:
    """Room that the last column's words need. Vega measures only once it draws."""
    last = [n for n in nodes if n["c"] == columns - 1]
    longest = max((max(len(n["label"]) * 6.9 + 8, len(n["head"]) * 8) for n in last), default=0)
    return int(min(max(longest, 60), 330)) + 8


def _labels(field: str, x: str, encode: Spec, dx: int, columns: int, right: int) -> Spec:
    update = {**encode, "x": {"signal": f"{x} + {dx}"}, "text": {"field": field}}
    if field == "label":  # a source's name ends before the next column
        room = (
            f"datum.c == 0 && {columns} > 1 ? (width - {right}) / {max(1, columns - 1)} - 30 : 400"
        )
        update["limit"] = {"signal": room}
    return {
        "type": "text",
        "from": {"data": "nodes"},
        "interactive": False,
        "encode": {"update": update},
    }


def layout(flow: dict[str, Any]) -> tuple[list[Spec], list[Spec], int]:
    """Nodes (`c`olumn, `y`, `h`), links between them and the number of columns."""
    sources = _few_sources(flow["sources"])
    rejected = sum(s["rejected"] for s in sources)
    total = max(1, flow["read"] + rejected)
    scale = _TRUNK / total
    nodes: list[Spec] = []
    links: list[Spec] = []

    def node(c: int, y: float, rows: int, colour: str, **words: str) -> Spec:
        words = {key: plain(text) for key, text in words.items()}
        one = {"c": c, "y": y, "h": max(1.5, rows * scale), "rows": rows, "colour": colour,
               "name": words.get("name", words.get("label", "")), "share": f"{100 * rows / total:.1f} %",
               "label": "", "head": "", "under": "", **words}  # fmt: skip
        nodes.append(one)
        return one

    def link(
        c: int,
        y0: float,
        to: Spec,
        rows: int,
        colour: str,
        y1: float | None = None,
        origin: str = "",
    ) -> None:
        links.append(
            {"c0": c, "c1": to["c"], "y0": y0, "y1": to["y"] if y1 is None else y1,
             "h": max(1.0, rows * scale), "rows": rows, "colour": colour,
             "name": f"{plain(origin)} \u2192 {to['name']}" if origin else to["name"],
             "share": f"{100 * rows / total:.1f} %"}
        )  # fmt: skip

    stages: list[tuple[str, int, list[tuple[str, int, str]]]] = []
    if len(sources) > 1 or rejected:
        lost = [("rejected: could not be read", rejected, "var(--rejected)")] if rejected else []
        stages.append((_READ, flow["read"], lost))
    for step in flow["steps"]:
        lost = [(r["words"], r["rows"], DROPPED) for r in _few_reasons(step["reasons"])]
        stages.append((step["title"], step["left"], lost))
    floor = _lowest(sources, scale) + 26
    lines: dict[tuple[int, int], float] = {}
    for number in reversed(range(len(stages))):
        for place, (_, rows, _) in enumerate(stages[number][2]):
            lines[number, place] = floor
            floor += max(_LINE, rows * scale + 9)
    _draw_sources(
        sources, scale, node, link, single=len(stages) == 0 or (len(sources) == 1 and not rejected)
    )
    for number, (title, left, lost) in enumerate(stages):
        c = number + 1
        last = number == len(stages) - 1
        gone = sum(rows for _, rows, _ in lost)
        under = f"\u2212{gone:,}" if gone else "nothing dropped"
        under = f"{left:,} samples" if title == _READ else under
        trunk = node(c, _TOP, left, KEPT, head=title, under=under, name=f"left after {title[0].lower()}{title[1:]}",
                     label=f"{left:,} kept" if last else "")  # fmt: skip
        if number == 0:
            _draw_links(sources, scale, trunk, lost, link, lines)
        elif left:
            link(c - 1, _TOP, trunk, left, KEPT)
        y0 = _TOP + left * scale
        for place, (words, rows, colour) in enumerate(lost):
            end = node(
                c, lines[number, place], rows, colour, label=f"{rows:,} \u00b7 {words}", name=words
            )
            if number or colour == DROPPED:
                link(c - 1, y0, end, rows, colour)
            y0 += rows * scale
    return nodes, links, len(stages) + 1


def _draw_sources(sources: list[Spec], scale: float, node: Any, link: Any, *, single: bool) -> None:
    del link
    y = float(_TOP)
    for number, one in enumerate(sources):
        rows = one["rows"] + one["rejected"]
        head = ("Source" if len(sources) == 1 else "Sources") if number == 0 else ""
        under = f"{sum(s['rows'] + s['rejected'] for s in sources):,} rows" if number == 0 else ""
        made = node(0, y, rows, KEPT, label=one["source"], head=head, under=under)
        one["y"] = y
        y += made["h"] + (0 if single else 16)


def _draw_links(
    sources: list[Spec],
    scale: float,
    trunk: Spec,
    lost: list[Any],
    link: Any,
    lines: dict[Any, float],
) -> None:
    """From every source to what was read in, and to what was rejected."""
    into, into_lost = float(_TOP), lines.get((0, 0), 0.0)
    for one in sources:
        rows = one["rows"] if len(sources) > 1 or one["rejected"] else trunk["rows"]
        if rows:
            link(0, one["y"], {**trunk, "name": "read in"}, rows, KEPT, into, one["source"])
        into += rows * scale
        if one["rejected"]:
            to = {"c": trunk["c"], "name": lost[0][0], "y": into_lost}
            link(
                0, one["y"] + one["rows"] * scale, to, one["rejected"], lost[0][2], into_lost,
                one["source"],
            )  # fmt: skip
            into_lost += one["rejected"] * scale


def _lowest(sources: list[Spec], scale: float) -> float:
    rows = sum(max(1.5, (s["rows"] + s["rejected"]) * scale) for s in sources)
    return float(_TOP + rows + 16 * (len(sources) - 1))


def _few_sources(sources: list[Spec]) -> list[Spec]:
    some = [dict(one) for one in sources[:_SOURCES]]
    rest = sources[_SOURCES:]
    if rest:
        some.append(
            {"source": f"{len(rest)} other sources", "rows": sum(s["rows"] for s in rest),
             "rejected": sum(s["rejected"] for s in rest)}
        )  # fmt: skip
    return some


def _few_reasons(reasons: list[Spec]) -> list[Spec]:
    if len(reasons) <= _REASONS:
        return reasons
    rest = reasons[_REASONS - 1 :]
    other = {"words": f"{len(rest)} other reasons", "rows": sum(r["rows"] for r in rest)}
    return [*reasons[: _REASONS - 1], other]
