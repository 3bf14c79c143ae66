"""open_clip models: loaded from a tag, a file or a folder, and named after their weights."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from curate.clip.preprocess import Preprocess
from pairwright.errors import Error, MissingExtraError, NotFoundError, UsageError

RANDOM = "random"
_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


@dataclass(frozen=True, slots=True)
class ClipModel:
    """A loaded model.

    Attributes:
        name: Architecture and fingerprint of the weights and the preprocessing.
        network: The torch module.
        preprocess: From image bytes to the input of `images`.
        tokenize: From texts to a tensor.
        device: The torch device.
    """

    name: str
    network: Any
    preprocess: Preprocess
    tokenize: Callable[[list[str]], Any]
    device: str

    def images(self, prepared: Sequence[Any]) -> Any:
        """[n, width] unit vectors of n prepared images, 32-bit floats on the CPU."""
        batch = self.preprocess.batch(prepared, self.device)
        return self._unit(self.network.encode_image, batch)

    def texts(self, texts: list[str]) -> Any:
        """[n, width] unit vectors of n texts, truncated to the model's context."""
        return self._unit(self.network.encode_text, self.tokenize(texts))

    def _unit(self, encode: Callable[[Any], Any], batch: Any) -> Any:
        import torch

        kind = self.device.partition(":")[0]
        with torch.inference_mode(), torch.autocast(kind, torch.float16, enabled=kind == "cuda"):
            vectors = encode(batch.to(self.device)).float()
        return torch.nn.functional.normalize(vectors, dim=-1).cpu().numpy()


def load_clip(model: str, pretrained: str | None, device: str) -> ClipModel:
    """Load an open_clip model.

    Args:
        model: Registered architecture, `hf-hub:owner/name`, `local-dir:folder`, or a folder.
        pretrained: Tag, file or folder of weights, or `random`.
        device: `auto` or a torch device.

    Raises:
        Error: If there is no such model, or its weights are not available.
    """
    try:
        import open_clip
        import torch
    except ImportError as error:
        raise MissingExtraError("open-clip-torch", "clip") from error
    source, weights = _resolve(open_clip, model, pretrained)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    logging.disable(logging.ERROR)  # failures are reported below, in one line
    try:
        if pretrained == RANDOM:
            network, _, preprocess = open_clip.create_model_and_transforms(
                source, device=device, load_weights=False
            )
        else:
            network, preprocess = open_clip.create_model_from_pretrained(
                source, pretrained=weights, device=device
            )
        tokenize = open_clip.get_tokenizer(source)
    except Exception as error:
        # The Hub, the checkpoint reader and torch raise different errors; the user can act on all.
        raise _cannot_load(model, pretrained, error) from error
    finally:
        logging.disable(logging.NOTSET)
    network.eval()
    name = f"{_slug(model)}-{fingerprint(network)}"
    return ClipModel(name, network, Preprocess(preprocess), tokenize, device)


def _resolve(open_clip: Any, model: str, pretrained: str | None) -> tuple[str, str | None]:
    """Model and weights as arguments of open_clip."""
    if pretrained is not None and pretrained.startswith("local-dir:"):
        model, pretrained = pretrained, None
    if Path(model).is_dir():
        model = f"local-dir:{model}"
    if model.startswith("local-dir:"):
        folder = Path(model.removeprefix("local-dir:"))
        if not (folder / "open_clip_config.json").is_file():
            msg = f"{folder}: no open_clip_config.json in this folder; give an architecture with --model and the weights with --pretrained"
            raise NotFoundError(msg)
        return f"local-dir:{folder.resolve()}", None
    if model.startswith("hf-hub:"):
        return model, None
    if model not in open_clip.list_models():
        import difflib

        near = difflib.get_close_matches(model, open_clip.list_models(), n=3)
        hint = f"; similar names: {', '.join(near)}" if near else ""
        msg = f"--model {model}: neither a folder nor an open_clip architecture{hint}"
        raise UsageError(msg)
    return model, _weights(open_clip, model, pretrained)


def _weights(open_clip: Any, model: str, pretrained: str | None) -> str | None:
    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained is None:
        known = f" or a tag ({_some(tags)})" if tags else ""
        msg = f"--model {model} needs weights: give --pretrained a file, a folder{known}; --pretrained random is for tests only"
        raise UsageError(msg)
    if pretrained == RANDOM:
        return None
    path = Path(pretrained)
    if path.is_dir():
        files = [path / name for name in _WEIGHTS if (path / name).is_file()]
        files += sorted(
            file for end in ("safetensors", "pt", "bin") for file in path.glob(f"*.{end}")
        )
        if not files:
            msg = f"--pretrained {path}: no weights file (.safetensors, .pt, .bin) in this folder"
            raise NotFoundError(msg)
        return str(files[0])
    if path.is_file() or pretrained in tags:
        return pretrained
    msg = f"--pretrained {pretrained}: no such file or folder, and {model} has no such tag (tags: {_some(tags)})"
    raise NotFoundError(msg)


def _some(tags: list[str]) -> str:
    shown = ", ".join(tags[:6]) or "none"
    return f"{shown}, and {len(tags) - 6} more" if len(tags) > 6 else shown


def _cannot_load(model: str, pretrained: str | None, error: Exception) -> Error:
    what = f"{model} with {pretrained}" if pretrained else model
    offline = r"offline|connection|resolve|network|locate the file on the hub|LocalEntryNotFound"
    if re.search(offline, f"{type(error).__name__} {error}", re.IGNORECASE):
        return Error(
            f"cannot load {what}: the weights are not on this machine and the Hub cannot be "
            "reached; give --pretrained a local file or folder"
        )
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return Error(f"cannot load {what}: {first or type(error).__name__}")


def fingerprint(network: Any) -> str:
    """Short hash of all weights and of the preprocessing."""
    import torch

    digest = xxhash.xxh3_64(repr(getattr(network.visual, "preprocess_cfg", None)).encode())
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        digest.update(content.tobytes())
    return digest.hexdigest()[:8]


def _slug(model: str) -> str:
    word = Path(model.removeprefix("local-dir:").removeprefix("hf-hub:")).name
    return re.sub(r"[^a-z0-9.]+", "-", word.lower()).strip("-.") or "clip"
