"""Many concurrent requests to OpenAI-compatible servers, none of them lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import xxhash

from pairwright.errors import ServerError
from pairwright.vlm.http.endpoint import Endpoint
from pairwright.vlm.http.session import Session
from pairwright.vlm.http.throttle import Throttle
from pairwright.vlm.http.transport import Transport
from pairwright.vlm.prepare import ImageSource
from pairwright.vlm.types import ChatRequest, OnReply

# Seconds without any answer after which a server counts as gone.
_PATIENCE_S = 30.0


class HttpBackend:
    """Sends requests to one or several servers of the same model.

    At most `concurrency` requests are in flight and a few times as many in memory; the rest remain in
    the iterator. Each image is sent once to the server its hash falls to: the first request that
    shows it carries the bytes, later ones wait for that one and name the image.
    """

    def __init__(
        self,
        base_urls: Sequence[str],
        model_names: Sequence[str],
        images: ImageSource,
        *,
        api_key: Callable[[str], str | None],
        concurrency: int = 64,
        timeout_s: float = 180.0,
        deadline_s: float = 900.0,
        patience_s: float | None = None,
        why_dead: Callable[[str], str | None] = lambda _url: None,
    ) -> None:
        """Name the servers; nothing is sent yet.

        Args:
            base_urls: Addresses, `/v1` included.
            model_names: What the model may be called there, best first.
            images: Where images come from.
            api_key: Key of an address.
            concurrency: Max requests in flight.
            timeout_s: Seconds one attempt may take.
            deadline_s: Seconds after which a request times out.
            patience_s: Seconds without any answer after which a server counts as gone; half a
                minute if not given.
            why_dead: From the address of a server that has ended, the reason.
        """
        patience = _PATIENCE_S if patience_s is None else patience_s
        self._endpoints = [Endpoint(url, api_key(url), patience) for url in base_urls]
        self._names, self.images = list(model_names), images
        self.throttle = Throttle(concurrency)
        self.held_most = 4 * concurrency
        self.timeout_s, self.deadline_s = timeout_s, deadline_s
        self._why_dead = why_dead
        self._greeted = False
        self.attempts = 0
        self.images_sent = 0

    def ask_all(self, requests: Iterable[ChatRequest], on_reply: OnReply) -> None:
        """Answer every request; see `pairwright.vlm.types.Backend`.

        Raises:
            ServerError: If no server is left.
            UsageError: If a label is not one token of the model.
        """
        work = self._ask_all(iter(requests), on_reply)
        if not _has_loop():
            asyncio.run(work)
            return
        # A notebook has its own event loop.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, work).result()

    async def _ask_all(self, requests: Iterator[ChatRequest], on_reply: OnReply) -> None:
        first = next(requests, None)
        if first is None:
            return
        urls = [endpoint.base_url for endpoint in self._endpoints]
        async with Transport(urls, self.timeout_s) as transport:
            if not self._greeted:
                for endpoint in self._endpoints:
                    await endpoint.greet(transport, self._names)
                self._greeted = True
            with ThreadPoolExecutor(2, thread_name_prefix="images") as pool:
                await Session(self, transport, pool, on_reply).run(first, requests)

    def route(self, request: ChatRequest) -> Endpoint:
        """The living server that the request's first image (else its key) falls to."""
        living = [e for e in self._endpoints if not e.is_dead]
        if not living:
            raise self._gone(self._endpoints[-1])
        what = request.image_ids[0] if request.image_ids else str(request.key)
        # Rendezvous hashing: when a server dies, only its own images move.
        return max(living, key=lambda e: xxhash.xxh3_64_intdigest(f"{e.base_url} {what}".encode()))

    def bury(self, endpoint: Endpoint) -> None:
        """Take a server out; raise if it was the last."""
        endpoint.is_dead = True
        if all(e.is_dead for e in self._endpoints):
            raise self._gone(endpoint)

    def _gone(self, endpoint: Endpoint) -> ServerError:
        words = self._why_dead(endpoint.base_url) or endpoint.breaker.cause
        return ServerError(
            f"the model server at {endpoint.shown} is gone ({words}); what was answered is kept: "
            "start the server and run the same command again to continue"
        )

    def is_gone(self, endpoint: Endpoint) -> bool:
        """Whether there is no hope for a server."""
        return endpoint.breaker.is_open or self._why_dead(endpoint.base_url) is not None


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
