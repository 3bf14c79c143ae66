"""Images of rows to image ids: each distinct image is fetched and decoded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from curate.ingest.decode import Chunk, Decoder, Inspected
from curate.read.rows import ImageRef, RowError
from curate.read.sources.fetch import Fetcher
from pairwright.dataset.ids import content_hash
from pairwright.images import ImageError, ImageFacts

_CHUNK: Final = 16
_MAX_REMEMBERED: Final = 500_000
# Assumed size of an image that is not fetched yet.
_REMOTE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Ticket:
    """A claim to the result for one image.

    Attributes:
        key: What the image is remembered by.
        found: The result, if it is known: an id, or why there is none.
        chunk: The chunk that it is decoded in, if it is not known.
        index: Its position in the chunk.
    """

    key: str
    found: str | Inspected | None = None
    chunk: Chunk | None = None
    index: int = 0


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
        """Remember which images are in the dataset.

        Args:
            folder: The only folder that paths may lead to.
            known: Ids of images that need no decoding; new ones are added.
            link: Whether to record paths instead of bytes.
            allow_private: Whether images may be fetched from private addresses.
        """
        self._folder, self._known = folder, known
        self._seen: dict[str, str | Inspected] = {}
        self._waiting: dict[str, Ticket] = {}
        self._new: list[dict[str, Any]] = []
        self._allow_private = allow_private
        self._fetcher: Fetcher | None = None
        self.decoder = Decoder(folder, link=link)
        self.n_decoded = self.n_fetched = 0

    def __enter__(self) -> Self:
        """Start nothing: small inputs need no pool."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop decoding and fetching."""
        if self._fetcher is not None:
            self._fetcher.close()
        self.decoder.close(wait=kind is None)

    def size(self, ref: ImageRef) -> int:
        """About how many bytes an image needs in memory until it is decoded."""
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
        """Begin to decode images; those that were seen before are not decoded again."""
        tickets, chunk = [], Chunk([])
        fetched = self._fetch(refs)
        for ref in refs:
            key = ref.key if ref.content is None else content_hash(ref.content)
            if key in fetched:
                ref = self._fetched(key, fetched.pop(key))
            if key in self._known:
                ticket = Ticket(key, found=key)
            elif key in self._seen:
                ticket = Ticket(key, found=self._seen[key])
            elif key in self._waiting:
                ticket = self._waiting[key]
            else:
                if len(chunk.refs) >= _CHUNK:
                    self.decoder.start(chunk)
                    chunk = Chunk([])
                self.n_decoded += 1
                ticket = self._waiting[key] = Ticket(key, chunk=chunk, index=len(chunk.refs))
                chunk.refs.append(ref)
            tickets.append(ticket)
        self.decoder.start(chunk)
        return tickets

    def image_id(self, ticket: Ticket) -> str:
        """Id of an image; waits until it is decoded.

        Raises:
            RowError: If the image cannot be used.
        """
        seen = self._seen.get(ticket.key) if ticket.found is None else ticket.found
        if seen is None:
            assert ticket.chunk is not None
            seen = self._settle(ticket, self.decoder.results(ticket.chunk)[ticket.index])
        if isinstance(seen, Inspected):
            raise RowError(seen.reason, seen.detail, stage="image")
        return seen

    def take_new(self) -> list[dict[str, Any]]:
        """Rows of the images table that are new since the last call."""
        rows, self._new = self._new, []
        return rows

    def _fetch(self, refs: Sequence[ImageRef]) -> dict[str, bytes | ImageError]:
        """Contents of the addresses that were not fetched before, by their keys."""
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

    def _fetched(self, key: str, content: bytes | ImageError) -> ImageRef:
        """An image that was fetched; a failure is remembered as an image that cannot be used."""
        if isinstance(content, ImageError):
            self._seen[key] = Inspected(reason=content.reason, detail=content.detail)
            return ImageRef(url=key)
        return ImageRef(content=content)

    def _settle(self, ticket: Ticket, found: Inspected) -> str | Inspected:
        """Remember the result of a ticket, and the image if it is new."""
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
