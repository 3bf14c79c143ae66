"""The page: one HTML file that asks the network for nothing and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from html import escape
from typing import Any, Final

from curate.report import sections
from pairwright.text.htmltext import json_island, plain, visible
from pairwright.webpage import style_sheet
from pairwright.webpage.parts import IMAGES_A_SAMPLE, Pictures

__all__ = ["IMAGES_A_SAMPLE", "render"]

_SECTIONS: Final = (
    ("funnel", "Funnel", sections.funnel),
    ("spread", "Distributions", sections.spread),
    ("duplicates", "Duplicates", sections.duplicates),
    ("filters", "Filters", sections.victims),
    ("conflicts", "Contradictions", sections.conflicts),
    ("rejects", "Rejects", sections.rejects),
    ("lineage", "Lineage", sections.lineage),
)


def render(
    figures: dict[str, Any], thumbs: tuple[dict[str, bytes], dict[str, str]], bundle: str
) -> str:
    """The page as text.

    Args:
        figures: Content of report.json.
        thumbs: WebP thumbnails by image id, and why some are missing.
        bundle: Vega, Vega-Lite and Vega-Embed.
    """
    style, script = style_sheet(), _file("page.js")
    drawing = sections.Drawing(Pictures(*thumbs))
    body = [sections.headline(figures)]
    for anchor, title, section in _SECTIONS:
        body.append(
            f'<section id={anchor} aria-labelledby="h-{anchor}"><h2 id="h-{anchor}">{title}</h2>'
            f"{section(figures, drawing)}</section>"
        )
    links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title, _ in _SECTIONS)
    policy = (
        f"default-src 'none'; script-src {_hash(bundle)} {_hash(script)}; "
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    title = visible(figures["title"])
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        f'<meta name=generator content="pairwright {escape(figures["pairwright"])}">'
        f'<meta http-equiv=Content-Security-Policy content="{policy}">'
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        '<meta name=color-scheme content="light dark"><meta name=referrer content=no-referrer>'
        f'<link rel=icon href="data:,"><title>{escape(plain(figures["title"]))} \u2013 data report</title>'
        f"<style>{style}</style></head><body><a class=skip href=#main>Skip to the figures</a>"
        f"<header class=bar><strong class=brand>{title}</strong>"
        f"<nav aria-label=Sections>{links}</nav>"
        "<button type=button id=theme aria-label='Switch between light and dark'>\u25d0</button></header>"
        f"<main id=main>{''.join(body)}</main>{sections.footer(figures)}"
        "<dialog id=zoom aria-label='Enlarged image'><form method=dialog><button autofocus>Close</button>"
        "</form><img alt=''></dialog>"
        f"<script type=application/json id=charts>{json_island(drawing.specs)}</script>"
        f"<script>{bundle}</script><script>{script}</script></body></html>"
    )


def _file(name: str) -> str:
    return importlib.resources.files("curate.report").joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
