"""An HTML page that a command wrote."""

from __future__ import annotations

from pathlib import Path

from pairwright.api import html


class Page:
    """An HTML page on disk; a notebook shows it.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        """Remember the file."""
        self.path = path

    def __fspath__(self) -> str:
        """The file."""
        return str(self.path)

    def __repr__(self) -> str:
        """The file."""
        return f"pw.Page({str(self.path)!r})"

    def _repr_html_(self) -> str:
        return html.page(self.path.read_text(encoding="utf-8"), 700)
