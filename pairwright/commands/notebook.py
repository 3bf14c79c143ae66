"""A progress bar in a notebook's output, of plain HTML: no widgets to install, none left behind."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import Any

_DELAY_S, _PAUSE_S = 0.5, 0.2


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class NotebookBar:
    """A line that is drawn over: shown after half a second, a few times per second, then cleared."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self._display: Any = None
        self._next = time.monotonic() + _DELAY_S

    def is_due(self) -> bool:
        """Whether the last drawing is some time ago."""
        return time.monotonic() >= self._next

    def show(self, done: int, total: int | None, text: str, note: str | None) -> None:
        """Draw the state of the work."""
        self._next = time.monotonic() + _PAUSE_S
        value = f'value="{done}" max="{total}"' if total else ""
        line = f"<progress {value}></progress> {escape(text)}"
        self._draw(f"{line}<br><small>{escape(note)}</small>" if note else line)

    def stop(self) -> None:
        """Clear the line."""
        if self._display is not None:
            self._draw("")

    def _draw(self, html: str) -> None:
        from IPython.display import HTML, display

        if self._display is None:
            self._display = display(HTML(html), display_id=True)
        else:
            self._display.update(HTML(html))
