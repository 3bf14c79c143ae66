"""What HTML pages of several commands are made of: style, pieces, thumbnails."""

from __future__ import annotations

import importlib.resources


def style_sheet() -> str:
    """The style that all pages share."""
    return importlib.resources.files(__name__).joinpath("page.css").read_text(encoding="utf-8")
