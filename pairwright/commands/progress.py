"""Progress: a live view in a terminal, a bar in a notebook, a line on stderr now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

from pairwright.commands.notebook import NotebookBar, is_notebook

# How lines speak of options: as typed, or in the words of the Python call that is active.
said: ContextVar[Callable[[str], str]] = ContextVar("said", default=str)

_NOTES = 5
_BAR_LEAST, _BAR_MOST = 8, 40
_LINE_S = 15.0
# A rate over less than this is noise.
_WARM_S = 0.5
_UNITS = (("d", "h", 86_400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1))


class Progress:
    """A bar for one long step, used as a context manager; above it the last notes.

    stdout is never touched, so `--json` output is never mixed with it.
    """

    quiet = False

    def __init__(self, title: str, total: int | None = None, *, unit: str = "rows") -> None:
        """Name the work and, if known, how much there is."""
        self._title, self._total, self._unit = title, total, unit
        self._done = self._tokens = 0
        self._started = self._printed = time.monotonic()
        self._notes: deque[str] = deque(maxlen=_NOTES)
        self._live: Any = None
        self._console: Any = None
        self._bar: NotebookBar | None = None

    def __enter__(self) -> Self:
        """Show the bar."""
        self._started = self._printed = time.monotonic()
        if self.quiet:
            return self
        if is_notebook():
            self._bar = NotebookBar()
        elif sys.stderr.isatty():
            self._draw()
        return self

    def _draw(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True)
        # rich draws at its own pace, so thousands of updates cost nothing.
        self._live = Live(
            console=self._console,
            transient=True,
            get_renderable=self._view,
            refresh_per_second=5,
            redirect_stdout=False,
        )
        self._live.start()

    def _view(self) -> Any:
        """The notes, and below them one line: what, how much, a bar if there is room, how fast."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        # Plain texts, never rich's markup; what does not fit is truncated, not wrapped.
        notes = [
            Text(note, style="dim", no_wrap=True, overflow="ellipsis") for note in list(self._notes)
        ]
        width = self._console.width
        total = f"/{self._total:,}" if self._total else f" {self._unit}"
        count = f"{self._done:,}{total}"
        title = shown(self._title, max(4, width - len(count) - 1))
        pace = self._pace()
        room = width - len(title) - len(count) - 3
        while pace and len(", ".join(pace)) > room:
            pace.pop(1 if len(pace) > 2 else 0)  # tokens first; how long it will take last
        words = ", ".join(pace)
        bar = min(_BAR_MOST, room - len(words) - 1)
        line = Table.grid(padding=(0, 1, 0, 0))
        cells: list[Any] = [Text(title, no_wrap=True), Text(count, no_wrap=True)]
        if bar >= _BAR_LEAST:
            seconds = time.monotonic() - self._started
            cells.append(ProgressBar(self._total, self._done, width=bar, animation_time=seconds))
        line.add_row(*cells, Text(words, no_wrap=True))
        return Group(*notes, line)

    def advance(self, count: int = 1, note: str | None = None, *, tokens: int = 0) -> None:
        """Count finished work.

        Args:
            count: Rows, or what the unit is.
            note: A word on it; the last few are shown.
            tokens: Tokens generated, if a model was called.
        """
        self._done += count
        self._tokens += tokens
        if note:
            self._notes.append(shown(note))
        if self._bar is not None:
            if self._bar.is_due():
                note = self._notes[-1] if self._notes else None
                self._bar.show(self._done, self._total, self._line(), note)
        elif self._live is None and not self.quiet and time.monotonic() - self._printed > _LINE_S:
            self._printed = time.monotonic()
            say(", ".join([self._line(), *list(self._notes)[-1:]]))

    def _line(self) -> str:
        of = f" of {self._total:,}" if self._total else ""
        return ", ".join([f"{shown(self._title)}: {self._done:,}{of} {self._unit}", *self._pace()])

    def _pace(self) -> list[str]:
        """Rows per second, tokens per second, and the time left, as far as known."""
        seconds = time.monotonic() - self._started
        if seconds < _WARM_S or not self._done:
            return []
        words = [f"{_rate(self._done / seconds)} {self._unit}/s"]
        if self._tokens:
            words.append(f"{_rate(self._tokens / seconds)} tokens/s")
        if self._total and self._done < self._total:
            words.append(f"{span((self._total - self._done) * seconds / self._done)} left")
        return words

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        if self._live is not None:
            self._live.stop()
        if self._bar is not None:
            self._bar.stop()


def shown(text: str, most: int = 200) -> str:
    """Text of strangers on a terminal: one line in which nothing acts and nothing hides."""
    # What is truncated need not be examined: a row can be megabytes.
    words = "".join(_character(char) for char in text[: 4 * most])
    line = " ".join(words.split())
    return line if len(line) <= most else line[: most - 3] + "..."


def _character(char: str) -> str:
    if char.isprintable():
        return char
    if char.isspace():
        return " "
    code = ord(char)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def span(seconds: float) -> str:
    """A length of time, in its two largest units: 45 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    whole = max(1, round(seconds))
    for upper, lower, size, rest in _UNITS:
        if whole >= size:
            less = whole % size // rest
            return f"{whole // size} {upper} {less} {lower}" if less else f"{whole // size} {upper}"
    return f"{whole} s"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


@contextlib.contextmanager
def quiet_progress(*, quiet: bool) -> Iterator[None]:
    """Whether bars and lines are left out, for the length of a block."""
    before, Progress.quiet = Progress.quiet, quiet
    try:
        yield
    finally:
        Progress.quiet = before


def say(text: str) -> None:
    """One line on stderr, unless `--quiet`; in a notebook, where stderr is red, on stdout."""
    if not Progress.quiet:
        stream = sys.stdout if is_notebook() else sys.stderr
        stream.write(said.get()(text) + "\n")
        stream.flush()
