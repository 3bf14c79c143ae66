"""One OpenAI-compatible server as we know it: what it understands, what it has seen, whether it lives."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pairwright.vlm.http.greeting import Greeting
from pairwright.vlm.http.throttle import Breaker
from pairwright.vlm.http.transport import Transport
from pairwright.vlm.http.wire import Dialect
from pairwright.vlm.labels import label_token_ids

_KNOWN_IMAGES = 4096


class Endpoint:
    """A server under one address."""

    def __init__(self, base_url: str, api_key: str | None, patience_s: float) -> None:
        """Name a server; nothing is sent yet."""
        self.base_url = base_url.rstrip("/")
        self.shown = _without_secrets(self.base_url)
        # A key and a name in the address exclude each other: the key is the one that was meant.
        self._address = self.shown if api_key else self.base_url
        self.url = f"{self._address}/chat/completions"
        self.headers = {"Authorization": f"Bearer {api_key.strip()}"} if api_key else {}
        self.breaker = Breaker(patience_s)
        self.is_dead = False
        self.dialect = Dialect(model="", is_vllm=False, knows_uuids=False, knows_label_ids=False)
        self._known: OrderedDict[str, str] = OrderedDict()
        self._label_ids: dict[tuple[str, ...], dict[str, tuple[int, ...]]] = {}
        self._has_tried_labels = False
        self._has_tried_schema = False

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

    async def greet(self, transport: Transport, names: Sequence[str]) -> None:
        """Find out what the server is.

        Args:
            transport: For the requests.
            names: What the model may be called there, best first.

        Raises:
            ServerError: If it is not there, refuses the key, or does not have the model.
        """
        self.dialect = await self._greeting(transport).dialect(names)

    def knows_labels(self, labels: tuple[str, ...] | None) -> bool:
        """Whether `label_ids` of these labels needs no request."""
        if labels is None:
            return True
        told = labels in self._label_ids or not self.dialect.knows_label_ids
        return self._has_tried_labels and told

    async def learn_labels(
        self, transport: Transport, labels: tuple[str, ...], lock: asyncio.Lock
    ) -> None:
        """Find out how labels are read here, once for all concurrent callers.

        Raises:
            UsageError: If a label is not one token.
            ValueError: If the server does not answer just now.
        """
        async with lock:
            greeting = self._greeting(transport)
            if not self._has_tried_labels:
                self.dialect = await greeting.labels(self.dialect)
                self._has_tried_labels = True
            if not self.dialect.knows_label_ids or labels in self._label_ids:
                return
            spellings = {s for label in labels for s in label.split("|")}
            texts = ["\n", *spellings, *("\n" + s for s in spellings)]
            ids = {text: await greeting.tokenize(self.dialect.model, text) for text in texts}
            self._label_ids[labels] = label_token_ids(labels, lambda text: ids[text])

    def label_ids(self, labels: tuple[str, ...] | None) -> dict[str, tuple[int, ...]] | None:
        """Token ids of labels, or nothing where the server does not take ids."""
        return None if labels is None else self._label_ids.get(labels)

    async def drop_schema(
        self, transport: Transport, schema: dict[str, Any], lock: asyncio.Lock
    ) -> bool:
        """After a refusal: whether it was for the schema, which is then no longer sent."""
        async with lock:
            if not self._has_tried_schema:
                self._has_tried_schema = True
                takes = await self._greeting(transport).takes_schema(self.dialect, schema)
                self.dialect = replace(self.dialect, takes_schemas=takes)
        return not self.dialect.takes_schemas

    def _greeting(self, transport: Transport) -> Greeting:
        return Greeting(transport, self._address, self.shown, self.headers)


def _without_secrets(url: str) -> str:
    split = urlsplit(url)
    host = split.netloc.rpartition("@")[2]
    return urlunsplit((split.scheme, host, split.path, "", ""))
