"""Opening and decoding images, in other processes if there are many.

Decoding is most of the work of an ingest, and decoders can crash: in a pool, a crash costs the image
that was being decoded and nothing else.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from curate.read.rows import ImageRef, printable
from pairwright.commands.progress import say
from pairwright.images import ImageError, ImageFacts, inspect_image, read_file

# A pool takes a second to start: it must be worth it.
_SECONDS_IN_PROCESS: Final = 1.5
_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".JPG", ".JPEG", ".PNG", "")
_FOLDERS: Final = ("", "image", "images")


@dataclass(frozen=True, slots=True)
class Inspected:
    """A decoded image, or why it cannot be used."""

    facts: ImageFacts | None = None
    content: bytes | None = None
    path: str | None = None
    reason: str = ""
    detail: str = ""


@dataclass(slots=True, eq=False)
class Chunk:
    """Images that one process decodes in one task."""

    refs: list[ImageRef]
    future: Future[list[Inspected]] | None = None
    results: list[Inspected] | None = None


class Decoder:
    """Decodes chunks of images, first in this process, then in a pool."""

    def __init__(self, folder: Path, *, link: bool) -> None:
        """Start nothing: small inputs need no pool.

        Args:
            folder: The only folder that paths may lead to.
            link: Whether the absolute path of a file is wanted instead of its bytes.
        """
        self._folder, self._link = folder, link
        self._pool: ProcessPoolExecutor | None = None
        self._busy_seconds = 0.0

    def close(self, *, wait: bool) -> None:
        """Stop the pool.

        Args:
            wait: Whether to wait for its processes.
        """
        if self._pool is not None:
            self._pool.shutdown(wait=wait, cancel_futures=True)

    def start(self, chunk: Chunk) -> None:
        """Begin to decode a chunk."""
        if not chunk.refs:
            return
        if self._pool is None and self._busy_seconds > _SECONDS_IN_PROCESS:
            self._pool = self._start_pool()
        if self._pool is None:
            started = time.monotonic()
            chunk.results = inspect_refs(chunk.refs, self._folder, self._link)
            self._busy_seconds += time.monotonic() - started
            return
        try:
            chunk.future = self._pool.submit(inspect_refs, chunk.refs, self._folder, self._link)
        except BrokenProcessPool:
            self._pool = None
            self.start(chunk)

    def results(self, chunk: Chunk) -> list[Inspected]:
        """The results of a chunk that was started; waits for them."""
        if chunk.results is None:
            assert chunk.future is not None
            try:
                chunk.results = chunk.future.result()
            except BrokenProcessPool:
                chunk.results = self._one_by_one(chunk.refs)
            chunk.future = None
        return chunk.results

    def _start_pool(self) -> ProcessPoolExecutor | None:
        """A pool that works; `None` where it cannot help or start (no main guard in a script)."""
        workers = (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        )
        if (workers or 1) < 2:
            return None
        pool = _make_pool(workers or 1)
        try:
            pool.submit(os.getpid).result()
        except (BrokenProcessPool, RuntimeError, OSError):
            say("images are decoded in this process: this program cannot start others")
            self._busy_seconds = -math.inf
            return None
        return pool

    def _one_by_one(self, refs: Sequence[ImageRef]) -> list[Inspected]:
        """Find the image that crashed its decoder: each one in a process that may crash."""
        out: list[Inspected] = []
        pool = _make_pool(1)
        for ref in refs:
            try:
                out += pool.submit(inspect_refs, [ref], self._folder, self._link).result()
            except BrokenProcessPool:
                out.append(
                    Inspected(reason="decoder_crashed", detail="the image crashed its decoder")
                )
                pool = _make_pool(1)
        pool.shutdown()
        return out


def inspect_refs(refs: Sequence[ImageRef], folder: Path, link: bool) -> list[Inspected]:
    """Open and decode images.

    Args:
        refs: The images.
        folder: The only folder that paths may lead to.
        link: Whether the absolute path of a file is wanted instead of its bytes.
    """
    return [_inspect(ref, folder, link) for ref in refs]


def _inspect(ref: ImageRef, folder: Path, link: bool) -> Inspected:
    try:
        if ref.content is not None:
            return Inspected(facts=inspect_image(ref.content))  # the caller has the bytes
        path = Path(ref.path or "")
        if ref.stem:
            path = _with_suffix(path, folder)
        content = read_file(path, folder)
        facts = inspect_image(content)
        if link:
            return Inspected(facts=facts, path=str((folder / path).resolve()))
        return Inspected(facts=facts, content=content)
    except ImageError as error:
        return Inspected(reason=error.reason, detail=printable(error.detail))


def _with_suffix(path: Path, folder: Path) -> Path:
    """The file of an image id: with a usual suffix, in the folder or its `image(s)`."""
    for inner in _FOLDERS:
        for suffix in _SUFFIXES:
            candidate = Path(inner, f"{path}{suffix}")
            try:
                found = (folder / candidate).is_file()
            except (OSError, ValueError):
                found = False
            if found:
                return candidate
    return path


def _make_pool(workers: int) -> ProcessPoolExecutor:
    # Spawned, not forked: polars and other libraries have threads that do not survive a fork.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker)


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent has ended, even by kill -9."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
