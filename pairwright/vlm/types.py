"""Requests to a vision-language model, and replies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Part = dict[str, Any]
"""`{"type": "text", "text": ...}` or `{"type": "image", "image_id": ...}`."""

ReadFrom = Literal[
    "logprobs",  # the labels' own probabilities, among all tokens
    "top_logprobs",  # of the most likely tokens; a label that is not among them counts as 0
    "text",  # no probabilities at all: counted over written verdicts
]

Reason = Literal[
    "too_long",  # the prompt does not fit the model's context
    "image",  # an image is missing, malformed or refused
    "refused",  # the server refuses this request for another reason
    "unanswered",  # no answer after all retries
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of a prompt.

    Attributes:
        role: `system`, `user` or `assistant`.
        parts: Content, in the order the model shall see it.
    """

    role: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One question to a model.

    Attributes:
        key: Comes back with the reply.
        messages: The prompt; images are named by id.
        max_tokens: Longest answer.
        temperature: 0 takes the most likely token.
        top_p: Nucleus probability.
        top_k: -1 is off.
        n: Number of answers.
        seed: Sampling seed; the n samples differ.
        labels: Request the probabilities of these labels as the next token instead of a text.
            `"yes|Yes"` is one label with two spellings, named by the first.
        label_samples: How many verdicts to sample for `labels` where a server returns no
            probabilities; their frequencies replace them.
        logprobs: Whether the answers' log-probabilities are wanted.
        schema: JSON schema that each answer must follow, where the backend can enforce one.
        stop: Texts that end an answer.
    """

    key: Any
    messages: tuple[Turn, ...]
    max_tokens: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = -1
    n: int = 1
    seed: int | None = None
    labels: tuple[str, ...] | None = None
    label_samples: int = 1
    logprobs: bool = False
    schema: dict[str, Any] | None = None
    stop: tuple[str, ...] = ()

    @property
    def image_ids(self) -> tuple[str, ...]:
        """Images in the order they appear."""
        parts = (part for turn in self.messages for part in turn.parts)
        return tuple(part["image_id"] for part in parts if part["type"] == "image")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no answer."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one request."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back for one request.

    Attributes:
        key: The request's.
        texts: The answers, `n` of them.
        finish_reasons: `stop`, `length`, ... for each.
        n_tokens: Tokens of each answer, where the server returns it.
        logprobs: Sum of the log-probabilities (nats, before temperature) of each answer's tokens.
        label_probs: Probability of each label as the next token, among all tokens; a label that
            the server does not return is missing.
        read_from: How label_probs were read.
        usage: Tokens.
        latency_s: Seconds from sending to the reply, the last attempt only.
        error: Why there is none; then the rest is empty.
    """

    key: Any
    texts: tuple[str, ...] = ()
    finish_reasons: tuple[str | None, ...] = ()
    n_tokens: tuple[int | None, ...] = ()
    logprobs: tuple[float | None, ...] = ()
    label_probs: dict[str, float] | None = None
    read_from: ReadFrom | None = None
    usage: Usage = field(default_factory=Usage)
    latency_s: float = 0.0
    error: Failure | None = None


OnReply = Callable[[Reply], None]


class Backend(Protocol):
    """Something that answers requests."""

    def ask_all(self, requests: Iterable[ChatRequest], on_reply: OnReply) -> None:
        """Answer every request, calling `on_reply` once for each, in any order.

        Raises:
            ServerError: If the model is gone; replies so far were delivered.
        """


def ask_all(requests: Iterable[ChatRequest], backend: Backend, on_reply: OnReply) -> None:
    """Have a backend answer every request; see `Backend.ask_all`."""
    backend.ask_all(requests, on_reply)


def label_names(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Names of labels: their first spellings."""
    return tuple(label.split("|")[0] for label in labels)
