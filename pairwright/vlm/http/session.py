"""One pass over the requests: who is sent when, who waits for an image, what is tried again."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from pairwright.errors import ServerError, UsageError
from pairwright.images import ImageError
from pairwright.vlm.http.endpoint import Endpoint
from pairwright.vlm.http.throttle import Throttle, pause
from pairwright.vlm.http.transport import Answer, NoAnswerError, Transport
from pairwright.vlm.http.wire import MalformedReplyError, encode, judge_status, parse
from pairwright.vlm.prepare import ImageSource, PreparedImage
from pairwright.vlm.types import ChatRequest, Failure, OnReply, Reply

_ATTEMPTS = 8
_CACHE_MISSES = 3
# So many requests refused and none answered: it is not the rows.
_REFUSED_IN_A_ROW = 25

Images = dict[str, PreparedImage | str]


class Servers(Protocol):
    """What a session needs of the backend (`pairwright.vlm.http.client.HttpBackend`)."""

    throttle: Throttle
    images: ImageSource
    held_most: int
    deadline_s: float
    attempts: int
    images_sent: int

    def route(self, request: ChatRequest) -> Endpoint:
        """The server that a request is sent to."""

    def is_gone(self, endpoint: Endpoint) -> bool:
        """Whether there is no hope for a server."""

    def bury(self, endpoint: Endpoint) -> None:
        """Take a server out; raises ServerError if it was the last."""


@dataclass(slots=True)
class Job:
    """A request on its way."""

    request: ChatRequest
    endpoint: Endpoint
    image_ids: tuple[str, ...]  # each once
    started: float
    attempts: int = 0
    overloads: int = 0
    cache_misses: int = 0
    has_dropped_schema: bool = False
    # Images that others wait for until this request is through.
    brings: set[tuple[str, str]] = field(default_factory=set)


class Session:
    """The loop of one `ask_all`."""

    def __init__(
        self,
        backend: Servers,
        transport: Transport,
        pool: ThreadPoolExecutor,
        on_reply: OnReply,
    ) -> None:
        self._backend, self._transport, self._pool = backend, transport, pool
        self._on_reply = on_reply
        self._ready: deque[Job] = deque()
        # Requests that wait until the first one with their image is through.
        self._waiting: dict[tuple[str, str], list[Job]] = {}
        self._num_waiting = 0
        # Requests that pause before they are tried again; they do not count as in flight.
        self._num_resting = 0
        self._resting_images: set[tuple[str, str]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._learning = asyncio.Lock()
        self._fatal: BaseException | None = None
        self._refused = 0
        self._answered = 0

    async def run(self, first: ChatRequest, rest: Iterator[ChatRequest]) -> None:
        """Send all requests."""
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
                if not self._tasks and not self._num_resting:
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
        held = len(self._tasks) + len(self._ready) + self._num_waiting + self._num_resting
        backend = self._backend
        return len(self._tasks) < backend.throttle.limit and held < backend.held_most

    def _admit(self, request: ChatRequest) -> None:
        endpoint = self._backend.route(request)
        image_ids = tuple(dict.fromkeys(request.image_ids))
        self._ready.append(Job(request, endpoint, image_ids, started=time.monotonic()))

    def _start(self) -> None:
        while self._ready and len(self._tasks) < self._backend.throttle.limit:
            job = self._ready.popleft()
            if job.endpoint.is_dead:
                self._release(job)
                job.endpoint = self._backend.route(job.request)
            unknown = self._unknown_images(job)
            bringer = next((key for key in unknown if key in self._waiting), None)
            if bringer is not None:
                self._release(job)  # two never wait for each other
                self._waiting[bringer].append(job)
                self._num_waiting += 1
                continue
            if unknown and self._has_enough_images():
                self._ready.appendleft(job)
                return
            for key in unknown:
                self._waiting[key] = []
            job.brings.update(unknown)
            task = asyncio.create_task(self._carry(job))
            self._tasks.add(task)
            task.add_done_callback(self._on_done)

    def _unknown_images(self, job: Job) -> list[tuple[str, str]]:
        """Images that its server has not been sent yet and that the request does not bring."""
        if not job.endpoint.dialect.knows_uuids:
            return []
        url = job.endpoint.base_url
        unknown = ((url, i) for i in job.image_ids if job.endpoint.uuid_of(i) is None)
        return [key for key in unknown if key not in job.brings]

    def _has_enough_images(self) -> bool:
        """Whether images that others wait for are being brought already.

        A server keeps few encoded images (vLLM: as many tokens as fit into one step). With too
        many in play at once each is encoded again for every request that shows it.
        """
        resting = self._resting_images
        wanted = sum(1 for key, jobs in self._waiting.items() if jobs and key not in resting)
        return wanted >= max(2, self._backend.throttle.limit // 8)

    def _release(self, job: Job) -> None:
        """Let those go on that waited for the images of a request."""
        for key in job.brings:
            followers = self._waiting.pop(key)
            self._num_waiting -= len(followers)
            self._ready.extendleft(reversed(followers))
        job.brings.clear()

    def _rest(self, job: Job, wait: float) -> None:
        """Try again later; until then it does not count as in flight."""
        self._num_resting += 1
        self._resting_images |= job.brings

        def wake() -> None:
            self._num_resting -= 1
            self._resting_images -= job.brings
            self._ready.appendleft(job)
            self._wake.set()

        asyncio.get_running_loop().call_later(wait, wake)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._fatal = self._fatal or task.exception()
        self._wake.set()

    async def _carry(self, job: Job) -> None:
        """Send a request once; its reply, its failure, or a pause comes of it."""
        try:
            outcome = await self._attempt(job)
        except BaseException:
            self._release(job)
            raise
        if not isinstance(outcome, Reply):
            failure, wait = outcome
            elapsed = time.monotonic() - job.started
            if job.attempts < _ATTEMPTS and elapsed + wait <= self._backend.deadline_s:
                self._rest(job, wait)
                return
            outcome = Reply(key=job.request.key, error=failure)
        self._release(job)
        self._watch_refusals(outcome)
        self._on_reply(outcome)

    def _watch_refusals(self, reply: Reply) -> None:
        if reply.error is None or reply.error.reason != "refused":
            self._answered += reply.error is None
            return
        self._refused += 1
        if self._refused >= _REFUSED_IN_A_ROW and not self._answered:
            msg = f"the server refuses every request ({reply.error.detail})"
            raise ServerError(msg)

    async def _attempt(self, job: Job) -> Reply | tuple[Failure, float]:
        """Send once: the reply, or why there is none and how long to wait."""
        backend, request, endpoint = self._backend, job.request, job.endpoint
        try:
            images = await self._image_parts(job)
        except ImageError as error:
            return Reply(key=request.key, error=Failure(reason="image", detail=str(error)))
        job.attempts += 1
        backend.attempts += 1
        sent_at = time.monotonic()
        if job.attempts == 1:
            job.started = sent_at
        try:
            if not endpoint.knows_labels(request.labels):
                assert request.labels is not None
                await endpoint.learn_labels(self._transport, request.labels, self._learning)
            label_ids = endpoint.label_ids(request.labels)
            content = encode(request, endpoint.dialect, images, label_ids)
            answer = await self._transport.post(endpoint.url, content, endpoint.headers)
            if answer.status == 200:
                reply = parse(
                    answer.json(),
                    request,
                    label_ids,
                    time.monotonic() - sent_at,
                    has_logprobs=endpoint.dialect.has_logprobs,
                )
                self._on_success(endpoint, images)
                return reply
        except UsageError:
            raise  # a label that is not one token: no row will fare better
        except (NoAnswerError, ValueError) as error:
            return self._on_no_answer(job, error)
        return await self._on_status(job, answer, images)

    def _on_success(self, endpoint: Endpoint, images: Images) -> None:
        endpoint.breaker.success()
        self._backend.throttle.success()
        for image_id, image in images.items():
            if isinstance(image, PreparedImage):
                self._backend.images_sent += 1
                endpoint.remember(image_id, image.uuid)

    def _on_no_answer(self, job: Job, error: Exception) -> tuple[Failure, float]:
        """Connection refused or lost, too slow, or a malformed reply."""
        cause = str(error)
        if not isinstance(error, MalformedReplyError):
            self._note_trouble(job.endpoint, cause)
        if isinstance(error, NoAnswerError) and error.is_timeout:
            self._backend.throttle.overload()
        return Failure(reason="unanswered", detail=cause), pause(job.attempts)

    def _note_trouble(self, endpoint: Endpoint, cause: str) -> None:
        endpoint.breaker.failure(cause)
        if not endpoint.is_dead and self._backend.is_gone(endpoint):
            self._backend.bury(endpoint)

    async def _on_status(
        self, job: Job, answer: Answer, images: Images
    ) -> Reply | tuple[Failure, float]:
        verdict = judge_status(answer.status, answer.text)
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
        if verdict.action == "fail" and await self._has_dropped_schema(job):
            job.attempts -= 1
            return verdict.failure, 0.0
        if verdict.action in ("fail", "cache_miss"):
            job.endpoint.breaker.success()
            return Reply(key=job.request.key, error=verdict.failure)
        if verdict.action == "overload":
            # The server lives: such rows wait for their turn until their deadline.
            self._backend.throttle.overload()
            job.overloads += 1
            job.attempts -= 1
        if answer.status != 429:
            self._note_trouble(job.endpoint, verdict.failure.detail)
        return verdict.failure, pause(job.attempts + job.overloads, answer.retry_after)

    async def _has_dropped_schema(self, job: Job) -> bool:
        """Whether the request was refused for its schema, and is worth sending without."""
        schema = job.request.schema
        if schema is None or job.has_dropped_schema:
            return False
        job.has_dropped_schema = True
        return await job.endpoint.drop_schema(self._transport, schema, self._learning)

    async def _image_parts(self, job: Job) -> Images:
        """For each image its uuid if the server has it, else the image."""
        loop = asyncio.get_running_loop()
        parts: Images = {}
        for image_id in job.image_ids:
            uuid = job.endpoint.uuid_of(image_id)
            if uuid is not None:
                parts[image_id] = uuid
            else:
                parts[image_id] = await loop.run_in_executor(
                    self._pool, self._backend.images.get, image_id
                )
        return parts
