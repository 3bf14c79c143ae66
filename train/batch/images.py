"""Images of a dataset as the model's processor prepares them, each once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pairwright.errors import DataError
from pairwright.images import ImageError, ImageReader, open_image

if TYPE_CHECKING:
    from PIL import Image

    from pairwright.dataset.store import Dataset

# What a processor returns per token; everything else it returns belongs to the images.
TOKEN_KEYS = ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids")
_CACHE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Expansion:
    """What an image's placeholder becomes in the token sequence.

    Attributes:
        ids: Tokens.
        extras: The processor's other per-token values, by name.
    """

    ids: list[int]
    extras: dict[str, list[int]]


class ImageBank:
    """Prepared images by id, with a bounded cache of what the processor makes of them."""

    def __init__(self, dataset: Dataset, processor: Any) -> None:
        """Read nothing but the index of the images table."""
        self._reader = ImageReader(dataset)
        self._processor = processor
        self._sizes: dict[str, tuple[int, int]] = {}
        self._expansions: dict[tuple[int, int], Expansion | str] = {}
        self._features: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._bytes = 0

    def open(self, image_id: str) -> Image.Image:
        """The image itself.

        Raises:
            ImageError: If it is missing or malformed.
        """
        return open_image(self._reader.read(image_id))

    def check(self, image_ids: Iterable[str]) -> dict[str, ImageError]:
        """Decode every image once, so that none fails in the middle of the training.

        Returns:
            Why images cannot be used, by id.
        """
        from pairwright.commands.progress import Progress

        bad: dict[str, ImageError] = {}
        known = sorted(set(image_ids), key=self._order)
        with Progress("checking images", len(known), unit="images") as progress:
            for image_id in known:
                try:
                    self._sizes[image_id] = self.open(image_id).size
                    self.expansion(image_id)
                except ImageError as error:
                    bad[image_id] = error
                progress.advance()
        return bad

    def _order(self, image_id: str) -> tuple[str, int]:
        return self._reader.sort_key(image_id) if image_id in self._reader else ("", -1)

    def expansion(self, image_id: str) -> Expansion:
        """Tokens of an image; they depend on nothing but its size.

        Raises:
            ImageError: If the processor refuses images of this size.
        """
        if image_id not in self._sizes:
            self._sizes[image_id] = self.open(image_id).size
        size = self._sizes[image_id]
        if size not in self._expansions:
            from PIL import Image

            try:
                made = self._process(Image.new("RGB", size))
            except ValueError as error:
                self._expansions[size] = str(error)
            else:
                self._expansions[size] = Expansion(
                    ids=made["input_ids"][0].tolist(),
                    extras={key: made[key][0].tolist() for key in TOKEN_KEYS[2:] if key in made},
                )
        found = self._expansions[size]
        if isinstance(found, str):
            raise ImageError("refused_image", f"the model's processor refuses its size: {found}")
        return found

    def features(self, image_id: str) -> dict[str, Any]:
        """Tensors that the processor makes of one image, such as `pixel_values`."""
        if image_id in self._features:
            self._features.move_to_end(image_id)
            return self._features[image_id]
        made = self._process(self.open(image_id))
        tensors = {key: value for key, value in made.items() if key not in TOKEN_KEYS}
        self._features[image_id] = tensors
        self._bytes += _size(tensors)
        while self._bytes > _CACHE_BYTES and len(self._features) > 1:
            self._bytes -= _size(self._features.popitem(last=False)[1])
        return tensors

    def batch(self, image_ids: Sequence[str]) -> dict[str, Any]:
        """Tensors of several images, put one after the other.

        Raises:
            DataError: If this processor's tensors cannot be joined so.
        """
        import torch

        parts = [self.features(image_id) for image_id in image_ids]
        try:
            return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        except (RuntimeError, TypeError, KeyError) as error:
            msg = f"images cannot be batched one after the other: {error}"
            raise DataError(msg) from error

    def _process(self, image: Image.Image) -> Any:
        return self._processor(
            images=[image],
            text=[self._processor.image_token],
            add_special_tokens=False,
            return_tensors="pt",
        )


def _size(tensors: dict[str, Any]) -> int:
    return sum(value.nbytes for value in tensors.values() if hasattr(value, "nbytes"))
