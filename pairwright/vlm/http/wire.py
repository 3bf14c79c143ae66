"""OpenAI's chat completions on the wire, with vLLM's additions where the server knows them."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pairwright.vlm.prepare import PreparedImage
from pairwright.vlm.types import ChatRequest, Failure, ReadFrom, Reply, Turn, Usage, label_names
from pairwright.vlm.verdicts import label_shares

_TOP = 20
# Enough for "**Rating:** 4/5", too few for an essay with other numbers in it.
_VERDICT_TOKENS = 16


class MalformedReplyError(ValueError):
    """A reply of another form than requested; worth another try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What a server understands.

    Attributes:
        model: Name its requests use.
        is_vllm: Whether it takes vLLM's sampling parameters.
        knows_uuids: Whether an image that was sent once can be named by its uuid.
        knows_label_ids: Whether it returns the probabilities of given token ids.
        top_logprobs: How many of the most likely tokens it returns otherwise.
        has_logprobs: Whether it returns any probabilities; if not, verdicts are read from text.
        takes_schemas: Whether answers can be held to a JSON schema.
    """

    model: str
    is_vllm: bool
    knows_uuids: bool
    knows_label_ids: bool
    top_logprobs: int = _TOP
    has_logprobs: bool = True
    takes_schemas: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a status other than 200 means for a request."""

    action: Literal["retry", "overload", "cache_miss", "fail", "fatal"]
    failure: Failure


def body(
    request: ChatRequest,
    dialect: Dialect,
    images: Mapping[str, PreparedImage | str],
    label_ids: Mapping[str, tuple[int, ...]] | None,
) -> dict[str, Any]:
    """The JSON of a request.

    Args:
        request: The request.
        dialect: What the server understands.
        images: By id, the image to send, or its uuid if the server has it.
        label_ids: Token ids by label, if labels are requested and the server knows ids.
    """
    out: dict[str, Any] = {
        "model": dialect.model,
        "messages": [_message(turn, images, dialect) for turn in request.messages],
    }
    if request.labels is not None and dialect.has_logprobs:
        out |= {"max_tokens": 1, "temperature": 0, "logprobs": True}
        if label_ids is None:
            # Never on a server that takes ids: mixing the two corrupts replies there.
            return out | {"top_logprobs": dialect.top_logprobs}
        ids = [i for label in label_ids.values() for i in label]
        return out | {
            "logprob_token_ids": ids,
            "allowed_token_ids": ids,
            "return_tokens_as_token_ids": True,
        }
    if request.labels is not None:
        request = _written(request)
    out |= {
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "n": request.n,
    }
    if request.seed is not None:
        out["seed"] = request.seed
    if request.logprobs:
        out["logprobs"] = True
    if request.stop:
        out["stop"] = list(request.stop)
    if request.schema is not None and dialect.takes_schemas:
        out |= response_format(request.schema, dialect)
    if dialect.is_vllm:
        # Sent with every request, or the model's own generation_config decides.
        out |= {"top_k": request.top_k, "min_p": 0.0, "repetition_penalty": 1.0}
    return out


def encode(
    request: ChatRequest,
    dialect: Dialect,
    images: Mapping[str, PreparedImage | str],
    label_ids: Mapping[str, tuple[int, ...]] | None,
) -> bytes:
    """`body` as JSON."""
    return json.dumps(body(request, dialect, images, label_ids)).encode()


def _written(request: ChatRequest) -> ChatRequest:
    """The request for a verdict in words, or for several where one is a matter of chance."""
    is_one = request.label_samples == 1
    return replace(
        request,
        labels=None,
        n=request.label_samples,
        temperature=0.0 if is_one else 1.0,
        max_tokens=_VERDICT_TOKENS,
        logprobs=False,
    )


def response_format(schema: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    """Fields of a request that enforce a JSON schema."""
    if dialect.is_vllm:
        return {"structured_outputs": {"json": schema}}
    form = {"name": "answer", "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": form}}


def _message(
    turn: Turn, images: Mapping[str, PreparedImage | str], dialect: Dialect
) -> dict[str, Any]:
    if turn.role != "user" and all(part["type"] == "text" for part in turn.parts):
        return {"role": turn.role, "content": "".join(part["text"] for part in turn.parts)}
    content = []
    for part in turn.parts:
        if part["type"] == "text":
            content.append({"type": "text", "text": part["text"]})
        else:
            content.append(_image_part(images[part["image_id"]], dialect))
    return {"role": turn.role, "content": content}


def _image_part(image: PreparedImage | str, dialect: Dialect) -> dict[str, Any]:
    if isinstance(image, str):
        return {"type": "image_url", "image_url": None, "uuid": image}
    url = f"data:{image.mime};base64,{base64.b64encode(image.content).decode()}"
    part: dict[str, Any] = {"type": "image_url", "image_url": {"url": url}}
    if dialect.knows_uuids:
        part["uuid"] = image.uuid
    return part


def parse(
    raw: Any,
    request: ChatRequest,
    label_ids: Mapping[str, tuple[int, ...]] | None,
    latency_s: float,
    *,
    has_logprobs: bool = True,
) -> Reply:
    """Read a reply.

    Args:
        raw: The JSON.
        request: The request.
        label_ids: Token ids by label, as they were sent.
        latency_s: Part of the reply.
        has_logprobs: Whether labels are read from probabilities, else from the texts.

    Raises:
        MalformedReplyError: If it is not a chat completion, or not for this request.
    """
    wanted = request.n
    if request.labels is not None:
        wanted = 1 if has_logprobs else request.label_samples
    try:
        choices = sorted(raw["choices"], key=lambda choice: choice["index"])
        usage = raw.get("usage") or {}
        completion = int(usage.get("completion_tokens") or 0)
        tokens = [(choice.get("logprobs") or {}).get("content") for choice in choices]
        texts = tuple(str(choice["message"].get("content") or "") for choice in choices)
        reasons = tuple(choice.get("finish_reason") for choice in choices)
        sums = tuple(None if t is None else sum(_logprob(token) for token in t) for t in tokens)
        if not has_logprobs and 0 < len(texts) < wanted:
            wanted = len(texts)  # some servers answer once, whatever n is
        if len(texts) != wanted:
            msg = f"{len(texts)} answers instead of {wanted}"
            raise ValueError(msg)
        probs, read_from = None, None
        if request.labels is not None:
            probs, read_from = _read_labels(texts, tokens[0], request, label_ids, has_logprobs)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        msg = f"not a chat completion ({type(error).__name__}: {error})"
        raise MalformedReplyError(msg) from error
    alone = completion if len(texts) == 1 else None
    return Reply(
        key=request.key,
        texts=texts,
        finish_reasons=reasons,
        n_tokens=tuple(alone if t is None else len(t) for t in tokens),
        logprobs=sums,
        label_probs=probs,
        read_from=read_from,
        usage=Usage(
            prompt_tokens=int(usage.get("prompt_tokens") or 0), completion_tokens=completion
        ),
        latency_s=latency_s,
    )


def _read_labels(
    texts: tuple[str, ...],
    tokens: list[dict[str, Any]] | None,
    request: ChatRequest,
    label_ids: Mapping[str, tuple[int, ...]] | None,
    has_logprobs: bool,
) -> tuple[dict[str, float], ReadFrom]:
    assert request.labels is not None
    if not has_logprobs:
        return label_shares(texts, request.labels), "text"
    probs = _label_probs(tokens, request.labels, label_ids)
    return probs, "top_logprobs" if label_ids is None else "logprobs"


def _logprob(token: dict[str, Any]) -> float:
    value = float(token["logprob"])
    if not math.isfinite(value):
        msg = f"log-probability {value}"
        raise ValueError(msg)
    return value


def _label_probs(
    tokens: list[dict[str, Any]] | None,
    labels: tuple[str, ...],
    label_ids: Mapping[str, tuple[int, ...]] | None,
) -> dict[str, float]:
    if not tokens:
        if label_ids is not None:
            msg = "no probabilities"
            raise ValueError(msg)
        return {}
    told = {entry["token"]: math.exp(_logprob(entry)) for entry in tokens[0]["top_logprobs"]}
    names = label_names(labels)
    if label_ids is not None:
        # By token, never by position.
        wanted = {name: [f"token_id:{i}" for i in label_ids[name]] for name in names}
        missing = [token for group in wanted.values() for token in group if token not in told]
        if missing:
            msg = f"no probability for {missing[0]}"
            raise ValueError(msg)
        return {name: sum(told[token] for token in group) for name, group in wanted.items()}
    spellings = {s: n for n, label in zip(names, labels, strict=True) for s in label.split("|")}
    probs: dict[str, float] = {}
    for token, p in told.items():
        name = spellings.get(token, spellings.get(token.strip()))
        if name is not None:
            probs[name] = probs.get(name, 0.0) + p
    return probs


_TOO_LONG = re.compile(
    r"maximum context length|context_length_exceeded|max(imum)?[ _]model[ _]len|too long"
    r"|exceeds? .{0,40}(context|token)|longer than the maximum",
    re.IGNORECASE,
)
_IMAGE = re.compile(r"image|multi-?modal|base64|pixel", re.IGNORECASE)


def judge_status(status: int, text: str) -> Verdict:
    """What to do about a status that is not 200."""
    detail = f"{status}: {_message_of(text)}"

    def verdict(action: Any, reason: Any = "refused") -> Verdict:
        return Verdict(action=action, failure=Failure(reason=reason, detail=detail))

    if status in (401, 403, 404):
        return verdict("fatal")
    if status in (429, 503):
        return verdict("overload", "unanswered")
    if status in (408, 409, 425) or status >= 500:
        return verdict("retry", "unanswered")
    if re.search(r"cache miss for", text, re.IGNORECASE):
        return verdict("cache_miss")
    if _TOO_LONG.search(text):
        return verdict("fail", "too_long")
    return verdict("fail", "image" if _IMAGE.search(text) else "refused")


def _message_of(text: str) -> str:
    try:
        raw = json.loads(text)
        error = raw.get("error", raw)
        found = error.get("message") if isinstance(error, dict) else error
        return " ".join(str(found or text).split())[:300]
    except (ValueError, AttributeError):
        return " ".join(text.split())[:300]
