"""The training loop that both Qwen2-VL models share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _packing
import numpy as np
import torch
from _model import save
from _packing import Packed, Renderer, forward, pack
from torch import Tensor, nn
from torch.nn import functional as F

from pairwright.demo import data

if TYPE_CHECKING:
    from _tasks import Example, Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopOptions:
    """How long and how hard to train."""

    minutes: float | None
    steps: int | None
    batch_images: int = 32
    muon_lr: float = 5e-3
    adam_lr: float = 2e-3
    weight_decay: float = 0.02
    warmup: int = 50
    decay_share: float = 0.3
    aux_weight: float = 0.3
    ema: float = 0.995
    checkpoint_minutes: float = 5.0
    compile: bool = True
    seed: int = 0


class FactHeads(nn.Module):
    """Two linear read-outs of the image tokens that are thrown away after training.

    They give the vision tower a direct signal from the first step; without them it learns shapes
    only after the language model has learned to use it.
    """

    def __init__(self, width: int) -> None:
        """One head for shapes, one for colors."""
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.shape = nn.Linear(width, len(data.SHAPES))
        self.color = nn.Linear(width, len(data.COLORS))

    def loss(self, seen: Tensor, facts: list[Facts]) -> Tensor:
        """Cross-entropy over the images whose facts are known."""
        pooled = self.norm(seen).amax(dim=1)
        shapes = [data.SHAPES.index(f.shape) if f.shape else -100 for f in facts]
        colors = [data.COLORS.index(f.color) if f.color else -100 for f in facts]
        return F.cross_entropy(self.shape(pooled), torch.tensor(shapes)) + F.cross_entropy(
            self.color(pooled), torch.tensor(colors)
        )


def collate(examples: list[Example], renderer: Renderer) -> Packed:
    """Tokenize and pack a list of examples."""
    turns = [[renderer.turn(*ask) for ask in example.asks] for example in examples]
    return pack(np.stack([example.image for example in examples]), turns, renderer)


def train(
    model: Any,
    processor: Any,
    examples: Iterator[Example],
    held_out: list[Example],
    *,
    out: Path,
    options: LoopOptions,
) -> None:
    """Train `model` and leave the newest checkpoint in `out`.

    Learning rates are constant, then fall to zero over the last `decay_share` of the time or of
    the steps. Checkpoints before that hold an average of the weights, which is better than any of
    them, so that an interrupted run is still worth something.
    """
    torch.manual_seed(options.seed)
    renderer = Renderer(processor)
    if options.compile:
        _compile(model)
    heads = FactHeads(model.config.vision_config.hidden_size)
    optimizers = _optimizers(model, heads, options)
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    average = [p.detach().clone() for p in model.parameters()]
    start = last_saved = time.monotonic()
    step, seen_losses = 0, []
    while (progress := _progress(step, time.monotonic() - start, options)) < 1:
        scale = min(1.0, (step + 1) / options.warmup, (1 - progress) / options.decay_share)
        for optimizer, base in zip(optimizers, rates, strict=True):
            for group, rate in zip(optimizer.param_groups, base, strict=True):
                group["lr"] = rate * scale
        batch = list(islice(examples, options.batch_images))
        packed = collate(batch, renderer)
        logits, seen = forward(model, packed)
        answer_loss = F.cross_entropy(logits, packed.targets)
        fact_loss = heads.loss(seen, [example.facts for example in batch])
        (answer_loss + options.aux_weight * fact_loss).backward()
        nn.utils.clip_grad_norm_([*model.parameters(), *heads.parameters()], 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        decay = min(options.ema, (step + 1) / (step + 20))
        torch._foreach_lerp_(average, [p.detach() for p in model.parameters()], 1 - decay)
        step += 1
        seen_losses.append((answer_loss.item(), fact_loss.item()))
        if step % 25 == 0 or step in (2, 10):
            answer, fact = np.mean(seen_losses, axis=0)
            seen_losses.clear()
            elapsed = time.monotonic() - start
            print(
                f"step {step}  {elapsed:.0f} s  {elapsed / step:.3f} s/step  lr x{scale:.2f}"
                f"  answers {answer:.4f}  facts {fact:.4f}",
                flush=True,
            )
        if time.monotonic() - last_saved > 60 * options.checkpoint_minutes:
            last_saved = time.monotonic()
            with _swapped(model, average):
                print(f"step {step}  average: {score(model, renderer, held_out)}", flush=True)
                save(model, processor, out)
    print(f"step {step}  final: {score(model, renderer, held_out)}", flush=True)
    save(model, processor, out)
    print(f"done: {step} steps in {time.monotonic() - start:.0f} s", flush=True)


def _compile(model: Any) -> None:
    """Fuse the element-wise work of each block: a fifth of the step time on a CPU."""
    for layer in model.model.language_model.layers:
        layer.compile(dynamic=True)
    # One function for all depths; a graph for each depth would compile for minutes.
    _packing.vision_block = torch.compile(_packing.vision_block, dynamic=True)


def _progress(step: int, elapsed_s: float, options: LoopOptions) -> float:
    by_time = elapsed_s / (60 * options.minutes) if options.minutes else 0.0
    by_steps = step / options.steps if options.steps else 0.0
    return max(by_time, by_steps)


def _optimizers(
    model: Any, heads: nn.Module, options: LoopOptions
) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices inside the layers, AdamW for everything else."""
    matrices, other = [], list(heads.parameters())
    for name, parameter in model.named_parameters():
        inside = ".layers." in name or ".blocks." in name
        (matrices if inside and parameter.ndim == 2 else other).append(parameter)
    return (
        torch.optim.Muon(
            matrices,
            lr=options.muon_lr,
            weight_decay=options.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(
            other, lr=options.adam_lr, betas=(0.9, 0.98), weight_decay=options.weight_decay
        ),
    )


@contextmanager
def _swapped(model: Any, weights: list[Tensor]) -> Iterator[None]:
    """The model with other weights for the length of a `with` block."""
    kept = [parameter.detach().clone() for parameter in model.parameters()]
    for parameter, other in zip(model.parameters(), weights, strict=True):
        parameter.data.copy_(other)
    try:
        yield
    finally:
        for parameter, own in zip(model.parameters(), kept, strict=True):
            parameter.data.copy_(own)


@torch.no_grad()
def score(model: Any, renderer: Renderer, examples: list[Example]) -> str:
    """Share of right first answer tokens on held-out examples, over all and by expected answer."""
    hits: dict[str, list[bool]] = {}
    for at in range(0, len(examples), 32):
        chunk = examples[at : at + 32]
        packed = collate(chunk, renderer)
        logits, _ = forward(model, packed)
        right = logits.argmax(-1) == packed.targets
        answers = [ask.answer for example in chunk for ask in example.asks]
        numbers = packed.target_turns.tolist()
        for k, number in enumerate(numbers):
            if k == 0 or numbers[k - 1] != number:
                hits.setdefault(answers[number], []).append(bool(right[k]))
    total = np.mean([hit for group in hits.values() for hit in group])
    groups = "  ".join(f"{name} {np.mean(hits[name]):.3f}" for name in sorted(hits))
    return f"right {total:.4f}  ({groups})"
