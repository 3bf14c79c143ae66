"""Images as they are sent to a model: upright RGB within a pixel budget, named by their bytes."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pairwright.images import FORMATS, MAX_PIXELS, ImageError, open_image

if TYPE_CHECKING:
    from PIL import Image

# 1,280 visual tokens of Qwen2-VL: what its authors advise as a budget.
DEFAULT_PIXELS = 1280 * 28 * 28
_AS_THEY_ARE = ("PNG", "JPEG", "WEBP")
_ORIENTATION = 0x0112
_CACHED = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedImage:
    """An image ready to send.

    Attributes:
        content: Bytes of the file that is sent.
        mime: Its media type.
        uuid: Hash of `content`: two images never have the same, whatever their names in the source.
    """

    content: bytes
    mime: str
    uuid: str


class ReadsImages(Protocol):
    """Image bytes by id (`pairwright.images.ImageReader` is one)."""

    def read(self, image_id: str) -> bytes:
        """Bytes of one image; raises ImageError."""


class ImageSource:
    """Prepared images by id; safe to use from several threads."""

    def __init__(self, reader: ReadsImages, max_pixels: int) -> None:
        """Prepare images of `reader` within `max_pixels`."""
        self._reader, self.max_pixels = reader, max_pixels
        self._recent: OrderedDict[str, PreparedImage] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, image_id: str) -> PreparedImage:
        """The image, ready to send.

        Raises:
            ImageError: If it is missing or malformed.
        """
        with self._lock:
            known = self._recent.get(image_id)
            if known is not None:
                self._recent.move_to_end(image_id)
                return known
            content = self._reader.read(image_id)
        prepared = prepare(content, self.max_pixels)
        with self._lock:
            self._recent[image_id] = prepared
            while len(self._recent) > _CACHED:
                self._recent.popitem(last=False)
        return prepared


def prepare(content: bytes, max_pixels: int) -> PreparedImage:
    """Bytes to send for an image file.

    A PNG, JPEG or WebP that is upright, opaque and within the budget is sent as it is. Others are
    decoded, shrunk and encoded again: photographs as JPEG, the rest without loss.

    Raises:
        ImageError: If it is no usable image.
    """
    name = _sendable_format(content, max_pixels)
    if name is None:
        image = open_image(content, fit=max_pixels)
        name = "JPEG" if _is_lossy(content) else "PNG"
        content = _encode(image, name)
    uuid = hashlib.sha256(content).hexdigest()[:32]
    return PreparedImage(content=content, mime=f"image/{name.lower()}", uuid=uuid)


def _sendable_format(content: bytes, max_pixels: int) -> str | None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            pixels = image.width * image.height
            if pixels > MAX_PIXELS or pixels > max_pixels or pixels < 1:
                return None
            if image.format not in _AS_THEY_ARE or image.mode not in ("RGB", "L"):
                return None
            if "transparency" in image.info or getattr(image, "n_frames", 1) != 1:
                return None
            if image.getexif().get(_ORIENTATION, 1) != 1:
                return None
            return str(image.format)
    except Exception:
        # Decoders raise nearly anything; `open_image` finds what is wrong.
        return None


def _is_lossy(content: bytes) -> bool:
    return content[:2] == b"\xff\xd8" or content[8:12] == b"WEBP"


def _encode(image: Image.Image, name: str) -> bytes:
    buffer = io.BytesIO()
    if name == "JPEG":
        image.save(buffer, "JPEG", quality=95, subsampling=0)
    else:
        image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def pixel_budget(model: str, wanted: int | None = None) -> int:
    """Pixels an image may have for a model.

    Args:
        model: Hub id or local folder; only a folder's own limit is known before it is loaded.
        wanted: What the user requested, if anything.
    """
    own = _own_limit(Path(model))
    if wanted is not None:
        return wanted if own is None else min(wanted, own)
    return DEFAULT_PIXELS if own is None else min(own, DEFAULT_PIXELS)


def _own_limit(folder: Path) -> int | None:
    for name in ("preprocessor_config.json", "processor_config.json"):
        try:
            raw = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if not isinstance(raw, dict):
            continue
        raw = raw.get("image_processor", raw)
        size = raw.get("size")
        edge = size.get("longest_edge") if isinstance(size, dict) else None
        # In Qwen's processors `longest_edge` counts pixels; elsewhere it is a length.
        counts_pixels = "qwen" in str(raw.get("image_processor_type", "")).lower()
        limit = raw.get("max_pixels") or (edge if counts_pixels else None)
        if isinstance(limit, int) and limit > 0:
            return limit
    return None


__all__ = [
    "DEFAULT_PIXELS",
    "ImageError",
    "ImageSource",
    "PreparedImage",
    "pixel_budget",
    "prepare",
]
