"""A model in this process: greedy responses and log-probabilities, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from train.batch.collate import pad_batch
from train.batch.encode import Encoder, Tokens
from train.batch.vision import FrozenVision

_SMALL_MODEL = 50_000_000


class EvaluatedModel:
    """A loaded model that responds to prompts and gives log-probabilities."""

    def __init__(self, model: Any, encoder: Encoder, image_ids: Sequence[str]) -> None:
        """Take a loaded model; `image_ids` name an image to try the vision tower on."""
        self.model = model.eval().requires_grad_(False)
        self._encoder = encoder
        self._vision = FrozenVision.make(encoder, model, image_ids)

    def default_batch_size(self) -> int:
        """Rows per forward pass."""
        return 256 if self.model.num_parameters() < _SMALL_MODEL else 16

    def respond(self, prompts: Sequence[Tokens], max_tokens: int) -> list[str]:
        """The greedy response to each prompt, up to its end."""
        import torch
        from transformers import GenerationConfig

        batch = self._inputs(prompts)
        stored = self.model.generation_config
        tokenizer = self._encoder.tokenizer
        pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        stop = stored.eos_token_id if stored.eos_token_id is not None else tokenizer.eos_token_id
        # A new configuration: the stored one may sample, or penalize repetition.
        config = GenerationConfig(
            do_sample=False, max_new_tokens=max_tokens, eos_token_id=stop, pad_token_id=pad
        )
        with torch.inference_mode():
            made = self.model.generate(**batch, generation_config=config)
        new = made[:, batch["input_ids"].shape[1] :]
        texts: list[str] = tokenizer.batch_decode(new, skip_special_tokens=True)
        return texts

    def logps(self, answered: Sequence[Tokens]) -> list[tuple[float, int]]:
        """Sum of the log-probabilities (nats) of each answer's tokens, and their number."""
        import torch

        batch = self._inputs(answered)
        answer = batch.pop("answer").bool()
        # With padding on the left, all answers lie at the end: the rest needs no logits.
        kept = int(max(row.nonzero().numel() and len(row) - row.nonzero()[0] for row in answer))
        with torch.inference_mode():
            logits = self.model(**batch, logits_to_keep=kept + 1, use_cache=False).logits
        wanted = batch["input_ids"][:, -kept:]
        logps = torch.log_softmax(logits[:, :-1].float(), dim=-1)
        picked = logps.gather(-1, wanted[..., None])[..., 0] * answer[:, -kept:]
        counts = answer.sum(dim=1).tolist()
        return list(zip(picked.sum(dim=1).tolist(), counts, strict=True))

    def _inputs(self, sequences: Sequence[Tokens]) -> dict[str, Any]:
        import torch

        device = self.model.device
        batch = pad_batch(self._encoder, sequences, side="left")
        if not batch["answer"].any():
            del batch["answer"]
        batch = {key: value.to(device) for key, value in batch.items()}
        rows = [tokens.image_ids for tokens in sequences]
        if self._vision is not None:
            with torch.inference_mode():
                batch.update(self._vision.see([image_id for row in rows for image_id in row]))
        else:
            tensors = self._encoder.image_tensors(rows)
            batch.update({key: value.to(device) for key, value in tensors.items()})
        return batch


def batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Numbers of the rows in batches of similar length, so that little is padding."""
    order = sorted(range(len(lengths)), key=lambda k: (lengths[k], k))
    for start in range(0, len(order), size):
        yield order[start : start + size]
