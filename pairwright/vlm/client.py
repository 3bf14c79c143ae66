"""Asking OpenAI-compatible servers many things at once, without losing any."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import xxhash

from pairwright.errors import ServerError, UsageError
from pairwright.images import ImageError
from pairwright.vlm.endpoint import Endpoint
from pairwright.vlm.pool import ClientPool
from pairwright.vlm.prepare import ImageSource, PreparedImage
from pairwright.vlm.throttle import Throttle, pause
from pairwright.vlm.types import ChatRequest, Failure, OnReply, Reply
from pairwright.vlm.wire import MalformedReplyError, body, judge_status, parse

_ATTEMPTS = 8
_CACHE_MISSES = 3
# Seconds without any answer after which a server counts as gone.
_PATIENCE_S = 30.0
# So many requests refused and none answered: it is not the rows.
_REFUSED_IN_A_ROW = 25


@dataclass(slots=True)
class _Job:
    """A request on its way."""

    request: ChatRequest
    endpoint: Endpoint
    started: float
    attempts: int = 0
    overloads: int = 0
    cache_misses: int = 0


class HttpBackend:
    """Asks one or several servers of the same model.

    At most `concurrency` requests are in flight and a few times as many are held; the rest stay in
    the iterator. Each image is sent once to the server its hash falls to: the first request that
    shows it carries the bytes, those behind it wait for that one and name the image.
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
            concurrency: Most requests in flight.
            timeout_s: Seconds one attempt may take.
            deadline_s: Seconds after which a request is given up.
            patience_s: Seconds without any answer after which a server counts as gone; half a
                minute if not given.
            why_dead: Says of an address that its server is known to have ended, and why.
        """
        patience = _PATIENCE_S if patience_s is None else patience_s
        self._endpoints = [Endpoint(url, api_key(url), patience) for url in base_urls]
        self._names, self._images = list(model_names), images
        self._throttle = Throttle(concurrency)
        self._held_most = 4 * concurrency
        self._timeout_s, self._deadline_s = timeout_s, deadline_s
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
        # A notebook has a loop of its own.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, work).result()

    async def _ask_all(self, requests: Iterator[ChatRequest], on_reply: OnReply) -> None:
        first = next(requests, None)
        if first is None:
            return
        urls = [endpoint.base_url for endpoint in self._endpoints]
        async with ClientPool(urls, self._timeout_s) as clients:
            if not self._greeted:
                async with clients.client() as client:
                    for endpoint in self._endpoints:
                        await endpoint.greet(client, self._names, labels=first.labels or ())
                self._greeted = True
            with ThreadPoolExecutor(2, thread_name_prefix="images") as pool:
                await _Session(self, clients, pool, on_reply).run(first, requests)

    def _route(self, request: ChatRequest) -> Endpoint:
        """The living server that the request's first image (else its key) falls to."""
        living = [e for e in self._endpoints if not e.is_dead]
        if not living:
            raise self._gone(self._endpoints[-1])
        what = request.image_ids[0] if request.image_ids else str(request.key)
        # Rendezvous hashing: when a server dies, only its own share moves.
        return max(living, key=lambda e: xxhash.xxh3_64_intdigest(f"{e.base_url} {what}".encode()))

    def _bury(self, endpoint: Endpoint) -> None:
        """Take a server out; raise if it was the last."""
        endpoint.is_dead = True
        if all(e.is_dead for e in self._endpoints):
            raise self._gone(endpoint)

    def _gone(self, endpoint: Endpoint) -> ServerError:
        words = self._why_dead(endpoint.base_url) or endpoint.breaker.cause
        return ServerError(
            f"the model server at {endpoint.shown} is gone ({words}); what was answered is kept: "
            "with the server back, the same command goes on"
        )

    def is_gone(self, endpoint: Endpoint) -> bool:
        """Whether there is no hope for a server."""
        return endpoint.breaker.is_open or self._why_dead(endpoint.base_url) is not None


class _Session:
    """The loop of one `ask_all`."""

    def __init__(
        self,
        backend: HttpBackend,
        clients: ClientPool,
        pool: ThreadPoolExecutor,
        on_reply: OnReply,
    ) -> None:
        self._backend, self._clients, self._pool = backend, clients, pool
        self._on_reply = on_reply
        self._ready: deque[_Job] = deque()
        # Requests that wait until the first one with their image is through.
        self._waiting: dict[tuple[str, str], list[_Job]] = {}
        self._num_waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._fatal: BaseException | None = None
        self._refused = 0
        self._answered = 0

    async def run(self, first: ChatRequest, rest: Iterator[ChatRequest]) -> None:
        """Ask everything."""
        self._admit(first)
        exhausted = False
        try:
            while True:
                self._start()
                if not exhausted and self._has_room():
                    request = next(rest, None)
                    if request is None:
                        exhausted = True
                    else:
                        self._admit(request)
                    continue
                if not self._tasks:
                    return
                self._wake.clear()
                await self._wake.wait()
                if self._fatal is not None:
                    raise self._fatal
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _has_room(self) -> bool:
        held = len(self._tasks) + len(self._ready) + self._num_waiting
        backend = self._backend
        return len(self._tasks) < backend._throttle.limit and held < backend._held_most

    def _admit(self, request: ChatRequest) -> None:
        endpoint = self._backend._route(request)
        self._ready.append(_Job(request, endpoint, started=time.monotonic()))

    def _start(self) -> None:
        while self._ready and len(self._tasks) < self._backend._throttle.limit:
            job = self._ready.popleft()
            if job.endpoint.is_dead:
                job.endpoint = self._backend._route(job.request)
            unknown = self._unknown_images(job)
            bringer = next((key for key in unknown if key in self._waiting), None)
            if bringer is not None:
                self._waiting[bringer].append(job)
                self._num_waiting += 1
                continue
            if unknown and self._has_enough_images():
                self._ready.appendleft(job)
                return
            for key in unknown:
                self._waiting[key] = []
            task = asyncio.create_task(self._carry(job))
            self._tasks.add(task)
            task.add_done_callback(self._on_done)

    def _unknown_images(self, job: _Job) -> list[tuple[str, str]]:
        """Images of a request that its server has not been sent yet."""
        if not job.endpoint.dialect.knows_uuids:
            return []
        url = job.endpoint.base_url
        ids = dict.fromkeys(job.request.image_ids)
        return [(url, i) for i in ids if job.endpoint.uuid_of(i) is None]

    def _has_enough_images(self) -> bool:
        """Whether images that others wait for are being brought already.

        A server keeps few encoded images (vLLM: as many tokens as fit into one step). With too
        many in play at once each is encoded again for every request that shows it.
        """
        wanted = sum(1 for followers in self._waiting.values() if followers)
        return wanted >= max(2, self._backend._throttle.limit // 8)

    def _release(self, url: str, image_ids: set[str]) -> None:
        """Let those go on that waited for these images."""
        for image_id in image_ids:
            followers = self._waiting.pop((url, image_id))
            self._num_waiting -= len(followers)
            self._ready.extendleft(reversed(followers))

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._fatal = self._fatal or task.exception()
        self._wake.set()

    async def _carry(self, job: _Job) -> None:
        """See one request through: attempts, then a reply."""
        url = job.endpoint.base_url
        brought = {i for i in job.request.image_ids if (url, i) in self._waiting}
        try:
            reply = await self._attempts(job)
        finally:
            self._release(url, brought)
        self._watch_refusals(reply)
        self._on_reply(reply)

    def _watch_refusals(self, reply: Reply) -> None:
        if reply.error is None or reply.error.reason != "refused":
            self._answered += reply.error is None
            return
        self._refused += 1
        if self._refused >= _REFUSED_IN_A_ROW and not self._answered:
            msg = f"the server refuses every request ({reply.error.detail})"
            raise ServerError(msg)

    async def _attempts(self, job: _Job) -> Reply:
        failure = Failure(reason="unanswered", detail="not tried")
        while True:
            outcome = await self._attempt(job)
            if isinstance(outcome, Reply):
                return outcome
            failure, wait = outcome
            elapsed = time.monotonic() - job.started
            if job.attempts >= _ATTEMPTS or elapsed + wait > self._backend._deadline_s:
                return Reply(key=job.request.key, error=failure)
            await asyncio.sleep(wait)

    async def _attempt(self, job: _Job) -> Reply | tuple[Failure, float]:
        """Send once: the reply, or why there is none and how long to wait."""
        backend, request = self._backend, job.request
        if job.endpoint.is_dead:
            job.endpoint = backend._route(request)
        endpoint = job.endpoint
        try:
            images = await self._image_parts(job)
        except ImageError as error:
            return Reply(key=request.key, error=Failure(reason="image", detail=str(error)))
        job.attempts += 1
        backend.attempts += 1
        sent_at = time.monotonic()
        if job.attempts == 1:
            job.started = sent_at
        label_ids = None
        try:
            async with self._clients.client() as client:
                if request.labels is not None:
                    label_ids = await endpoint.label_ids(client, request.labels)
                content = body(request, endpoint.dialect, images, label_ids)
                response = await client.post(
                    f"{endpoint.base_url}/chat/completions", json=content, headers=endpoint.headers
                )
            if response.status_code == 200:
                reply = parse(response.json(), request, label_ids, time.monotonic() - sent_at)
                self._on_success(endpoint, images)
                return reply
        except UsageError:
            raise  # a label that is not one token: no row will fare better
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return self._on_no_answer(job, error)
        return self._on_status(job, response, images)

    def _on_success(self, endpoint: Endpoint, images: dict[str, PreparedImage | str]) -> None:
        endpoint.breaker.success()
        self._backend._throttle.success()
        for image_id, image in images.items():
            if isinstance(image, PreparedImage):
                self._backend.images_sent += 1
                endpoint.remember(image_id, image.uuid)

    def _on_no_answer(self, job: _Job, error: Exception) -> tuple[Failure, float]:
        """Connection refused, cut, too slow, or a reply that is none."""
        cause = f"{type(error).__name__}: {error}".rstrip(": ")
        malformed = isinstance(error, MalformedReplyError)
        if not malformed:
            self._note_trouble(job.endpoint, cause)
        if isinstance(error, httpx.TimeoutException):
            self._backend._throttle.overload()
        return Failure(reason="unanswered", detail=cause), pause(job.attempts)

    def _note_trouble(self, endpoint: Endpoint, cause: str) -> None:
        endpoint.breaker.failure(cause)
        if not endpoint.is_dead and self._backend.is_gone(endpoint):
            self._backend._bury(endpoint)

    def _on_status(
        self, job: _Job, response: httpx.Response, images: dict[str, PreparedImage | str]
    ) -> Reply | tuple[Failure, float]:
        verdict = judge_status(response.status_code, response.text)
        if verdict.action == "fatal":
            msg = f"{job.endpoint.shown} refuses to answer ({verdict.failure.detail})"
            raise ServerError(msg)
        if verdict.action == "cache_miss" and job.cache_misses < _CACHE_MISSES:
            # The server has dropped the image: send the bytes again, at no cost to the row.
            job.cache_misses += 1
            job.attempts -= 1
            for image_id in images:
                job.endpoint.forget(image_id)
            return verdict.failure, 0.0
        if verdict.action in ("fail", "cache_miss"):
            job.endpoint.breaker.success()
            return Reply(key=job.request.key, error=verdict.failure)
        if verdict.action == "overload":
            # The server lives: such rows wait for their turn until their deadline.
            self._backend._throttle.overload()
            job.overloads += 1
            job.attempts -= 1
        if response.status_code != 429:
            self._note_trouble(job.endpoint, verdict.failure.detail)
        return verdict.failure, pause(
            job.attempts + job.overloads, response.headers.get("retry-after")
        )

    async def _image_parts(self, job: _Job) -> dict[str, PreparedImage | str]:
        """For each image its uuid if the server has it, else the image."""
        loop = asyncio.get_running_loop()
        parts: dict[str, PreparedImage | str] = {}
        for image_id in dict.fromkeys(job.request.image_ids):
            uuid = job.endpoint.uuid_of(image_id)
            if uuid is not None:
                parts[image_id] = uuid
            else:
                parts[image_id] = await loop.run_in_executor(
                    self._pool, self._backend._images.get, image_id
                )
        return parts


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
