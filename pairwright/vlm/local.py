"""A small model in this process, for machines where vLLM cannot run."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pairwright.errors import MissingExtraError, UsageError
from pairwright.images import ImageError
from pairwright.vlm.labels import label_token_ids
from pairwright.vlm.prepare import ImageSource
from pairwright.vlm.types import ChatRequest, Failure, OnReply, Reply, Usage

if TYPE_CHECKING:
    import torch
    from PIL import Image


class _Asked(NamedTuple):
    request: ChatRequest
    prompt: str
    images: list[Image.Image]


class LocalBackend:
    """Answers requests with transformers, a batch of like ones at a time."""

    def __init__(
        self,
        model: str,
        images: ImageSource,
        *,
        adapter: Path | None = None,
        max_model_len: int = 4096,
        batch: int = 16,
    ) -> None:
        """Load a model.

        Args:
            model: Hub id or local folder.
            images: Where images come from.
            adapter: LoRA adapter folder.
            max_model_len: Tokens of prompt and answer together.
            batch: Requests per forward pass.

        Raises:
            MissingExtraError: If torch or transformers is not installed.
            UsageError: If the model cannot be loaded.
        """
        self._images, self._batch, self._max_len = images, batch, max_model_len
        self._model, self._processor = _load(model, adapter)
        self._tokenizer = self._processor.tokenizer
        self._ends = _end_tokens(self._model, self._tokenizer)
        self._label_ids: dict[tuple[str, ...], dict[str, tuple[int, ...]]] = {}

    def ask_all(self, requests: Iterable[ChatRequest], on_reply: OnReply) -> None:
        """Answer every request; see `pairwright.vlm.types.Backend`.

        Raises:
            UsageError: If a label is not one token of the model.
        """
        for group in _batches(requests, self._batch):
            asked = []
            for request in group:
                try:
                    asked.append(_Asked(request, *self._prompt(request)))
                except ImageError as error:
                    on_reply(_failed(request, "image", str(error)))
            inputs, lengths = self._encode(asked)
            room = self._max_len - group[0].max_tokens
            fitting = [one for one, n in zip(asked, lengths, strict=True) if n <= room]
            if len(fitting) < len(asked):
                for one, n in zip(asked, lengths, strict=True):
                    if n > room:
                        detail = f"{n} tokens and {one.request.max_tokens} for the answer, the limit is {self._max_len}"
                        on_reply(_failed(one.request, "too_long", detail))
                inputs, lengths = self._encode(fitting)
            if fitting:
                answer = self._verdicts if group[0].labels is not None else self._texts
                for reply in answer([one.request for one in fitting], inputs, lengths):
                    on_reply(reply)

    def _prompt(self, request: ChatRequest) -> tuple[str, list[Image.Image]]:
        from PIL import Image

        messages = [
            {
                "role": turn.role,
                "content": [
                    {"type": "image"}
                    if p["type"] == "image"
                    else {"type": "text", "text": p["text"]}
                    for p in turn.parts
                ],
            }
            for turn in request.messages
        ]
        for message in messages:
            # As the HTTP client sends them: some templates take a text-only system turn as a string.
            parts = message["content"]
            if message["role"] != "user" and all(p["type"] == "text" for p in parts):  # type: ignore[index]
                message["content"] = "".join(p["text"] for p in parts)  # type: ignore[index]
        prompt = self._processor.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        pictures = [
            Image.open(io.BytesIO(self._images.get(i).content)).convert("RGB")
            for i in request.image_ids
        ]
        return str(prompt), pictures

    def _encode(self, asked: list[_Asked]) -> tuple[Any, list[int]]:
        """Model inputs of a batch, and the tokens of each prompt."""
        if not asked:
            return {}, []
        images = [image for one in asked for image in one.images]
        inputs = self._processor(
            text=[one.prompt for one in asked],
            images=images or None,
            return_tensors="pt",
            padding=True,
        ).to(self._model.device)
        return inputs, [int(n) for n in inputs["attention_mask"].sum(1)]

    def _verdicts(
        self, requests: list[ChatRequest], inputs: Any, lengths: list[int]
    ) -> Iterator[Reply]:
        import torch

        labels = requests[0].labels
        assert labels is not None
        if labels not in self._label_ids:
            self._label_ids[labels] = label_token_ids(labels, self._tokenize)
        wanted = self._label_ids[labels]
        started = time.monotonic()
        with torch.inference_mode():
            # Prompts are padded on the left: the last position is each one's own.
            logits = self._model(**inputs, logits_to_keep=1).logits[:, -1]
        logprobs = logits.float().log_softmax(-1)
        took = time.monotonic() - started
        ids = torch.tensor([i for group in wanted.values() for i in group], device=logits.device)
        for request, row, length in zip(requests, logprobs, lengths, strict=True):
            best = int(ids[row[ids].argmax()])
            yield Reply(
                key=request.key,
                texts=(self._tokenizer.decode([best]),),
                finish_reasons=("length",),
                n_tokens=(1,),
                logprobs=(float(row[best]),),
                label_probs={
                    name: float(row[list(group)].exp().sum()) for name, group in wanted.items()
                },
                read_from="logprobs",
                usage=Usage(prompt_tokens=int(length), completion_tokens=1),
                latency_s=took,
            )

    def _texts(
        self, requests: list[ChatRequest], inputs: Any, lengths: list[int]
    ) -> Iterator[Reply]:
        import torch

        first = requests[0]
        config = self._generation_config(first)
        if first.seed is not None:
            torch.manual_seed(first.seed)
        started = time.monotonic()
        with torch.inference_mode():
            out = self._model.generate(
                **inputs,
                generation_config=config,
                tokenizer=self._tokenizer if first.stop else None,
            )
        took = time.monotonic() - started
        answers = out.sequences[:, inputs["input_ids"].shape[1] :]
        ends = self._ends
        sums = _sum_logprobs(out.logits, answers, ends) if first.logprobs else None
        for number, (request, length) in enumerate(zip(requests, lengths, strict=True)):
            rows = range(number * request.n, (number + 1) * request.n)
            kept = [_until(answers[row].tolist(), ends) for row in rows]
            yield Reply(
                key=request.key,
                texts=tuple(
                    _before(self._tokenizer.decode(k, skip_special_tokens=True), first.stop)
                    for k in kept
                ),
                finish_reasons=tuple("stop" if k and k[-1] in ends else "length" for k in kept),
                n_tokens=tuple(len(k) for k in kept),
                logprobs=tuple(None if sums is None else sums[row] for row in rows),
                usage=Usage(prompt_tokens=int(length), completion_tokens=sum(len(k) for k in kept)),
                latency_s=took,
            )

    def _generation_config(self, request: ChatRequest) -> Any:
        from transformers import GenerationConfig

        sampling: dict[str, Any] = {"do_sample": False}
        if request.temperature > 0:
            sampling = {
                "do_sample": True,
                "temperature": request.temperature,
                "top_p": request.top_p,
                "top_k": 0 if request.top_k < 0 else request.top_k,
            }
        return GenerationConfig(
            max_new_tokens=request.max_tokens,
            num_return_sequences=request.n,
            eos_token_id=self._model.generation_config.eos_token_id or self._tokenizer.eos_token_id,
            pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
            return_dict_in_generate=True,
            output_logits=request.logprobs,
            stop_strings=list(request.stop) or None,
            **sampling,
        )

    def _tokenize(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def _load(model: str, adapter: Path | None) -> tuple[Any, Any]:
    try:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtraError(str(error.name), "train") from error
    logging.disable_progress_bar()  # a small model is there at once
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.float32 if device == "cpu" else "auto"
    local = Path(model).is_dir()
    try:
        processor = AutoProcessor.from_pretrained(model, local_files_only=local)
        loaded = AutoModelForImageTextToText.from_pretrained(
            model, dtype=dtype, local_files_only=local
        )
    except (OSError, ValueError, KeyError) as error:
        msg = f"--model {model}: cannot be loaded by transformers ({str(error).splitlines()[0]})"
        raise UsageError(msg) from error
    if adapter is not None:
        try:
            from peft import PeftModel
        except ImportError as error:
            raise MissingExtraError("peft", "train") from error
        try:
            loaded = PeftModel.from_pretrained(loaded, str(adapter), local_files_only=True)
        except (OSError, ValueError) as error:
            msg = f"--adapter {adapter}: cannot be loaded ({str(error).splitlines()[0]})"
            raise UsageError(msg) from error
    processor.tokenizer.padding_side = "left"
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    return loaded.to(device).eval(), processor


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Tokens that end an answer; the model's sampling defaults are thrown away."""
    from transformers import GenerationConfig

    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    stops = inner.generation_config.eos_token_id
    ends = set(stops if isinstance(stops, list) else [] if stops is None else [stops])
    # What a request leaves unsaid would be filled from here (Qwen2-VL: top_k=1).
    inner.generation_config = GenerationConfig()
    return ends or {int(tokenizer.eos_token_id)}


def _batches(requests: Iterable[ChatRequest], size: int) -> Iterator[list[ChatRequest]]:
    """Consecutive requests that one forward pass can answer."""
    group: list[ChatRequest] = []
    for request in requests:
        if group and (len(group) >= size or not _alike(group[0], request)):
            yield group
            group = []
        group.append(request)
    if group:
        yield group


def _alike(a: ChatRequest, b: ChatRequest) -> bool:
    def settings(r: ChatRequest) -> tuple[Any, ...]:
        return (
            r.labels,
            r.max_tokens,
            r.temperature,
            r.top_p,
            r.top_k,
            r.n,
            r.seed,
            r.logprobs,
            r.stop,
        )

    # A batch samples from one generator, so requests with a seed go alone: their answers must not
    # depend on the other requests of the batch.
    return settings(a) == settings(b) and (a.labels is not None or a.seed is None)


def _until(ids: list[int], ends: set[int]) -> list[int]:
    for place, token in enumerate(ids):
        if token in ends:
            return ids[: place + 1]
    return ids


def _before(text: str, stops: tuple[str, ...]) -> str:
    """Text up to the first of the stops, as servers return it."""
    return text[: min((text.find(s) for s in stops if s in text), default=len(text))]


def _sum_logprobs(
    logits: tuple[torch.Tensor, ...], answers: torch.Tensor, ends: set[int]
) -> list[float]:
    """Sum of each answer's token log-probabilities, as the model gave them."""
    sums = [0.0] * answers.shape[0]
    alive = [True] * answers.shape[0]
    for step, scores in enumerate(logits):
        logprobs = scores.float().log_softmax(-1)
        for row in range(answers.shape[0]):
            if alive[row]:
                token = int(answers[row, step])
                sums[row] += float(logprobs[row, token])
                alive[row] = token not in ends
    return sums


def _failed(request: ChatRequest, reason: Any, detail: str) -> Reply:
    return Reply(key=request.key, error=Failure(reason=reason, detail=detail))
