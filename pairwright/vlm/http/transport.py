"""HTTP as the client needs it: whole requests, whole answers, one kind of failure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

_LOCAL = ("127.0.0.1", "localhost", "::1")
_CONNECT_S = 10.0
# uvicorn closes idle connections after five seconds; be first.
_KEEP_ALIVE_S = 4.0


class NoAnswerError(Exception):
    """Nothing whole came back: no connection, a truncated answer, or too late.

    Attributes:
        is_timeout: Whether it was too late.
    """

    def __init__(self, error: Exception) -> None:
        """Say what happened."""
        super().__init__(f"{type(error).__name__}: {error}".rstrip(": "))
        self.is_timeout = isinstance(error, TimeoutError)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered, whatever it is.

    Attributes:
        status: HTTP status.
        content: The body.
        retry_after: The header of that name.
    """

    status: int
    content: bytes
    retry_after: str | None

    def json(self) -> Any:
        """The body as JSON; raises ValueError."""
        return json.loads(self.content)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode(errors="replace")


class Transport:
    """Connections to some servers, for the length of an `async with` block.

    aiohttp, since what a request costs here is taken from the server where both share a machine:
    with httpx a request took nearly three times the CPU time (`benchmarks/judge_throughput.py`).
    """

    def __init__(self, urls: Iterable[str], timeout_s: float) -> None:
        """Connect to nothing yet.

        Args:
            urls: Addresses of the servers; between us and this machine's own servers no proxy of the
                environment comes.
            timeout_s: Seconds a request may take, from connecting to the answer's last byte.
        """
        self._trust_env = not all(urlsplit(url).hostname in _LOCAL for url in urls)
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_s, sock_connect=min(_CONNECT_S, timeout_s)
        )
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """Request a resource.

        Raises:
            NoAnswerError: If nothing whole comes back.
        """
        return await self._request("GET", url, headers, None)

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """Send JSON.

        Raises:
            NoAnswerError: If nothing whole comes back.
        """
        return await self._request("POST", url, headers, content)

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None
    ) -> Answer:
        assert self._session is not None
        try:
            async with self._session.request(method, url, data=content, headers=headers) as answer:
                return Answer(answer.status, await answer.read(), answer.headers.get("retry-after"))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswerError(error) from error

    async def __aenter__(self) -> Self:
        """Open."""
        self._session = aiohttp.ClientSession(
            # How many at once is the throttle's matter.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
            timeout=self._timeout,
            trust_env=self._trust_env,
            headers={"Content-Type": "application/json"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all connections."""
        assert self._session is not None
        await self._session.close()
