"""Sampling: from prompts to requests, from replies to rows of the responses table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pairwright.commands.progress import Progress
from pairwright.dataset.ids import stable_id
from pairwright.errors import DataError
from pairwright.text.conversation import prompt_of
from pairwright.vlm.asking import ask_into
from pairwright.vlm.backend import ModelChoice, image_source, open_backend
from pairwright.vlm.prompt import turns_of
from pairwright.vlm.types import ChatRequest, Reply
from prefs.sample.variety import VarietyWatch

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.store import Dataset
    from pairwright.dataset.writer import RunWriter
    from pairwright.images import ImageReader
    from prefs.sample.options import SampleOptions


def sample_into(
    writer: RunWriter,
    dataset: Dataset,
    prompts: pl.DataFrame,
    options: SampleOptions,
    choice: ModelChoice,
) -> None:
    """Sample responses to every prompt that has none yet.

    Args:
        writer: The run of responses.
        dataset: The dataset.
        prompts: `sample_id`, `image_ids` and `messages`.
        options: How to sample.
        choice: The policy.
    """
    import polars as pl

    from pairwright.images import ImageReader

    done = writer.keys("sample_id") | writer.rejected_ids()
    pending = prompts.filter(~pl.col("sample_id").is_in(list(done)))
    if pending.is_empty():
        return
    reader = ImageReader(dataset)
    images = image_source(reader, options, choice)
    pending = _by_image(pending, reader)
    max_images = int(pending["image_ids"].list.len().max() or 0)  # type: ignore[arg-type]
    sampler = _Sampler(writer, options, choice, VarietyWatch(options.n))
    with (
        open_backend(
            options, choice, images, logs=dataset.path / "logs", max_images=max_images
        ) as backend,
        Progress("sample", pending.height, unit="prompts") as progress,
    ):
        ask_into(
            writer,
            backend,
            sampler.requests(pending),
            sampler.rows,
            ids_of=lambda key: (key[0], key[0]),
            progress=progress,
            on_failure=sampler.forget,
        )


def _by_image(prompts: pl.DataFrame, reader: ImageReader) -> pl.DataFrame:
    """Prompts in the order of their images, so that those with one image follow each other."""
    image_ids = prompts["image_ids"].to_list()
    order = sorted(
        range(prompts.height),
        key=lambda row: [reader.sort_key(i) if i in reader else ("", 0) for i in image_ids[row]],
    )
    return prompts[order]


@dataclass(slots=True)
class _Sampler:
    """Makes requests, and rows from their replies."""

    writer: RunWriter
    options: SampleOptions
    choice: ModelChoice
    watch: VarietyWatch
    # Prompts of the requests that have no reply yet, by sample.
    waiting: dict[str, list[Any]] = field(default_factory=dict)

    def requests(self, prompts: pl.DataFrame) -> Iterator[ChatRequest]:
        """One request per prompt; prompts that cannot be sent are rejected."""
        for row in prompts.iter_rows(named=True):
            request = self._request(row)
            if request is not None:
                self.waiting[row["sample_id"]] = prompt_of(row["messages"])
                yield request

    def _request(self, row: dict[str, Any]) -> ChatRequest | None:
        prompt, options = prompt_of(row["messages"]), self.options
        if not prompt or prompt[-1]["role"] != "user":
            self.writer.reject(row["sample_id"], "prompt", "no_question", "no user turn at the end")
            return None
        try:
            turns = turns_of(prompt, row["image_ids"])
        except DataError as error:
            self.writer.reject(row["sample_id"], "prompt", "image_placeholders", str(error))
            return None
        # A seed of its own for each prompt: with one for all, responses to different prompts would
        # not be independent.
        seed = int(stable_id(options.seed, row["sample_id"])[:8], 16) & 0x7FFFFFFF
        return ChatRequest(
            key=(row["sample_id"], seed),
            messages=turns,
            max_tokens=options.max_tokens,
            temperature=options.temperature,
            top_p=options.top_p,
            top_k=options.top_k,
            n=options.n,
            seed=seed,
            logprobs=True,
        )

    def rows(self, reply: Reply) -> list[dict[str, Any]]:
        """Rows of the distinct responses; a gap in `index` shows a repeated one.

        Raises:
            GateError: If the server does not sample.
        """
        self.watch.add(reply)
        sample_id, seed = reply.key
        prompt, options, choice = self.waiting.pop(sample_id), self.options, self.choice
        rows, seen = [], set()
        for index, text in enumerate(reply.texts):
            if text in seen:
                continue
            seen.add(text)
            rows.append(
                {
                    "response_id": stable_id(sample_id, choice.label, index, text),
                    "sample_id": sample_id,
                    "prompt": prompt,
                    "text": text,
                    "model": choice.source,
                    "adapter": str(choice.adapter) if choice.adapter else None,
                    "temperature": options.temperature,
                    "top_p": options.top_p,
                    "top_k": options.top_k,
                    "seed": seed,
                    "index": index,
                    "finish_reason": reply.finish_reasons[index],
                    "n_tokens": reply.n_tokens[index],
                    "logprob": reply.logprobs[index],
                }
            )
        return rows

    def forget(self, reply: Reply) -> None:
        """Drop the prompt of a request that failed."""
        self.waiting.pop(reply.key[0], None)
