"""Threads for compiled loops and for libraries that release the interpreter lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_CHUNK = 20_000


def n_threads() -> int:
    """Number of threads: the cores that this process may use, at most 16."""
    return max(1, min(16, len(os.sched_getaffinity(0))))


def in_threads(work: Callable[[int, int], None], n: int, chunk: int = _CHUNK) -> None:
    """Call `work(first, last)` in parallel over ranges that cover 0 to n.

    Args:
        work: Processes the items from `first` up to, but not including, `last`.
        n: Number of items.
        chunk: Items a range.
    """
    ranges = [(first, min(first + chunk, n)) for first in range(0, n, chunk)]
    if len(ranges) < 2:
        for first, last in ranges:
            work(first, last)
        return
    with ThreadPoolExecutor(min(len(ranges), n_threads())) as pool:
        for done in [pool.submit(work, *one) for one in ranges]:
            done.result()
