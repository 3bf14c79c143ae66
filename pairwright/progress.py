"""Progress on stderr: a live bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self


class Progress:
    """A bar for one long step, used as a context manager.

    stdout is never touched, so that `--json` output stays clean.
    """

    quiet = False

    def __init__(self, title: str, total: int | None = None, *, unit: str = "rows") -> None:
        """Name the work and, if known, how much there is."""
        self._title, self._total, self._unit = title, total, unit
        self._done = 0
        self._started = self._printed = time.monotonic()
        self._bar: Any = None
        self._task: Any = None
        self._note = ""

    def __enter__(self) -> Self:
        """Show the bar."""
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                TextColumn,
                TimeRemainingColumn,
            )
            from rich.progress import Progress as RichProgress

            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=self._total, rate="", note="")
        return self

    def advance(self, count: int = 1, note: str | None = None) -> None:
        """Count finished work; `note` is shown at the end of the bar."""
        self._done += count
        if note is not None:
            self._note = note
        seconds = time.monotonic() - self._started
        rate = f"{self._done / seconds:,.0f} {self._unit}/s" if seconds > 0.5 else ""
        if self._bar is not None:
            self._bar.update(self._task, advance=count, rate=rate, note=self._note)
        elif not self.quiet and time.monotonic() - self._printed > 15:
            self._printed = time.monotonic()
            of = f" of {self._total:,}" if self._total else ""
            say(f"{self._title}: {self._done:,}{of} {self._unit}, {rate} {self._note}".rstrip())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()


def say(text: str) -> None:
    """One line on stderr, unless `--quiet`."""
    if not Progress.quiet:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
