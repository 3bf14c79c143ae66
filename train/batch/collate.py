"""Batches for TRL's trainers, made of token sequences that were encoded before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from train.batch.encode import Encoder, Tokens


class Collator:
    """Pads rows to a batch and adds what the model needs to see their images.

    A row holds one sequence (SFT) or two (chosen and rejected); the batch holds all first ones,
    then all second ones, as TRL's trainers expect. It equals what TRL's own collators make of the
    same rows up to the answers' ends, except that images are prepared once and nothing is truncated.
    """

    def __init__(
        self, encoder: Encoder, rows: Sequence[tuple[Tokens, ...]], *, preference: bool
    ) -> None:
        """Keep the rows; `preference` is true for DPO's batches, false for SFT's."""
        self._encoder, self._rows, self._preference = encoder, rows, preference
        # Set where a frozen vision tower encodes images itself, once each: then the batch only
        # names them.
        self.names_only = False

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """One batch of the rows with the given numbers."""
        import torch

        rows = [self._rows[example["row"]] for example in examples]
        sequences = [row[k] for k in range(len(rows[0])) for row in rows]
        batch = pad_batch(self._encoder, sequences, side="right")
        answer = batch.pop("answer")
        if self._preference:
            batch["completion_mask"] = answer
        else:
            batch["labels"] = torch.where(answer == 1, batch["input_ids"], -100)
        image_rows = [tokens.image_ids for tokens in sequences]
        if self.names_only:
            batch["image_ids"] = [image_id for row in image_rows for image_id in row]
        else:
            batch.update(self._encoder.image_tensors(image_rows))
        return batch


def pad_batch(
    encoder: Encoder, sequences: Sequence[Tokens], *, side: Literal["left", "right"]
) -> dict[str, Any]:
    """Expand and pad sequences.

    Returns:
        `input_ids`, `attention_mask`, `answer` and the processor's other per-token values.
    """
    import torch

    expanded = [encoder.expand(tokens) for tokens in sequences]
    length = max(len(ids) for ids, _, _ in expanded)
    extra_names = {*encoder.extra_names, *(key for _, _, extras in expanded for key in extras)}
    tokenizer = encoder.tokenizer
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    batch = {"input_ids": torch.full((len(expanded), length), pad)}
    for name in ("attention_mask", "answer", *sorted(extra_names)):
        batch[name] = torch.zeros((len(expanded), length), dtype=torch.long)
    for row, (ids, answer, extras) in enumerate(expanded):
        where = slice(0, len(ids)) if side == "right" else slice(length - len(ids), length)
        batch["input_ids"][row, where] = torch.tensor(ids)
        batch["attention_mask"][row, where] = 1
        batch["answer"][row, where] = torch.tensor(answer)
        for name, values in extras.items():
            batch[name][row, where] = torch.tensor(values)
    return batch
