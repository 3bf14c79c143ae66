"""Charts of the page: Altair describes them, vl-convert makes SVG of them, both offline.

Colors are the page's, by name of CSS variable, so that a chart is light or dark as the page is.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any, Final

from curate.report.sankey import Sankey
from pairwright.errors import MissingExtraError
from pairwright.webpage.render import trusted

if TYPE_CHECKING:
    from markupsafe import Markup

_KEPT, _DROPPED = "var(--kept)", "var(--dropped)"
_SOFT, _INK, _LINE = "var(--soft)", "var(--ink)", "var(--line)"
_FONT: Final = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif"
_SHORT: Final = "datum.value >= 1000 ? format(datum.value, '~s') : format(datum.value, ',')"
# The shapes of the data. A `title` in each is what a browser shows under the pointer.
_SHAPE: Final = re.compile(r'<(path|line) aria-label="([^"]*)" (role="graphics-symbol"[^>]*)/>')


def need_charts() -> None:
    """Make sure that charts can be drawn.

    Raises:
        MissingExtraError: If the extra `report` is not installed.
    """
    for module, package in (("altair", "altair"), ("vl_convert", "vl-convert-python")):
        try:
            __import__(module)
        except ImportError as error:
            raise MissingExtraError(package, "report") from error


def histogram(
    bins: list[dict[str, Any]], *, title: str, axis: str, width: float | None = None
) -> Markup:
    """Stacked bars of kept and dropped rows.

    Args:
        bins: `from`, `to`, `kept`, `dropped`.
        title: What is counted, for readers who cannot see the chart.
        axis: Title of the horizontal axis.
        width: Width of a bar where the last bin is wider than it is drawn.
    """
    import altair as alt

    ticks: dict[str, Any] = {"tickMinStep": 1, "format": ",d"} if width is not None else {}
    first, last = bins[0]["from"], bins[-1]["from"]
    if width == 1 and last - first < 8:  # few whole numbers: name each, and nothing between
        ticks["values"] = list(range(first, last + 1))
    return _svg(_bars(bins, alt.Axis(title=axis, tickCount=6, **ticks), width), title)


def similarity(bins: list[dict[str, Any]], threshold: float | None) -> Markup:
    """Similarity of removed rows to their kept row, with the threshold as a line."""
    import altair as alt

    title = "similarity of removed rows to the kept row"
    dropped = [{**one, "kept": 0, "dropped": one["rows"]} for one in bins]
    axis = alt.Axis(title="similarity to the kept row", tickCount=6, format=".2f")
    chart = _bars(dropped, axis, None)
    if threshold is not None:
        at = alt.Data(values=[{"at": threshold, "name": f"threshold {threshold:g}"}])
        rule = alt.Chart(at).mark_rule(color=_INK, strokeDash=[4, 3], strokeWidth=1.5)
        chart = alt.layer(chart, rule.encode(x="at:Q", description="name:N"))
    return _svg(chart, title)


def _bars(bins: list[dict[str, Any]], axis: Any, width: float | None) -> Any:
    import altair as alt

    values = []
    # A bar of one whole number is above it, not next to it.
    shift = 0.5 if width == 1 else 0.0
    for one in bins:
        end = one["from"] + width if width else one["to"]
        name = _bin_name(one["from"], one["to"], whole=width is not None, wide=one["to"] > end)
        for order, fate in enumerate(("kept", "dropped")):
            if one.get(fate):
                words = f"{axis.title}: {name}; rows: {one[fate]:,}, {fate}"
                values.append(
                    {"from": one["from"] - shift, "to": end - shift, "name": words, "fate": fate,
                     "rows": one[fate], "order": order}
                )  # fmt: skip
    fates = alt.Scale(domain=["kept", "dropped"], range=[_KEPT, _DROPPED])
    most = max((one.get("kept", 0) + one.get("dropped", 0) for one in bins), default=0)
    few = {"values": list(range(most + 1))} if most <= 4 else {}  # no half rows
    rows = alt.Axis(title=None, tickMinStep=1, labelExpr=_SHORT, **few)
    return (
        alt.Chart(alt.Data(values=values), width=300, height=170)
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X("from:Q", bin="binned", axis=axis),
            x2="to:Q",
            y=alt.Y("rows:Q", stack="zero", axis=rows),
            color=alt.Color("fate:N", legend=None, scale=fates),
            order="order:Q",
            description="name:N",
        )
    )


def _bin_name(start: float, end: float, *, whole: bool, wide: bool) -> str:
    if wide:
        return f"{start:,g} or more"
    if whole:
        return f"{start:,g}" if end - start == 1 else f"{start:,g} to {end - 1:,g}"
    return f"{start:g} to {end:g}"


def sankey(flow: Sankey) -> Markup:
    """The funnel as a Sankey diagram."""
    import altair as alt

    pixels: dict[str, Any] = {"scale": None, "axis": None}  # layout is in pixels
    x, y = alt.X("x:Q", **pixels), alt.Y("y:Q", **pixels)
    color = alt.Color("color:N", scale=None)
    links = (
        alt.Chart(alt.Data(values=flow.curves()))
        .mark_area(opacity=0.28)
        .encode(x=x, y=y, y2="y2:Q", color=color, detail="link:N", description="name:N")
    )
    nodes = (
        alt.Chart(alt.Data(values=flow.boxes()))
        .mark_rect(cornerRadius=1.5)
        .encode(x=x, x2="x2:Q", y=y, y2="y2:Q", color=color, description="name:N")
    )
    texts = [
        alt.Chart(alt.Data(values=flow.labels(kind)))
        .mark_text(align="left", baseline=baseline, aria=False, font=_FONT, **look)
        .encode(x=x, y=y, text="text:N")
        for kind, baseline, look in (
            ("label", "middle", {"fontSize": 12.5, "color": _INK}),
            ("head", "alphabetic", {"fontSize": 13, "fontWeight": 600, "color": _INK}),
            ("under", "alphabetic", {"fontSize": 12, "color": _SOFT}),
        )
    ]
    chart = alt.layer(links, nodes, *texts).properties(width=flow.width, height=flow.height)
    title = "Sankey diagram of rows from their sources to the rows that are kept"
    return _svg(chart.properties(padding=0), title)


def _svg(chart: Any, title: str) -> Markup:
    """A chart as SVG that a page can hold, its words escaped."""
    import altair as alt
    import vl_convert

    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    text = vl_convert.vegalite_to_svg(
        chart.configure(**_look()).to_dict(), vl_version=version, allowed_base_urls=[]
    )
    text = _SHAPE.sub(r'<\1 aria-label="\2" \3><title>\2</title></\1>', text)
    name = f'<svg role=graphics-document aria-label="{escape(title)}" '
    return trusted(text.replace("<svg ", name, 1))


def _look() -> dict[str, Any]:
    """What all charts have in common."""
    axis = {
        "labelColor": _SOFT, "titleColor": _SOFT, "gridColor": _LINE, "domainColor": _LINE,
        "tickColor": _LINE, "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal",
        "labelFont": _FONT, "titleFont": _FONT, "titlePadding": 8,
    }  # fmt: skip
    return {
        "background": "transparent",
        "view": {"stroke": None},
        "axis": axis,
        "axisY": {"domain": False, "ticks": False, "tickCount": 4, "labelPadding": 6},
        "axisX": {
            "grid": False,
            "labelPadding": 4,
            "labelFlush": False,
            "labelOverlap": "greedy",
            "labelSeparation": 6,
        },
    }
