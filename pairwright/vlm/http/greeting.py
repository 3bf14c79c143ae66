"""Getting to know a server: which models it has, and what it understands, by trial requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pairwright.commands.progress import say
from pairwright.errors import ServerError
from pairwright.vlm.http.throttle import pause
from pairwright.vlm.http.transport import NoAnswerError, Transport
from pairwright.vlm.http.wire import Dialect, response_format
from pairwright.vlm.servers.server import canary_parts

_GREETING_S = 20.0
_BUSY = (408, 409, 425, 429, 500, 502, 503, 504)
_TRIES = 5


class Greeting:
    """Queries what a server can do."""

    def __init__(
        self, transport: Transport, base_url: str, shown: str, headers: Mapping[str, str]
    ) -> None:
        """Name a server; `shown` is its address in messages."""
        self._transport, self._base_url, self._shown = transport, base_url, shown
        self._headers = headers

    async def dialect(self, names: Sequence[str]) -> Dialect:
        """What it understands, labels left out.

        Args:
            names: What the model may be called there, best first.

        Raises:
            ServerError: If it is not there, refuses the key, or does not have the model.
        """
        listed = await self._models()
        model = next((n for n in names if n in listed), None)
        if model is None:
            has = ", ".join(sorted(listed)) or "none"
            msg = f"{self._shown} does not serve {names[0]}; it serves: {has}"
            raise ServerError(msg)
        is_vllm = listed[model] == "vllm"
        dialect = Dialect(model=model, is_vllm=is_vllm, knows_uuids=False, knows_label_ids=False)
        return replace(dialect, knows_uuids=is_vllm and await self._remembers(dialect))

    async def _models(self) -> dict[str, str]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _GREETING_S
        while True:
            try:
                reply = await self._transport.get(f"{self._base_url}/models", self._headers)
                if reply.status not in (429, 502, 503, 504):
                    break
                cause = f"status {reply.status}"
            except NoAnswerError as error:
                cause = str(error)
            if loop.time() > deadline:
                msg = f"no model server answers at {self._shown} ({cause}); start one with `judge serve`, or leave --base-url out"
                raise ServerError(msg)
            await asyncio.sleep(0.5)
        if reply.status in (401, 403):
            msg = f"{self._shown} refuses the key (status {reply.status}): set PAIRWRIGHT_API_KEY to the server's key"
            raise ServerError(msg)
        try:
            return {str(m["id"]): str(m.get("owned_by")) for m in reply.json()["data"]}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"{self._shown}/models is not the model list of an OpenAI-compatible server (status {reply.status}); does the address end in /v1?"
            raise ServerError(msg) from error

    async def _remembers(self, dialect: Dialect) -> bool:
        """Whether an image that was sent can be named."""
        [part] = canary_parts()
        named = {**part, "uuid": "pairwright-canary"}
        if await self._try(dialect, [named]) is None:
            return False
        again = {"type": "image_url", "image_url": None, "uuid": "pairwright-canary"}
        if await self._try(dialect, [again]) is not None:
            return True
        say(f"{self._shown} does not remember images: each request carries its image")
        return False

    async def labels(self, dialect: Dialect) -> Dialect:
        """The dialect with what the server returns for labels; prints a line if that is not all."""
        if dialect.is_vllm and await self._tells_ids(dialect):
            return replace(dialect, knows_label_ids=True)
        for top in (dialect.top_logprobs, 5):  # the two common limits
            raw = await self._try(dialect, logprobs=True, top_logprobs=top)
            if _told(raw):
                say(
                    f"{self._shown} does not return the probabilities of given tokens: scores are read "
                    f"from its {top} most likely tokens; labels that are not among them count as 0"
                )
                return replace(dialect, top_logprobs=top)
        say(
            f"{self._shown} returns no probabilities: scores are read from its written verdicts, "
            "which is coarser (read_from is `text`)"
        )
        return replace(dialect, has_logprobs=False)

    async def _tells_ids(self, dialect: Dialect) -> bool:
        try:
            [token, *_] = await self.tokenize(dialect.model, "1")
        except ValueError:
            return False
        raw = await self._try(
            dialect, logprobs=True, logprob_token_ids=[token], return_tokens_as_token_ids=True
        )
        return any(entry.get("token") == f"token_id:{token}" for entry in _told(raw))

    async def takes_schema(self, dialect: Dialect, schema: dict[str, Any]) -> bool:
        """Whether it enforces this schema; prints a line if not."""
        if await self._try(dialect, **response_format(schema, dialect)) is not None:
            return True
        if await self._try(dialect) is None:
            return True  # it refuses anything: that is not the schema's fault
        say(f"{self._shown} does not enforce a JSON schema: answers are only checked")
        return False

    async def tokenize(self, model: str, text: str) -> list[int]:
        """Token ids of a text; raises ValueError where a server cannot."""
        body = {"model": model, "prompt": text, "add_special_tokens": False}
        raw = await self._post(f"{self._base_url.removesuffix('/v1')}/tokenize", body)
        try:
            return [int(i) for i in raw["tokens"]]
        except (KeyError, TypeError) as error:
            msg = "/tokenize answers something else than tokens"
            raise ValueError(msg) from error

    async def _try(
        self, dialect: Dialect, parts: Sequence[dict[str, Any]] = (), **settings: Any
    ) -> Any:
        """A trial request's reply, or nothing if it is refused."""
        content = [*parts, {"type": "text", "text": "?"}]
        messages = [{"role": "user", "content": content}]
        body = {"model": dialect.model, "messages": messages, "temperature": 0, "max_tokens": 1}
        return await self._post(f"{self._base_url}/chat/completions", body | settings)

    async def _post(self, url: str, body: dict[str, Any]) -> Any:
        """JSON, or nothing if it is refused or the trouble does not end.

        A busy moment must not make a server look poorer than it is for the rest of the run.
        """
        content = json.dumps(body).encode()
        for tried in range(1, _TRIES + 1):
            try:
                reply = await self._transport.post(url, content, self._headers)
                if reply.status == 200:
                    return reply.json()
                if reply.status not in _BUSY:
                    return None
            except (NoAnswerError, ValueError):
                pass
            if tried < _TRIES:
                await asyncio.sleep(pause(tried))
        return None


def _told(raw: Any) -> list[dict[str, Any]]:
    """The most likely first tokens of a reply."""
    try:
        told = raw["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        return [entry for entry in told if "logprob" in entry]
    except (KeyError, IndexError, TypeError):
        return []
