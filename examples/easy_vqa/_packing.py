"""Many one-question conversations about one image, in one sequence, none seeing another.

The image and its prefix are encoded once; every conversation's tokens attend to that prefix and
to themselves, and their positions restart after it. Log-probabilities equal those of the
conversations run one by one (`check_packing.py`), for a fraction of the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from _model import IMAGE_PX, MERGE, NUM_IMAGE_TOKENS, PATCH_PX
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Turn(NamedTuple):
    """What follows the image: the rest of the prompt, and the answer with its end token."""

    prompt: list[int]
    answer: list[int]


@dataclass(frozen=True, slots=True)
class Packed:
    """One batch, ready for `answer_logps`."""

    pixels: Tensor  # [B, 64, 384]
    ids: Tensor  # [B, L]
    positions: Tensor  # [3, B, L]
    mask: Tensor  # [B, 1, L, L]
    target_rows: Tensor  # [N] batch index of every answer token
    target_columns: Tensor  # [N] column that predicts it
    targets: Tensor  # [N]
    target_turns: Tensor  # [N] running number of the turn it belongs to


class Renderer:
    """Cuts the chat template's rendering at the image, and remembers what it has tokenized."""

    def __init__(self, processor: Any) -> None:
        """Render one probe conversation to learn the prefix that all share."""
        self._tokenizer = processor.tokenizer
        self._template = processor.chat_template
        self._cache: dict[tuple[str, str], Turn] = {}
        before, _, _ = self._text("x", "y").partition("<|image_pad|>")
        image = self._tokenizer.convert_tokens_to_ids("<|image_pad|>")
        start = self._tokenizer(before, add_special_tokens=False)["input_ids"]
        self.prefix: list[int] = [*start, *[image] * NUM_IMAGE_TOKENS]
        self.prefix_positions = _prefix_positions(len(start))
        self.next_position = len(start) + IMAGE_PX // PATCH_PX // MERGE

    def _text(self, prompt: str, answer: str) -> str:
        user = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}
        messages = [user, {"role": "assistant", "content": answer}]
        return str(
            self._tokenizer.apply_chat_template(
                messages, chat_template=self._template, tokenize=False
            )
        )

    def turn(self, prompt: str, answer: str) -> Turn:
        """The tokens after the image, for one question and its answer."""
        key = (prompt, answer)
        if key not in self._cache:
            after = self._text(prompt, answer).partition("<|image_pad|>")[2]
            head, marker, tail = after.partition("<|im_start|>assistant\n")
            tokens = self._tokenizer(head + marker, add_special_tokens=False)["input_ids"]
            said = self._tokenizer(tail.removesuffix("\n"), add_special_tokens=False)["input_ids"]
            self._cache[key] = Turn(tokens, said)
        return self._cache[key]


def _prefix_positions(num_before: int) -> NDArray[np.int64]:
    """M-RoPE positions of the text before the image and of the image, [3, P]."""
    side = IMAGE_PX // PATCH_PX // MERGE
    text = np.tile(np.arange(num_before), (3, 1))
    rows, columns = np.divmod(np.arange(side * side), side)
    image = np.stack([np.zeros_like(rows), rows, columns]) + num_before
    return np.concatenate([text, image], axis=1)


def pack(images: NDArray[np.uint8], turns: list[list[Turn]], renderer: Renderer) -> Packed:
    """Lay out a batch: `turns[i]` are the conversations about `images[i]` ([B, 64, 64, 3])."""
    num_prefix = len(renderer.prefix)
    length = num_prefix + max(sum(len(t.prompt) + len(t.answer) for t in group) for group in turns)
    batch = len(turns)
    ids = np.zeros((batch, length), dtype=np.int64)
    positions = np.zeros((3, batch, length), dtype=np.int64)
    blocks = np.full((batch, length), -1, dtype=np.int64)  # 0 prefix, 1.. turns, -1 padding
    ids[:, :num_prefix] = renderer.prefix
    positions[:, :, :num_prefix] = renderer.prefix_positions[:, None]
    blocks[:, :num_prefix] = 0
    targets: list[tuple[int, int, int, int]] = []
    turn_number = 0
    for row, group in enumerate(turns):
        at = num_prefix
        for block, turn in enumerate(group, start=1):
            end = at + len(turn.prompt) + len(turn.answer)
            ids[row, at:end] = turn.prompt + turn.answer
            positions[:, row, at:end] = renderer.next_position + np.arange(end - at)
            blocks[row, at:end] = block
            first = at + len(turn.prompt)
            targets += [
                (row, first + k - 1, token, turn_number) for k, token in enumerate(turn.answer)
            ]
            at = end
            turn_number += 1
    order = torch.arange(length)
    owner = torch.from_numpy(blocks)
    same = owner[:, :, None] == owner[:, None, :]
    mask = (order[:, None] >= order[None, :]) & (same | (owner[:, None, :] == 0))
    columns = torch.tensor(targets).T
    return Packed(
        pixels=patchify(torch.from_numpy(images)),
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(positions),
        mask=mask[:, None],
        target_rows=columns[0],
        target_columns=columns[1],
        targets=columns[2],
        target_turns=columns[3],
    )


def patchify(images: Tensor) -> Tensor:
    """What the image processor makes of [B, 64, 64, 3] bytes: [B, 64, 384], in merge order."""
    scaled = images.permute(0, 3, 1, 2).float() / 127.5 - 1
    side = IMAGE_PX // PATCH_PX // MERGE
    cut = scaled.reshape(len(images), 3, side, MERGE, PATCH_PX, side, MERGE, PATCH_PX)
    cut = cut.permute(0, 2, 5, 3, 6, 1, 4, 7)  # B, rows, columns, 2, 2, 3, 8, 8
    doubled = cut.unsqueeze(6).expand(*cut.shape[:6], 2, PATCH_PX, PATCH_PX)
    return doubled.reshape(len(images), -1, 3 * 2 * PATCH_PX * PATCH_PX)


def see(visual: nn.Module, pixels: Tensor) -> Tensor:
    """The vision tower for a batch of images of one size: image tokens [B, 16, H].

    The model's own forward attends to one image after the other in a Python loop and embeds
    patches with a 3-D convolution; both are several times slower on a CPU than this.
    """
    batch, num_patches, _ = pixels.shape
    weight = visual.patch_embed.proj.weight
    hidden = F.linear(pixels, weight.flatten(1))
    at = torch.arange(num_patches)
    inner_row, inner_column = at // 2 % 2, at % 2
    outer = at // 4
    side = IMAGE_PX // PATCH_PX // MERGE
    where = torch.stack([outer // side * 2 + inner_row, outer % side * 2 + inner_column], dim=-1)
    cos, sin = visual.rotary_pos_emb(hidden, where)
    for block in visual.blocks:
        hidden = vision_block(block, hidden, cos, sin)
    return visual.merger(hidden).view(batch, NUM_IMAGE_TOKENS, -1)


def vision_block(block: nn.Module, hidden: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """One transformer block over [B, 64, W]."""
    attention = block.attn
    qkv = attention.qkv(block.norm1(hidden)).unflatten(-1, (3, attention.num_heads, -1))
    qkv = qkv.permute(2, 0, 3, 1, 4)
    query, key = _rotate(qkv[0], cos, sin), _rotate(qkv[1], cos, sin)
    mixed = F.scaled_dot_product_attention(query, key, qkv[2])
    hidden = hidden + attention.proj(mixed.transpose(1, 2).flatten(2))
    return hidden + block.mlp(block.norm2(hidden))


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], dim=-1) * sin


def forward(model: Any, batch: Packed) -> tuple[Tensor, Tensor]:
    """Logits at the answers' positions [N, V], and image tokens [B, 16, H]."""
    core = model.model
    seen = see(core.visual, batch.pixels)
    embedded = core.language_model.embed_tokens(batch.ids)
    start = int((batch.ids[0] == model.config.image_token_id).nonzero()[0])
    embedded = torch.cat(
        [embedded[:, :start], seen, embedded[:, start + NUM_IMAGE_TOKENS :]], dim=1
    )
    hidden = core.language_model(
        inputs_embeds=embedded,
        attention_mask={"full_attention": batch.mask},
        position_ids=batch.positions,
        use_cache=False,
    ).last_hidden_state
    picked = hidden[batch.target_rows, batch.target_columns]
    return model.lm_head(picked), seen
