"""The page: one HTML file that asks the network for nothing and runs no script but its own."""

from __future__ import annotations

import importlib.resources
from typing import Any, Final

from curate.report import charts, galleries, sections
from curate.report.sankey import Sankey
from pairwright.webpage.parts import Thumbnails
from pairwright.webpage.render import render_template, trusted

# Anchor, title and template.
_SECTIONS: Final = (
    ("funnel", "Funnel", "funnel.html.jinja"),
    ("spread", "Distributions", "distributions.html.jinja"),
    ("duplicates", "Duplicates", "duplicates.html.jinja"),
    ("filters", "Filters", "filters.html.jinja"),
    ("conflicts", "Contradictions", "conflicts.html.jinja"),
    ("rejects", "Rejects", "rejects.html.jinja"),
    ("lineage", "Lineage", "lineage.html.jinja"),
)


def render(figures: dict[str, Any], thumbs: tuple[dict[str, bytes], dict[str, str]]) -> str:
    """The page as text.

    Args:
        figures: Content of report.json.
        thumbs: WebP thumbnails by image id, and why some are missing.
    """
    thumbnails = Thumbnails(*thumbs)
    files = importlib.resources.files("curate.report")
    return render_template(
        "curate.report",
        "page.html.jinja",
        version=figures["pairwright"],
        figures=figures,
        script=trusted(files.joinpath("page.js").read_text(encoding="utf-8")),
        sections=[
            dict(zip(("anchor", "title", "template"), one, strict=True)) for one in _SECTIONS
        ],
        absent=sections.absent(figures),
        spread=sections.spread(figures),
        filters=galleries.filters(figures, thumbnails),
        filters_ran=any(one["step"] != "dedup" for one in figures["funnel"]["steps"]),
        versions=sections.versions(figures),
        sankey=_sankey(figures["funnel"]),
        duplicates=_duplicates(figures, thumbnails),
        conflicts=_conflicts(figures, thumbnails),
        day=sections.day,
        funnel_rows=sections.funnel_rows,
        minute=sections.minute,
        step_story=sections.step_story,
        took=sections.took,
    )


def _sankey(flow: dict[str, Any]) -> dict[str, Any]:
    if not flow["sources"]:
        return {}
    diagram = Sankey.of(flow)
    return {"svg": charts.sankey(diagram), "width": diagram.width}


def _duplicates(figures: dict[str, Any], thumbnails: Thumbnails) -> dict[str, Any]:
    found = figures["duplicates"]
    if found is None:
        return {}
    cut = found["threshold"]
    below = found["similarity"]["below"]
    chart = charts.similarity(
        found["similarity"]["bins"], cut if isinstance(cut, int | float) else None
    )
    return {
        "chart": chart if below else "",
        "sizes": galleries.group_sizes(found),
        "groups": galleries.groups(figures, thumbnails),
        "near_but_kept": galleries.near_but_kept(figures, thumbnails),
    }


def _conflicts(figures: dict[str, Any], thumbnails: Thumbnails) -> dict[str, Any]:
    found = figures["conflicts"]
    if found is None:
        return {}
    return {
        "pairs": galleries.answer_pairs(found),
        "examples": galleries.conflicts(figures, thumbnails),
    }
