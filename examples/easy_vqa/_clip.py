"""The demo's tiny open_clip model: 64x64 images, captions from what an image shows."""

from __future__ import annotations

import io
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from _tasks import IMAGE_PX, Facts, TrainingImage, augment, open_image, read_facts
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from pairwright.demo import data

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONTEXT_LENGTH = 32
VOCAB_SIZE = 512
MEAN = STD = (0.5, 0.5, 0.5)
BATCH_IMAGES = 128
NUM_COPIES = 32
_PLACES = (
    ("top left", "top", "top right"),
    ("left", "center", "right"),
    ("bottom left", "bottom", "bottom right"),
)


class Shown(NamedTuple):
    """Everything a caption may mention; a caption mentions some of it (None elsewhere)."""

    shape: str | None = None
    color: str | None = None
    size: str | None = None
    place: str | None = None


class Caption(NamedTuple):
    """A text and what it claims."""

    text: str
    claims: Shown


def look(image: NDArray[np.uint8], facts: Facts) -> Shown:
    """Facts, and the size and place of the shape as measured in the pixels."""
    flat = image.reshape(-1, 3).astype(np.int64) @ (65536, 256, 1)
    values, counts = np.unique(flat, return_counts=True)
    shape = (flat != values[counts.argmax()]).reshape(IMAGE_PX, IMAGE_PX)
    rows, columns = np.flatnonzero(shape.any(1)), np.flatnonzero(shape.any(0))
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    size = "small" if side < 15 else "medium" if side < 24 else "large"
    down = int((rows[0] + rows[-1]) / 2 * 3 / IMAGE_PX)
    right = int((columns[0] + columns[-1]) / 2 * 3 / IMAGE_PX)
    return Shown(facts.shape, facts.color, size, _PLACES[down][right])


def describe(shown: Shown, rng: random.Random) -> Caption:
    """A true caption that mentions some of what is shown."""
    shape, color, size, place = shown
    kind = rng.random()
    if kind < 0.2:
        opening = rng.choice(("a {} {}", "an image of a {} {}", "there is a {} {}"))
        return Caption(opening.format(color, shape), Shown(shape, color))
    if kind < 0.3:
        return Caption(f"a {shape}", Shown(shape=shape))
    if kind < 0.4:
        return Caption(f"a {color} shape", Shown(color=color))
    if kind < 0.55:
        return _as_question(shape, color, rng)
    if kind < 0.65:
        return Caption(f"a {color} {shape} at the {place}", Shown(shape, color, None, place))
    return Caption(f"a {size} {color} {shape} at the {place}", shown)


def _as_question(shape: str | None, color: str | None, rng: random.Random) -> Caption:
    positive, _, what_color, what_shape = data.SAME_MEANING
    return rng.choice(
        (
            Caption(f"what is the {color} shape? {shape}", Shown(shape, color)),
            Caption(f"{rng.choice(what_shape)} {shape}", Shown(shape)),
            Caption(f"{rng.choice(what_color).format(shape)} {color}", Shown(shape, color)),
            Caption(f"{rng.choice(what_color).format('shape')} {color}", Shown(color=color)),
            Caption(f"{rng.choice(positive).format(shape)} yes", Shown(shape)),
            Caption(f"{rng.choice(positive).format(f'{color} shape')} yes", Shown(color=color)),
        )
    )


def fits(caption: Shown, image: Shown) -> bool:
    """Whether everything the caption claims is true of the image."""
    return all(c is None or c == i for c, i in zip(caption, image, strict=True))


def build_tokenizer(texts: list[str]) -> Any:
    """A byte-level BPE that frames a text as CLIP does; the end token has the highest id."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import BpeTrainer
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.decoder = decoders.ByteLevel()
    special = ["<pad>", "<start_of_text>", "<end_of_text>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=VOCAB_SIZE - 3, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(texts, trainer)
    bpe.add_special_tokens(special)
    # open_clip reads the text's features at the highest id, so the end token must be it.
    start, end = bpe.token_to_id("<start_of_text>"), bpe.token_to_id("<end_of_text>")
    bpe.post_processor = processors.TemplateProcessing(
        single="<start_of_text> $A <end_of_text>",
        special_tokens=[("<start_of_text>", start), ("<end_of_text>", end)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<pad>",
        bos_token="<start_of_text>",
        eos_token="<end_of_text>",
        model_max_length=CONTEXT_LENGTH,
        clean_up_tokenization_spaces=False,
    )


def model_config(vocab_size: int) -> dict[str, Any]:
    """The open_clip configuration of the tiny model."""
    return {
        "embed_dim": 128,
        "vision_cfg": {
            "image_size": IMAGE_PX,
            "patch_size": 8,
            "layers": 5,
            "width": 128,
            "head_width": 32,
            "pool_type": "avg",
        },
        "text_cfg": {
            "context_length": CONTEXT_LENGTH,
            "vocab_size": vocab_size,
            # Any name makes open_clip read the tokenizer from the model's own folder.
            "hf_tokenizer_name": "local",
            "width": 128,
            "heads": 4,
            "layers": 2,
        },
    }


def train_clip(out: Path, *, minutes: float | None, steps: int | None, seed: int) -> None:
    """Train on the judge's half and save a folder for `open_clip` (`local-dir:FOLDER`)."""
    from open_clip import CLIP

    rng = random.Random(seed)
    torch.manual_seed(seed)
    images = _images()
    texts = [describe(look(p.pixels, f), rng).text for p, f in images for _ in range(5)]
    tokenizer = build_tokenizer(texts)
    config = model_config(len(tokenizer))
    model = CLIP(**config, output_dict=False)
    print(f"clip: {sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    optimizers = _optimizers(model)
    rates = [o.param_groups[0]["lr"] for o in optimizers]
    batches = _batches(images, tokenizer, rng)
    start, step, losses = time.monotonic(), 0, []
    while True:
        elapsed = time.monotonic() - start
        progress = max(elapsed / (60 * minutes) if minutes else 0, step / steps if steps else 0)
        if progress >= 1:
            break
        scale = min(1.0, (step + 1) / 30, (1 - progress) / 0.4)
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * scale
        loss = _loss(model, *next(batches))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        model.logit_scale.data.clamp_(0, np.log(50))
        losses.append(loss.item())
        step += 1
        if step % 25 == 0:
            print(f"step {step}  {elapsed:.0f} s  loss {np.mean(losses[-25:]):.4f}", flush=True)
    save_clip(model, tokenizer, config, out)
    print(f"done: {step} steps in {time.monotonic() - start:.0f} s", flush=True)


def _images() -> list[tuple[TrainingImage, Facts]]:
    numbers = data.image_split().judge
    paths = data.image_paths("train")
    rows: dict[int, list[tuple[str, str]]] = {n: [] for n in numbers}
    for question in data.questions(numbers):
        rows[question.image].append((question.text, question.answer))
    known = ((n, read_facts(rows[n])) for n in numbers)
    return [(open_image(paths[n]), facts) for n, facts in known if facts.shape and facts.color]


def _batches(
    known: list[tuple[TrainingImage, Facts]], tokenizer: Any, rng: random.Random
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Images, second views of the first few, token ids, and which caption fits which image."""
    while True:
        chosen = rng.sample(known, BATCH_IMAGES)
        images = [augment(image, rng) for image, _ in chosen]
        shown = [look(i, facts) for i, (_, facts) in zip(images, chosen, strict=True)]
        captions = [describe(s, rng) for s in shown]
        ids = tokenizer(
            [c.text for c in captions],
            padding="max_length",
            max_length=CONTEXT_LENGTH,
            return_tensors="pt",
        ).input_ids
        fit = torch.tensor([[fits(c.claims, s) for s in shown] for c in captions])
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
        yield pixels, _resave(pixels[:NUM_COPIES], rng), ids, fit.float()


def _resave(pixels: Tensor, rng: random.Random) -> Tensor:
    """Roughly what saving an image again does: a detour over another size, some noise."""
    side = rng.choice((52, 56, 60, 72, 80, 96))
    there = F.interpolate(pixels, (side, side), mode="bicubic", align_corners=False, antialias=True)
    back = F.interpolate(there, pixels.shape[-2:], mode="bicubic", align_corners=False)
    return (back + 0.02 * torch.randn_like(back)).clamp(-1, 1)


def _loss(model: Any, pixels: Tensor, resaved: Tensor, ids: Tensor, fit: Tensor) -> Tensor:
    """Image against caption, where several may fit, and image against its re-saved self.

    The second term separates what captions cannot separate, so that near-duplicates are
    distinguished from other images of the same content.
    """
    both = F.normalize(model.encode_image(torch.cat([pixels, resaved])), dim=-1)
    images, copies = both[: len(pixels)], both[len(pixels) :]
    texts = model.encode_text(ids, normalize=True)
    logits = model.logit_scale.exp() * texts @ images.T
    by_text = F.cross_entropy(logits, fit / fit.sum(1, keepdim=True))
    by_image = F.cross_entropy(logits.T, fit.T / fit.T.sum(1, keepdim=True))
    copied = F.cross_entropy(20 * copies @ images.T, torch.arange(len(copies)))
    return (by_text + by_image) / 2 + 0.3 * copied


def _optimizers(model: nn.Module) -> list[torch.optim.Optimizer]:
    matrices, other = [], []
    for name, parameter in model.named_parameters():
        inside = "resblocks" in name and parameter.ndim == 2
        (matrices if inside else other).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=4e-3, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(other, lr=1.5e-3, betas=(0.9, 0.98), weight_decay=0.02),
    ]


def save_clip(model: nn.Module, tokenizer: Any, config: dict[str, Any], out: Path) -> None:
    """Half-precision weights, configuration and tokenizer, as open_clip's `local-dir:` reads them."""
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(out)
    preprocess = {
        "mean": MEAN,
        "std": STD,
        "interpolation": "bicubic",
        "resize_mode": "squash",
    }
    text = json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}, indent=2)
    (out / "open_clip_config.json").write_text(text + "\n", encoding="utf-8")
    weights = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, out / "open_clip_model.safetensors")


def near_copy(image: Image.Image, number: int) -> Image.Image:
    """A re-saved copy, in turn as a JPEG, smaller, and larger."""
    if number % 3 == 0:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=90)
        return Image.open(file).convert("RGB")
    side = 56 if number % 3 == 1 else 80
    return image.resize((side, side), Image.Resampling.BICUBIC)
