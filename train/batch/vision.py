"""A frozen vision tower looks at every image once, not four times a pair."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pairwright.errors import DataError
from train.batch.encode import Encoder

_CACHE_BYTES = 2 << 30
_CHUNK = 16
# Inputs that only the vision tower reads; the others (sizes, grids) the language model needs too.
_PIXELS = ("pixel_values", "pixel_values_images", "pixel_attention_mask", "image_patches")
# Outputs of a vision tower that the language model does not read.
_UNREAD = {"pooler_output", "last_hidden_state", "hidden_states", "attentions"}


@dataclass(frozen=True, slots=True)
class _Seen:
    """One image: what the tower made of it, and the model's other inputs for it."""

    features: list[Any]
    inputs: dict[str, Any]

    @property
    def nbytes(self) -> int:
        return int(sum(t.nbytes for t in [*self.features, *self.inputs.values()]))


class FrozenVision:
    """Image features by id, computed without gradients and kept while memory lasts.

    They enter the model through `mm_encoder_outputs`, the input that transformers' models have
    for features made beforehand.
    """

    def __init__(self, encoder: Encoder, model: Any) -> None:
        """Take over the vision tower of `model`; see `make`."""
        self._encoder = encoder
        self._look = model.base_model.get_image_features
        self._device = model.device
        self._cache: OrderedDict[str, _Seen] = OrderedDict()
        self._bytes = 0
        self._joined = False

    @classmethod
    def make(cls, encoder: Encoder, model: Any, image_ids: Sequence[str]) -> FrozenVision | None:
        """Features for a model, or `None` where it cannot take them or nothing would be gained.

        Args:
            encoder: The model's encoder, verified.
            model: The model itself, not wrapped.
            image_ids: An image or two to try it on.
        """
        import torch

        core = model.base_model
        takes = "mm_encoder_outputs" in inspect.signature(core.forward).parameters
        if not (image_ids and encoder.joinable and takes and hasattr(core, "get_image_features")):
            return None
        vision = cls(encoder, model)
        with torch.no_grad():
            made = vision._run(image_ids[:1])
        if set(made.keys()) - _UNREAD or made.pooler_output is None:
            return None
        vision._joined = isinstance(made.pooler_output, torch.Tensor)
        return vision

    def see(self, image_ids: Sequence[str]) -> dict[str, Any]:
        """Model inputs for images, in order; call it without gradients."""
        import torch
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        if not image_ids:
            return {}
        needed = set(image_ids)
        missing = [i for i in dict.fromkeys(image_ids) if i not in self._cache]
        found = {i: self._cache[i] for i in needed if i in self._cache}
        for start in range(0, len(missing), _CHUNK):
            found |= self._encode(missing[start : start + _CHUNK])
        for image_id in needed:
            self._keep(image_id, found[image_id])
        features = [tensor for i in image_ids for tensor in found[i].features]
        pooled = torch.stack(features) if self._joined else tuple(features)
        inputs = {
            key: torch.cat([found[i].inputs[key] for i in image_ids])
            for key in found[image_ids[0]].inputs
        }
        return {
            **inputs,
            "mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=pooled)},
        }

    def _encode(self, image_ids: list[str]) -> dict[str, _Seen]:
        try:
            pooled = self._run(image_ids).pooler_output
        except DataError:
            pooled = ()
        if len(pooled) != len(image_ids) and len(image_ids) > 1:
            # Some models cut one image into several.
            return {i: seen for one in image_ids for i, seen in self._encode([one]).items()}
        whole = len(image_ids) == 1
        out = {}
        for number, image_id in enumerate(image_ids):
            tensors = self._encoder.bank.features(image_id)
            inputs = {k: v.to(self._device) for k, v in tensors.items() if k not in _PIXELS}
            out[image_id] = _Seen(list(pooled) if whole else [pooled[number]], inputs)
        return out

    def _run(self, image_ids: Sequence[str]) -> Any:
        tensors = self._encoder.bank.batch(image_ids)
        known = inspect.signature(self._look).parameters
        inputs = {k: v.to(self._device) for k, v in tensors.items() if k in known}
        return self._look(**inputs, return_dict=True)

    def _keep(self, image_id: str, seen: _Seen) -> None:
        if image_id in self._cache:
            self._cache.move_to_end(image_id)
            return
        self._cache[image_id] = seen
        self._bytes += seen.nbytes
        while self._bytes > _CACHE_BYTES and len(self._cache) > 1:
            self._bytes -= self._cache.popitem(last=False)[1].nbytes
