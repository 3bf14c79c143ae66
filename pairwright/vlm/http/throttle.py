"""How many requests at once, when to try again, and when to give up on a server."""

from __future__ import annotations

import random
import time

_COOL_S = 1.0


class Throttle:
    """Requests in flight: one more after a window without trouble, half after trouble (AIMD).

    Until the first trouble each answer makes room for one more, so that a run begins at full speed.
    """

    def __init__(self, most: int) -> None:
        """Allow at most `most`."""
        self._most = most
        self._limit = float(max(1, most // 2))
        self._cut_at = 0.0
        self._had_trouble = False

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return max(1, int(self._limit))

    def success(self) -> None:
        """A request was answered."""
        step = 1.0 / self._limit if self._had_trouble else 1.0
        self._limit = min(float(self._most), self._limit + step)

    def overload(self) -> None:
        """The server was too busy; at most one decrease per second, since concurrent requests fail together."""
        self._had_trouble = True
        now = time.monotonic()
        if now - self._cut_at > _COOL_S:
            self._cut_at = now
            self._limit = max(1.0, self._limit / 2)


class Breaker:
    """Decides when a server has been unreachable for too long to wait."""

    def __init__(self, patience_s: float, *, at_least: int = 3) -> None:
        """Give up after `patience_s` seconds and `at_least` failures without any answer."""
        self._patience_s, self._at_least = patience_s, at_least
        self._count, self._since = 0, 0.0
        self.cause = ""

    def success(self) -> None:
        """It answered."""
        self._count = 0

    def failure(self, cause: str) -> None:
        """It did not."""
        if self._count == 0:
            self._since = time.monotonic()
        self._count += 1
        self.cause = cause

    @property
    def is_open(self) -> bool:
        """Whether to give up."""
        waited = time.monotonic() - self._since
        return self._count >= self._at_least and waited >= self._patience_s


def pause(attempt: int, retry_after: str | None = None) -> float:
    """Seconds to wait before the next attempt: exponential, with jitter, at most half a minute.

    Args:
        attempt: Attempts made so far, from 1.
        retry_after: The server's own word, in seconds; other forms are not understood.
    """
    wait = min(30.0, 0.25 * 2.0**attempt) * random.uniform(0.5, 1.0)
    if retry_after and retry_after.strip().isdigit():
        wait = max(wait, min(60.0, float(retry_after)))
    return wait
