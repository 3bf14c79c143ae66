"""Opening images that strangers made: sniffed, bounded, upright.

Formats are detected by content, never by extension (65 of 945 files in two real sets had the wrong
one). Limits are checked on the header, before a pixel is decoded.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pairwright.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from PIL import Image

    from pairwright.dataset.store import Dataset

MAX_PIXELS = 100_000_000
MAX_BYTES = 200 << 20
_ID_LENGTH = 64  # sha256 in hex
# Formats worth training on; everything else Pillow knows (EPS, PDF, FITS, ...) only adds attack
# surface.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")


class ImageError(DataError):
    """An image that cannot be used.

    Attributes:
        reason: Short, stable name of the cause.
    """

    def __init__(self, reason: str, detail: str) -> None:
        """Keep the cause apart from the words."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """Facts about an image, as in the images table."""

    image_id: str
    format: str
    width: int
    height: int
    n_bytes: int
    phash: int


def open_image(
    content: bytes, *, max_pixels: int = MAX_PIXELS, fit: int | None = None
) -> Image.Image:
    """Decode an image: first frame, upright, RGB.

    Args:
        content: The file's bytes.
        max_pixels: Larger images are refused by their header.
        fit: Shrink to at most this many pixels; JPEGs are then decoded at a reduced size.

    Returns:
        An RGB image, transparency laid on white.

    Raises:
        ImageError: If it is no image, too large, truncated or malformed.
    """
    image = _decode(content, max_pixels, fit)[0]
    return image if fit is None else fit_pixels(image, fit)


def inspect_image(content: bytes, *, max_pixels: int = MAX_PIXELS) -> ImageFacts:
    """Decode an image fully and describe it.

    Raises:
        ImageError: As `open_image`.
    """
    image, name = _decode(content, max_pixels)
    return ImageFacts(
        image_id=hashlib.sha256(content).hexdigest(),
        format=name.lower(),
        width=image.width,
        height=image.height,
        n_bytes=len(content),
        phash=perceptual_hash(image),
    )


def _decode(content: bytes, max_pixels: int, fit: int | None = None) -> tuple[Image.Image, str]:
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not content:
        raise ImageError("empty_image", "the file has no bytes")
    if len(content) > MAX_BYTES:
        raise ImageError("image_too_large", f"{len(content)} bytes, the limit is {MAX_BYTES}")
    try:
        with warnings.catch_warnings():
            # Our own limit below replaces Pillow's warning, and applies before decoding.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
            name = str(image.format)
            if image.width * image.height > max_pixels:
                detail = f"{image.width} x {image.height} pixels, the limit is {max_pixels}"
                raise ImageError("image_too_large", detail)
            if image.width < 1 or image.height < 1:
                raise ImageError("broken_image", "no pixels")
            image.seek(0)
            if name == "JPEG":
                # A hint that costs nothing: the decoder may skip the chroma upsampling it would
                # throw away again, and decode at 1/2, 1/4 or 1/8 where the result is shrunk anyway.
                image.draft("RGB", fitting_size(image.size, fit or max_pixels))
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _on_white(image), name
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError("image_too_large", str(error)) from error
    except UnidentifiedImageError as error:
        head = content[:12].hex(" ")
        raise ImageError("not_an_image", f"unknown format, first bytes {head}") from error
    except Exception as error:
        # Decoders of malformed files raise nearly anything (OSError, SyntaxError, struct.error, ...):
        # this is the one boundary that turns it into data.
        raise ImageError("broken_image", f"{type(error).__name__}: {error}") from error


def _on_white(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        background = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(background, rgba).convert("RGB")
    if image.mode in ("I;16", "I;16B", "I", "F"):
        import numpy as np

        values = np.asarray(image, dtype=np.float64)
        low, high = float(values.min()), float(values.max())
        scaled = (values - low) / (high - low or 1.0) * 255
        return Image.fromarray(scaled.astype("uint8")).convert("RGB")
    return image if type(image) is Image.Image and image.mode == "RGB" else image.convert("RGB")


def perceptual_hash(image: Image.Image) -> int:
    """64-bit DCT hash: which of the 8x8 lowest frequencies are above their median.

    The image is reduced to 32x32 grey; the constant term is left out of the median. Near in
    Hamming distance is a hint, never a proof: plain scenes collide.
    """
    import numpy as np

    # Large images are halved by averaging first, a third of the time for the same hash or nearly.
    small = image.convert("L").resize((32, 32), 1, reducing_gap=3.0)
    grey = np.asarray(small, dtype=np.float64)
    basis = _dct_basis()
    low = (basis @ grey @ basis.T)[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return int(sum(1 << i for i, bit in enumerate(bits) if bit))


@cache
def _dct_basis() -> np.ndarray:
    import numpy as np

    k, n = np.mgrid[0:32, 0:32]
    return np.asarray(np.cos(np.pi * (2 * n + 1) * k / 64))


def fit_pixels(image: Image.Image, max_pixels: int) -> Image.Image:
    """Shrink an image to at most `max_pixels`, keeping its aspect; never enlarge."""
    size = fitting_size(image.size, max_pixels)
    return image if size == image.size else image.resize(size, 1)


def fitting_size(size: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """The largest size of the same aspect with at most `max_pixels`; never larger than `size`."""
    width, height = size
    if width * height <= max_pixels:
        return size
    scale = (max_pixels / (width * height)) ** 0.5
    return max(1, int(width * scale)), max(1, int(height * scale))


def read_file(path: Path, folder: Path) -> bytes:
    """Read an image file that a row names, if it is inside the allowed folder.

    Args:
        path: The file, as the row gives it, relative to `folder` or absolute.
        folder: The only folder (with its subfolders) files may come from.

    Raises:
        ImageError: If the path leaves the folder, or the file is missing or too large.
    """
    if "\0" in str(path):
        raise ImageError("bad_path", "NUL in path")
    try:
        target = (folder / path).resolve()
        root = folder.resolve()
        if not target.is_relative_to(root):
            raise ImageError("path_outside_folder", f"{path} is not in {folder}")
        if not target.is_file():
            raise ImageError("missing_image", f"{path} is not in {folder}")
        if target.stat().st_size > MAX_BYTES:
            raise ImageError(
                "image_too_large", f"{target.stat().st_size} bytes, the limit is {MAX_BYTES}"
            )
        return target.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError("unreadable_image", str(error)) from error


def stored_bytes(image_id: str, content: bytes | None, link: str | None) -> bytes:
    """Bytes of an image as its row has them: within, or in link mode in the file.

    Raises:
        ImageError: If the linked file is gone or changed.
    """
    if content is not None:
        return content
    try:
        content = Path(link or "").read_bytes()
    except OSError as error:
        raise ImageError("missing_image", f"linked file {link}: {error}") from error
    if hashlib.sha256(content).hexdigest() != image_id:
        raise ImageError("changed_image", f"linked file {link} has changed since ingest")
    return content


class ImageReader:
    """Image bytes of a dataset by id, read a row group at a time.

    Held are some row groups and 28 bytes an image: where it lies, by the first characters of its
    id. A dictionary would take ten times that, for as long as a command looks at images.
    """

    def __init__(self, dataset: Dataset, *, cached_groups: int = 4) -> None:
        """Index the images table."""
        import numpy as np
        import pyarrow.parquet as pq

        self._files: list[Path] = []
        self._groups: OrderedDict[tuple[int, int], pa.Table] = OrderedDict()
        self._cached_groups = cached_groups
        heads, places = [np.empty(0, "S16")], [np.empty((0, 3), np.int32)]
        for manifest in dataset.runs("images"):
            for part in manifest.parts if manifest.is_complete else ():
                path = dataset.path / "images" / manifest.run / part.name
                file = pq.ParquetFile(path)
                for group in range(file.num_row_groups):
                    ids = file.read_row_group(group, ["image_id"])[0].to_pylist()
                    heads.append(np.array([_head(i) for i in ids], "S16"))
                    place = np.empty((len(ids), 3), np.int32)
                    place[:] = len(self._files), group, 0
                    place[:, 2] = np.arange(len(ids))
                    places.append(place)
                self._files.append(path)
        head, place = np.concatenate(heads), np.concatenate(places)
        # Stable: of an image that several runs have, the first one's row is read.
        order = np.argsort(head, kind="stable")
        self._heads, self._places = head[order], place[order]

    def _where(self, image_id: str) -> list[tuple[int, int, int]]:
        """File, row group and row of the images whose ids begin like this one."""
        import numpy as np

        # An array of the same width, or numpy widens the whole index first.
        head = np.array(_head(image_id), "S16")
        start = np.searchsorted(self._heads, head)
        end = np.searchsorted(self._heads, head, side="right")
        return [(int(f), int(g), int(r)) for f, g, r in self._places[start:end]]

    def __contains__(self, image_id: str) -> bool:
        """Whether the dataset has the image."""
        found = self._where(image_id)
        # Hashes that begin with the same 64 bits are the same: no row group need be read.
        return len(found) > 0 and (len(image_id) == _ID_LENGTH or self._row(image_id) is not None)

    def sort_key(self, image_id: str) -> tuple[str, int]:
        """Order in which reading is cheapest; raises KeyError for an unknown image."""
        found = self._where(image_id)
        if not found:
            raise KeyError(image_id)
        file, group, _ = found[0]
        return str(self._files[file]), group

    def read(self, image_id: str) -> bytes:
        """Bytes of one image.

        Raises:
            ImageError: If it is unknown, or in link mode its file is gone or changed.
        """
        row = self._row(image_id)
        if row is None:
            raise ImageError("missing_image", f"no image {image_id} in the dataset")
        return stored_bytes(image_id, *row)

    def read_many(self, image_ids: Iterable[str]) -> dict[str, bytes]:
        """Bytes of several images, by id."""
        return {i: self.read(i) for i in sorted(set(image_ids), key=self.sort_key)}

    def _row(self, image_id: str) -> tuple[bytes | None, str | None] | None:
        for file, group, row in self._where(image_id):
            table = self._group(file, group)
            if table["image_id"][row].as_py() == image_id:
                return table["bytes"][row].as_py(), table["path"][row].as_py()
        return None

    def _group(self, file: int, group: int) -> pa.Table:
        import pyarrow.parquet as pq

        where = (file, group)
        if where in self._groups:
            self._groups.move_to_end(where)
            return self._groups[where]
        columns = ["image_id", "bytes", "path"]
        self._groups[where] = pq.ParquetFile(self._files[file]).read_row_group(group, columns)
        while len(self._groups) > self._cached_groups:
            self._groups.popitem(last=False)
        return self._groups[where]


def _head(image_id: str) -> bytes:
    return image_id.encode(errors="replace")[:16]
