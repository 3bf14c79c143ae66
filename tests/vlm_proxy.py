"""A loopback proxy in front of a real model server: counts requests and plants faults."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

# A fault for the number-th chat request (from 0): a status or
# "cut", "hang", "garbled" (no JSON), "other" (not what was asked for), or None.
Fault = Callable[[int, dict[str, Any]], int | str | None]


class Proxy:
    """Forwards to a server until told otherwise."""

    def __init__(self, target: str, api_key: str) -> None:
        self._key = api_key
        self.forward_to(target)
        self.bodies: list[dict[str, Any]] = []
        self._num_asked = 0
        self.most_at_once = 0
        self._at_once = 0
        self.fault: Fault = lambda number, body: None
        self.hides: set[str] = set()  # paths that this server does not have
        self.rewrite: Callable[[dict[str, Any]], dict[str, Any]] = lambda body: body
        # Requests that this server answers with 400; what it says instead of the model.
        self.refuses: Callable[[dict[str, Any]], bool] = lambda body: False
        self.says: Callable[[dict[str, Any]], list[str]] | None = None
        self.trial_fault: Callable[[dict[str, Any]], int | None] = lambda body: None
        self.owned_by: str | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        app = Starlette(
            routes=[Route("/{path:path}", self._handle, methods=["GET", "POST"])],
            lifespan=self._lifespan,
        )
        config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._server.force_exit = True
        self._server.should_exit = True
        self._thread.join(10)

    def forward_to(self, target: str) -> None:
        """Put another server behind it."""
        self._target = target.removesuffix("/v1")

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Chat requests of rows, the client's trial requests left out."""
        return [b for b in self.bodies if not is_trial(b)]

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=120, trust_env=False) as self._client:
            yield

    async def _planted(self, body: dict[str, Any], fault: int | str | None) -> Response | None:
        """An answer that is not the server's."""
        if self.refuses(body):
            return JSONResponse({"error": {"message": "unknown setting"}}, 400)
        if isinstance(fault, int):
            return JSONResponse({"error": {"message": f"planted {fault}"}}, fault)
        if fault == "hang":
            await asyncio.sleep(30)
        if fault == "garbled":
            return Response('{"choices": [{"index": 0}', media_type="application/json")
        if fault == "other":
            return JSONResponse({"choices": [{"index": 0, "message": {"content": "?"}}]})
        return None

    async def _handle(self, request: Request) -> Response:
        path = request.url.path
        if path in self.hides:
            return JSONResponse({"error": "not found"}, 404)
        content = await request.body()
        is_chat = path.endswith("/chat/completions")
        if is_chat:
            body = json.loads(content)
            trial = is_trial(body)
            number = self._num_asked
            self._num_asked += not trial
            self.bodies.append(body)
            fault = self.trial_fault(body) if trial else self.fault(number, body)
            planted = await self._planted(body, fault)
            if planted is not None:
                return planted
            content = json.dumps(self.rewrite(body)).encode()
        self._at_once += is_chat
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            reply = await self._client.request(
                request.method,
                self._target + path,
                content=content,
                headers={
                    "authorization": f"Bearer {self._key}",
                    "content-type": "application/json",
                },
            )
        except httpx.HTTPError:
            return JSONResponse({"error": {"message": "no server behind"}}, 502)
        finally:
            self._at_once -= is_chat
        if is_chat and self.says and not trial:
            raw = reply.json()
            raw["choices"] = [
                {"index": i, "message": {"content": text}, "finish_reason": "stop"}
                for i, text in enumerate(self.says(body))
            ]
            return JSONResponse(raw)
        if is_chat and fault == "cut":
            return StreamingResponse(_cut(reply.content), media_type="application/json")
        if path.endswith("/models") and self.owned_by:
            raw = reply.json()
            for model in raw["data"]:
                model["owned_by"] = self.owned_by
            return JSONResponse(raw)
        return Response(reply.content, reply.status_code, media_type="application/json")


def is_trial(body: dict[str, Any]) -> bool:
    """Whether it is one of the client's own questions when it gets to know a server."""
    content = body["messages"][-1]["content"]
    return content == "?" or (isinstance(content, list) and content[-1].get("text") == "?")


async def _cut(content: bytes) -> AsyncIterator[bytes]:
    yield content[: len(content) // 2]
    raise ConnectionResetError("planted")
