"""One OpenAI-compatible server as we know it: what it understands, what it has seen, whether it lives."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from pairwright.errors import ServerError
from pairwright.progress import say
from pairwright.vlm.labels import label_token_ids
from pairwright.vlm.server import canary_parts
from pairwright.vlm.throttle import Breaker
from pairwright.vlm.wire import Dialect

_KNOWN_IMAGES = 4096
_GREETING_S = 20.0


class Endpoint:
    """A server under one address."""

    def __init__(self, base_url: str, api_key: str | None, patience_s: float) -> None:
        """Name a server; nothing is sent yet."""
        self.base_url = base_url.rstrip("/")
        self.shown = _without_secrets(self.base_url)
        self.root = self.base_url.removesuffix("/v1")
        self.headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.breaker = Breaker(patience_s)
        self.is_dead = False
        self.dialect = Dialect(model="", is_vllm=False, knows_uuids=False, knows_label_ids=False)
        self._known: OrderedDict[str, str] = OrderedDict()
        self._label_ids: dict[tuple[str, ...], dict[str, tuple[int, ...]] | None] = {}

    # -- images the server has ----------------------------------------------------------------

    def uuid_of(self, image_id: str) -> str | None:
        """The uuid of an image that the server has been sent, if it has."""
        if image_id in self._known:
            self._known.move_to_end(image_id)
        return self._known.get(image_id)

    def remember(self, image_id: str, uuid: str) -> None:
        """The server has the image now."""
        if self.dialect.knows_uuids:
            self._known[image_id] = uuid
            while len(self._known) > _KNOWN_IMAGES:
                self._known.popitem(last=False)

    def forget(self, image_id: str) -> None:
        """The server has dropped the image."""
        self._known.pop(image_id, None)

    # -- getting to know it -------------------------------------------------------------------

    async def greet(
        self, client: httpx.AsyncClient, names: Sequence[str], *, labels: tuple[str, ...]
    ) -> None:
        """Find out what the server is.

        Args:
            client: For the requests.
            names: What the model may be called there, best first.
            labels: Labels whose probabilities will be asked for, if any.

        Raises:
            ServerError: If it is not there, refuses the key, or does not have the model.
            UsageError: If a label is not one token of the model.
        """
        listed = await self._models(client)
        model = next((n for n in names if n in listed), None)
        if model is None:
            has = ", ".join(sorted(listed)) or "none"
            msg = f"{self.shown} does not serve {names[0]}; it serves: {has}"
            raise ServerError(msg)
        is_vllm = listed[model] == "vllm"
        self.dialect = Dialect(
            model=model, is_vllm=is_vllm, knows_uuids=False, knows_label_ids=False
        )
        if is_vllm:
            await self._try_uuids(client)
        if labels:
            await self._try_labels(client)
            await self.label_ids(client, labels)  # once, before many ask at the same time

    async def label_ids(
        self, client: httpx.AsyncClient, labels: tuple[str, ...]
    ) -> dict[str, tuple[int, ...]] | None:
        """Token ids of labels, or nothing where the server does not take ids.

        Raises:
            UsageError: If a label is not one token.
            httpx.HTTPError, ValueError: If the server does not answer just now.
        """
        if not self.dialect.knows_label_ids:
            return None
        if labels not in self._label_ids:
            spellings = {s for label in labels for s in label.split("|")}
            texts = ["\n", *spellings, *("\n" + s for s in spellings)]
            ids = {text: await self._tokenize(client, text) for text in texts}
            self._label_ids[labels] = label_token_ids(labels, lambda text: ids[text])
        return self._label_ids[labels]

    async def _models(self, client: httpx.AsyncClient) -> dict[str, str]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _GREETING_S
        while True:
            try:
                reply = await client.get(f"{self.base_url}/models", headers=self.headers)
                if reply.status_code not in (429, 502, 503, 504):
                    break
                cause = f"status {reply.status_code}"
            except httpx.HTTPError as error:
                cause = str(error) or repr(error)
            if loop.time() > deadline:
                msg = f"no model server answers at {self.shown} ({cause}); start one with `judge serve`, or leave --base-url out"
                raise ServerError(msg)
            await asyncio.sleep(0.5)
        if reply.status_code in (401, 403):
            msg = f"{self.shown} refuses the key (status {reply.status_code}): set PAIRWRIGHT_API_KEY to the server's key"
            raise ServerError(msg)
        try:
            return {str(m["id"]): str(m.get("owned_by")) for m in reply.json()["data"]}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"{self.shown}/models is not the model list of an OpenAI-compatible server (status {reply.status_code}); does the address end in /v1?"
            raise ServerError(msg) from error

    async def _try_uuids(self, client: httpx.AsyncClient) -> None:
        [part] = canary_parts()
        named = {**part, "uuid": "pairwright-canary"}
        first = await self._post(client, {"messages": [_user([named])], "max_tokens": 1})
        if first is None:
            return
        again = {"type": "image_url", "image_url": None, "uuid": "pairwright-canary"}
        second = await self._post(client, {"messages": [_user([again])], "max_tokens": 1})
        knows = second is not None
        if not knows:
            say(f"{self.shown} does not remember images: each request carries its image")
        self.dialect = Dialect(
            model=self.dialect.model, is_vllm=True, knows_uuids=knows, knows_label_ids=False
        )

    async def _try_labels(self, client: httpx.AsyncClient) -> None:
        dialect = self.dialect
        knows = dialect.is_vllm and await self._tells_ids(client)
        top = dialect.top_logprobs
        if not knows:
            body = {"messages": [_user([])], "max_tokens": 1, "logprobs": True, "top_logprobs": top}
            if await self._post(client, body) is None:
                top = 5  # the other common limit
            say(
                f"{self.shown} does not tell the probabilities of given tokens: marks are read off "
                f"its {top} likeliest, and labels that are not among them count as 0"
            )
        self.dialect = Dialect(
            model=dialect.model,
            is_vllm=dialect.is_vllm,
            knows_uuids=dialect.knows_uuids,
            knows_label_ids=knows,
            top_logprobs=top,
        )

    async def _tells_ids(self, client: httpx.AsyncClient) -> bool:
        try:
            [token, *_] = await self._tokenize(client, "1")
        except (httpx.HTTPError, ValueError):
            return False
        body = {
            "messages": [_user([])],
            "max_tokens": 1,
            "logprobs": True,
            "logprob_token_ids": [token],
            "return_tokens_as_token_ids": True,
        }
        raw = await self._post(client, body)
        try:
            told = raw["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            return any(entry["token"] == f"token_id:{token}" for entry in told)
        except (KeyError, IndexError, TypeError):
            return False

    async def _tokenize(self, client: httpx.AsyncClient, text: str) -> list[int]:
        body = {"model": self.dialect.model, "prompt": text, "add_special_tokens": False}
        reply = await client.post(f"{self.root}/tokenize", json=body, headers=self.headers)
        reply.raise_for_status()
        try:
            return [int(i) for i in reply.json()["tokens"]]
        except (KeyError, TypeError) as error:
            msg = "/tokenize answers something else than tokens"
            raise ValueError(msg) from error

    async def _post(self, client: httpx.AsyncClient, body: dict[str, Any]) -> Any:
        """A trial request's reply, or nothing if it is refused."""
        body = {"model": self.dialect.model, "temperature": 0, **body}
        url = f"{self.base_url}/chat/completions"
        try:
            reply = await client.post(url, json=body, headers=self.headers)
            return reply.json() if reply.status_code == 200 else None
        except (httpx.HTTPError, ValueError):
            return None


def _user(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"role": "user", "content": [*parts, {"type": "text", "text": "?"}]}


def _without_secrets(url: str) -> str:
    split = urlsplit(url)
    host = split.netloc.rpartition("@")[2]
    return urlunsplit((split.scheme, host, split.path, "", ""))
