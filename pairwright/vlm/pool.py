"""HTTP clients, one for each request in flight."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

_LOCAL = ("127.0.0.1", "localhost", "::1")


class ClientPool:
    """Lends out clients that nobody else uses meanwhile.

    httpx's own pool looks at all connections whenever a request starts or ends: at 64 in flight
    that is more work than the requests. Clients with a connection each do not see one another.
    """

    def __init__(self, urls: Iterable[str], timeout_s: float) -> None:
        """Make no client yet.

        Args:
            urls: What will be asked; between us and this machine's own servers no proxy of the
                environment comes.
            timeout_s: Seconds a request may take.
        """
        self._trust_env = not all(urlsplit(url).hostname in _LOCAL for url in urls)
        self._timeout = httpx.Timeout(timeout_s, connect=10.0, pool=None)
        # Loading the certificates takes longer than all the rest.
        self._ssl = ssl.create_default_context()
        self._free: list[httpx.AsyncClient] = []
        self._all: list[httpx.AsyncClient] = []

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client for the length of a block."""
        client = self._free.pop() if self._free else self._make()
        try:
            yield client
        finally:
            self._free.append(client)

    def _make(self) -> httpx.AsyncClient:
        client = httpx.AsyncClient(
            timeout=self._timeout,
            # uvicorn closes idle connections after five seconds; be first.
            limits=httpx.Limits(keepalive_expiry=4.0),
            trust_env=self._trust_env,
            verify=self._ssl,
        )
        self._all.append(client)
        return client

    async def __aenter__(self) -> Self:
        """Start."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all clients."""
        for client in self._all:
            await client.aclose()
