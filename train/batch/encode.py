"""Conversations as token sequences with a mask of the answers; nothing is truncated.

Text is rendered by the model's own chat template and split where an answer starts and ends, as TRL
splits prompt and completion, but for every turn. An image is one token until a batch is made. The
number of its tokens depends on its size alone, so lengths are known without preparing it twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pairwright.errors import DataError
from pairwright.text.conversation import Message, count_images, structured
from train.batch.images import TOKEN_KEYS, ImageBank

_PROBE_ROWS = 3


class RowError(DataError):
    """A row that cannot be encoded.

    Attributes:
        reason: Short, stable name of the cause.
        detail: What to look at.
    """

    def __init__(self, reason: str, detail: str) -> None:
        """Keep the cause and the detail."""
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of rendered text.

    Attributes:
        text: The text.
        is_answer: Whether it is learned.
        images: Number of images in it.
    """

    text: str
    is_answer: bool
    images: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """One conversation.

    Attributes:
        ids: Tokens; an image is one token unless `extras` is given.
        answer: 1 where a token belongs to an answer.
        image_ids: Images in order.
        length: Number of tokens with all images expanded.
        extras: Other per-token values, if the processor itself made the tokens.
    """

    ids: list[int]
    answer: list[int]
    image_ids: tuple[str, ...]
    length: int
    extras: dict[str, list[int]] | None = field(default=None, repr=False)


class Encoder:
    """Makes tokens of conversations with one model's processor."""

    def __init__(self, processor: Any, bank: ImageBank) -> None:
        """Take over the processor's tokenizer and its image token."""
        self.processor, self.bank = processor, bank
        self.tokenizer = processor.tokenizer
        self.image_token: str = processor.image_token
        self.image_token_id: int = self.tokenizer.convert_tokens_to_ids(self.image_token)
        self.special_ids = frozenset(
            i for i, t in self.tokenizer.added_tokens_decoder.items() if t.special
        )
        # Whether the processor itself must tokenize images' surroundings; see `verify`.
        self.exact = False
        # Per-token values that the model reads besides its tokens.
        self.extra_names: tuple[str, ...] = ()
        # Whether images' tensors can be joined one after the other; see `verify`.
        self.joinable = True

    # -- text ---------------------------------------------------------------------------------

    def answers(self, messages: Sequence[Message], *, last_only: bool) -> list[Segment]:
        """Render a conversation up to its last answer.

        Args:
            messages: The conversation.
            last_only: Whether earlier answers are context only.

        Raises:
            RowError: If there is no answer, or the template does not render turn after turn.
        """
        turns = [k for k, m in enumerate(messages) if m["role"] == "assistant"]
        if not turns or turns[0] == 0:
            raise RowError("no_answer", "no assistant's turn after a question")
        segments: list[Segment] = []
        done, shown = "", 0
        for turn in turns[-1:] if last_only else turns:
            prompt = self._render(messages[:turn], open_answer=True)
            full = self._render(messages[: turn + 1], open_answer=False)
            start = prompt if full.startswith(prompt) else _common_prefix(prompt, full)
            if not start.startswith(done):
                raise RowError("template", "the chat template renders earlier turns differently")
            answer = full[len(start) :].rstrip()
            if not answer or not messages[turn]["content"].strip():
                raise RowError("no_answer", f"turn {turn} is empty")
            images = count_images(messages[:turn]) - shown
            own = count_images(messages[turn : turn + 1])
            segments += [Segment(start[len(done) :], False, images), Segment(answer, True, own)]
            done, shown = start + answer, shown + images + own
        return segments

    def question(self, messages: Sequence[Message]) -> list[Segment]:
        """Render a prompt up to where the answer starts.

        Raises:
            RowError: If the template refuses it.
        """
        return [Segment(self._render(messages, open_answer=True), False, count_images(messages))]

    def _render(self, messages: Sequence[Message], *, open_answer: bool) -> str:
        from jinja2 import TemplateError

        try:
            return str(
                self.processor.apply_chat_template(
                    structured(messages), tokenize=False, add_generation_prompt=open_answer
                )
            )
        except (TemplateError, ValueError, TypeError, KeyError) as error:
            raise RowError("template", f"the chat template refuses it: {error}") from error

    # -- tokens -------------------------------------------------------------------------------

    def encode(self, segments: Sequence[Segment], image_ids: Sequence[str]) -> Tokens:
        """Tokenize what `answers` or `question` rendered.

        Args:
            segments: The rendering.
            image_ids: The conversation's images; those after the last answer are left out.

        Raises:
            RowError: If text looks like an image's placeholder, so that the counts differ.
            ImageError: If an image is unusable.
        """
        ids: list[int] = []
        answer: list[int] = []
        extras: dict[str, list[int]] = {}
        at = 0
        for segment in segments:
            images = tuple(image_ids[at : at + segment.images])
            at += segment.images
            if segment.text.count(self.image_token) != len(images):
                detail = f"{len(images)} images, but {self.image_token} {segment.text.count(self.image_token)} times in the text"
                raise RowError("image_placeholders", detail)
            piece, more = self._tokenize(segment.text, images)
            if segment.is_answer and not self.special_ids.intersection(piece[-1:]):
                # Some templates have no end token: the model would never learn to stop.
                piece = [*piece, self.tokenizer.eos_token_id]
                more = {key: [*values, 0] for key, values in more.items()}
            for key in extras.keys() | more.keys():
                known = extras.setdefault(key, [0] * len(ids))
                known += more.get(key) or [0] * len(piece)
            ids += piece
            answer += [int(segment.is_answer)] * len(piece)
        used = tuple(image_ids[:at])
        longer = 0 if self.exact else sum(len(self.bank.expansion(i).ids) - 1 for i in used)
        return Tokens(ids, answer, used, len(ids) + longer, extras if self.exact else None)

    def _tokenize(
        self, text: str, image_ids: tuple[str, ...]
    ) -> tuple[list[int], dict[str, list[int]]]:
        if not self.exact or not image_ids:
            return self.tokenizer(text, add_special_tokens=False)["input_ids"], {}
        made = self._process([text], [image_ids])
        extras = {key: made[key][0].tolist() for key in TOKEN_KEYS[2:] if key in made}
        return made["input_ids"][0].tolist(), extras

    def expand(self, tokens: Tokens) -> tuple[list[int], list[int], dict[str, list[int]]]:
        """Tokens, the mask of the answers and other per-token values, with all images expanded."""
        if tokens.extras is not None or not tokens.image_ids:
            return tokens.ids, tokens.answer, tokens.extras or {}
        ids: list[int] = []
        answer: list[int] = []
        extras: dict[str, list[int]] = {}
        start = 0
        for image_id in tokens.image_ids:
            at = tokens.ids.index(self.image_token_id, start)
            image = self.bank.expansion(image_id)
            for key, values in image.extras.items():
                known = extras.setdefault(key, [])
                known += [0] * (len(ids) + at - start - len(known)) + values
            ids += tokens.ids[start:at] + image.ids
            answer += tokens.answer[start:at] + [0] * len(image.ids)
            start = at + 1
        ids += tokens.ids[start:]
        answer += tokens.answer[start:]
        for known in extras.values():
            known += [0] * (len(ids) - len(known))
        return ids, answer, extras

    # -- images -------------------------------------------------------------------------------

    def image_tensors(self, rows: Sequence[Sequence[str]]) -> dict[str, Any]:
        """What the model needs to see the images of several rows, in order."""
        flat = [image_id for row in rows for image_id in row]
        if not flat:
            return {}
        if self.joinable:
            with contextlib.suppress(DataError):
                return self.bank.batch(flat)
        made = self._process([self.image_token * len(row) for row in rows], rows)
        return {key: value for key, value in made.items() if key not in TOKEN_KEYS}

    def _process(self, texts: list[str], rows: Sequence[Sequence[str]]) -> Any:
        images = [[self.bank.open(image_id) for image_id in row] for row in rows]
        return self.processor(
            images=images if any(images) else None,
            text=texts,
            add_special_tokens=False,
            padding=len(texts) > 1,
            padding_side="right",
            return_tensors="pt",
        )

    def verify(self, rows: Sequence[tuple[Sequence[Segment], Sequence[str]]]) -> None:
        """Compare the shortcuts with the processor itself, and drop those that give other results.

        Call it with some rows before any is encoded.

        Raises:
            RowError: If a row cannot be encoded at all.
            ImageError: If an image is unusable.
        """
        probes: list[tuple[Segment, tuple[str, ...]]] = []
        for segments, image_ids in rows:
            at = 0
            for segment in segments:
                if segment.images:
                    probes.append((segment, tuple(image_ids[at : at + segment.images])))
                at += segment.images
        many = sorted(probes, key=lambda probe: -len(probe[1]))[:1]
        probes = [*many, *probes[:_PROBE_ROWS]]
        for segment, image_ids in probes:
            made = self._process([segment.text], [image_ids])
            ids, _, extras = self.expand(self.encode([segment], image_ids))
            own = {"input_ids": ids, **extras}
            self.extra_names = tuple(key for key in TOKEN_KEYS[2:] if key in made)
            self.exact |= any(
                made[key][0].tolist() != own.get(key) for key in ("input_ids", *self.extra_names)
            )
        if probes:
            self.joinable = self._joins([image_ids for _, image_ids in probes])

    def _joins(self, rows: Sequence[Sequence[str]]) -> bool:
        made = self._process([self.image_token * len(row) for row in rows], rows)
        theirs = {key: value for key, value in made.items() if key not in TOKEN_KEYS}
        try:
            ours = self.bank.batch([image_id for row in rows for image_id in row])
        except DataError:
            return False
        return theirs.keys() == ours.keys() and all(
            theirs[key].shape == ours[key].shape and bool((theirs[key] == ours[key]).all())
            for key in theirs
        )


def _common_prefix(a: str, b: str) -> str:
    pairs = enumerate(zip(a, b, strict=False))
    return a[: next((k for k, (x, y) in pairs if x != y), min(len(a), len(b)))]
