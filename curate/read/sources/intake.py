"""Looking at images: each distinct one is decoded once, in other processes when there are many.

Decoding is what an ingest costs, and what can crash: in a pool, a decoder that takes its process
down costs the image that it was looking at.
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
from types import TracebackType
from typing import Any, Final, Self

from curate.read.rows import ImageRef, RowError, printable
from curate.read.sources.fetch import Fetcher
from pairwright.commands.progress import say
from pairwright.dataset.ids import content_hash
from pairwright.images import ImageError, ImageFacts, inspect_image, read_file

# A pool takes a second to start: it must be worth it.
_SECONDS_IN_PROCESS: Final = 1.5
_CHUNK: Final = 16
_MAX_REMEMBERED: Final = 500_000
# What an image that is not here yet is counted as.
_REMOTE_BYTES: Final = 1 << 20
_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".JPG", ".JPEG", ".PNG", "")
_FOLDERS: Final = ("", "image", "images")


@dataclass(frozen=True, slots=True)
class Inspected:
    """An image that was looked at, or why it cannot be used."""

    facts: ImageFacts | None = None
    content: bytes | None = None
    path: str | None = None
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Where the result for one image will be.

    Attributes:
        found: The result: an id, or why there is none.
    """

    key: str
    found: str | Inspected | None = None
    chunk: _Chunk | None = None
    index: int = 0


@dataclass(slots=True, eq=False)
class _Chunk:
    """Images that one process looks at in one go."""

    refs: list[ImageRef]
    future: Future[list[Inspected]] | None = None
    results: list[Inspected] | None = None


def inspect_refs(refs: Sequence[ImageRef], folder: Path, link: bool) -> list[Inspected]:
    """Read and decode images.

    Args:
        refs: The images.
        folder: The only folder that paths may lead to.
        link: Whether the absolute path of a file is wanted instead of its bytes.
    """
    return [_inspect(ref, folder, link) for ref in refs]


def _inspect(ref: ImageRef, folder: Path, link: bool) -> Inspected:
    try:
        if ref.content is not None:
            return Inspected(facts=inspect_image(ref.content))  # who asked has the bytes
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
    """The file that an image id means: with a usual suffix, in the folder or its `image(s)`."""
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


class Intake:
    """Turns the images that rows name into ids; used as a context manager."""

    def __init__(
        self,
        folder: Path,
        known: set[str],
        *,
        link: bool = False,
        allow_private: bool = False,
    ) -> None:
        """Remember what is there.

        Args:
            folder: The only folder that paths may lead to.
            known: Ids of images that need no second look; new ones are added.
            link: Whether to record paths instead of bytes.
            allow_private: Whether images may be fetched from private addresses.
        """
        self._folder, self._known, self._link = folder, known, link
        self._seen: dict[str, str | Inspected] = {}
        self._waiting: dict[str, Ticket] = {}
        self._pool: ProcessPoolExecutor | None = None
        self._busy = 0.0
        self._new: list[dict[str, Any]] = []
        self._allow_private = allow_private
        self._fetcher: Fetcher | None = None
        self.n_decoded = self.n_fetched = 0

    def __enter__(self) -> Self:
        """Nothing to start yet: small inputs need no pool."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the pool and what is being fetched."""
        if self._fetcher is not None:
            self._fetcher.close()
        if self._pool is not None:
            self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def size(self, ref: ImageRef) -> int:
        """Bytes that looking at an image takes at least, to bound what is under way."""
        if ref.content is not None:
            return len(ref.content)
        if ref.key in self._seen or ref.key in self._waiting:
            return 0
        if ref.url is not None:
            return _REMOTE_BYTES
        try:
            return (self._folder / (ref.path or "")).stat().st_size
        except (OSError, ValueError):
            return 0

    def submit(self, refs: Sequence[ImageRef]) -> list[Ticket]:
        """Have images looked at; those seen before are not looked at again."""
        tickets, chunk = [], _Chunk([])
        arrived = self._fetch(refs)
        for ref in refs:
            key = ref.key if ref.content is None else content_hash(ref.content)
            if key in arrived:
                ref = self._arrived(key, arrived.pop(key))
            if key in self._known:
                ticket = Ticket(key, found=key)
            elif key in self._seen:
                ticket = Ticket(key, found=self._seen[key])
            elif key in self._waiting:
                ticket = self._waiting[key]
            else:
                if len(chunk.refs) >= _CHUNK:
                    self._start(chunk)
                    chunk = _Chunk([])
                self.n_decoded += 1
                ticket = self._waiting[key] = Ticket(key, chunk=chunk, index=len(chunk.refs))
                chunk.refs.append(ref)
            tickets.append(ticket)
        self._start(chunk)
        return tickets

    def _fetch(self, refs: Sequence[ImageRef]) -> dict[str, bytes | ImageError]:
        """Contents of the addresses that were not asked before, by their keys."""
        urls = {
            ref.key: ref.url
            for ref in refs
            if ref.url is not None and ref.key not in self._seen and ref.key not in self._waiting
        }
        if not urls:
            return {}
        if self._fetcher is None:
            self._fetcher = Fetcher(allow_private=self._allow_private)
        self.n_fetched += len(urls)
        return dict(zip(urls, self._fetcher.images(list(urls.values())), strict=True))

    def _arrived(self, key: str, content: bytes | ImageError) -> ImageRef:
        """An image that was fetched; what was not is remembered as one that cannot be used."""
        if isinstance(content, ImageError):
            self._seen[key] = Inspected(reason=content.reason, detail=content.detail)
            return ImageRef(url=key)
        return ImageRef(content=content)

    def image_id(self, ticket: Ticket) -> str:
        """Id of an image.

        Raises:
            RowError: If the image cannot be used.
        """
        seen = self._seen.get(ticket.key) if ticket.found is None else ticket.found
        if seen is None:
            assert ticket.chunk is not None
            seen = self._settle(ticket, self._results(ticket.chunk)[ticket.index])
        if isinstance(seen, Inspected):
            raise RowError(seen.reason, seen.detail, stage="image")
        return seen

    def take_new(self) -> list[dict[str, Any]]:
        """Rows of the images table that are new since the last call."""
        rows, self._new = self._new, []
        return rows

    def _settle(self, ticket: Ticket, found: Inspected) -> str | Inspected:
        self._waiting.pop(ticket.key, None)
        if len(self._seen) >= _MAX_REMEMBERED:
            self._seen.clear()
        if found.facts is None:
            self._seen[ticket.key] = found
            return found
        facts = found.facts
        if facts.image_id not in self._known:
            self._known.add(facts.image_id)
            row = {name: getattr(facts, name) for name in ImageFacts.__slots__}
            content = found.content
            if content is None and found.path is None and ticket.chunk is not None:
                content = ticket.chunk.refs[ticket.index].content
            self._new.append({**row, "bytes": content, "path": found.path})
        if ticket.key != facts.image_id:
            self._seen[ticket.key] = facts.image_id
        return facts.image_id

    def _start(self, chunk: _Chunk) -> None:
        if not chunk.refs:
            return
        workers = (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        )
        if self._pool is None and self._busy > _SECONDS_IN_PROCESS and (workers or 1) > 1:
            self._pool = self._start_pool(workers or 1)
        if self._pool is None:
            started = time.monotonic()
            chunk.results = inspect_refs(chunk.refs, self._folder, self._link)
            self._busy += time.monotonic() - started
            return
        try:
            chunk.future = self._pool.submit(inspect_refs, chunk.refs, self._folder, self._link)
        except BrokenProcessPool:
            self._pool = None
            self._start(chunk)

    def _start_pool(self, workers: int) -> ProcessPoolExecutor | None:
        """A pool that works; `None` where processes cannot start (a script without a main guard)."""
        pool = _make_pool(workers)
        try:
            pool.submit(os.getpid).result()
        except (BrokenProcessPool, RuntimeError, OSError):
            say("images are looked at in this process: others cannot be started from this program")
            self._busy = -math.inf
            return None
        return pool

    def _results(self, chunk: _Chunk) -> list[Inspected]:
        if chunk.results is None:
            assert chunk.future is not None
            try:
                chunk.results = chunk.future.result()
            except BrokenProcessPool:
                chunk.results = self._one_by_one(chunk.refs)
            chunk.future = None
        return chunk.results

    def _one_by_one(self, refs: Sequence[ImageRef]) -> list[Inspected]:
        """Find the image that a decoder crashed on, each in a process that may die of it."""
        out: list[Inspected] = []
        pool = _make_pool(1)
        for ref in refs:
            try:
                out += pool.submit(inspect_refs, [ref], self._folder, self._link).result()
            except BrokenProcessPool:
                out.append(
                    Inspected(reason="decoder_crashed", detail="the image broke its decoder")
                )
                pool = _make_pool(1)
        pool.shutdown()
        return out


def _make_pool(workers: int) -> ProcessPoolExecutor:
    # Spawned, not forked: polars and other libraries have threads that do not survive a fork.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker)


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent is gone, even by kill -9."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
