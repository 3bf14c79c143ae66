"""The page: one HTML file that makes no network request and runs no script but its own."""

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
    ("conflicts", "Conflicting answers", "conflicts.html.jinja"),
    ("invalid", "Invalid rows", "invalid.html.jinja"),
    ("lineage", "Lineage", "lineage.html.jinja"),
)


def render(metrics: dict[str, Any], thumbs: tuple[dict[str, bytes], dict[str, str]]) -> str:
    """The page as text.

    Args:
        metrics: Content of report.json.
        thumbs: WebP thumbnails by image id, and why some are missing.
    """
    thumbnails = Thumbnails(*thumbs)
    files = importlib.resources.files("curate.report")
    return render_template(
        "curate.report",
        "page.html.jinja",
        version=metrics["pairwright"],
        metrics=metrics,
        script=trusted(files.joinpath("page.js").read_text(encoding="utf-8")),
        sections=[
            dict(zip(("anchor", "title", "template"), one, strict=True)) for one in _SECTIONS
        ],
        absent=sections.absent(metrics),
        spread=sections.spread(metrics),
        filters=galleries.filters(metrics, thumbnails),
        filters_ran=any(one["step"] != "dedup" for one in metrics["funnel"]["steps"]),
        versions=sections.versions(metrics),
        sankey=_sankey(metrics["funnel"]),
        duplicates=_duplicates(metrics, thumbnails),
        conflicts=_conflicts(metrics, thumbnails),
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


def _duplicates(metrics: dict[str, Any], thumbnails: Thumbnails) -> dict[str, Any]:
    found = metrics["duplicates"]
    if found is None:
        return {}
    threshold = found["threshold"]
    below = found["similarity"]["below"]
    chart = charts.similarity(
        found["similarity"]["bins"], threshold if isinstance(threshold, int | float) else None
    )
    return {
        "chart": chart if below else "",
        "sizes": galleries.group_sizes(found),
        "groups": galleries.groups(metrics, thumbnails),
        "kept_as_distinct": galleries.kept_as_distinct(metrics, thumbnails),
    }


def _conflicts(metrics: dict[str, Any], thumbnails: Thumbnails) -> dict[str, Any]:
    found = metrics["conflicts"]
    if found is None:
        return {}
    return {
        "pairs": galleries.answer_pairs(found),
        "examples": galleries.conflicts(metrics, thumbnails),
    }
