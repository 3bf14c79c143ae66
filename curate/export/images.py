"""Images of an export: read by id, named by content, counted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pairwright.dataset.store import Dataset
from pairwright.images import ImageReader

if TYPE_CHECKING:
    import polars as pl

_ENDINGS: Final = {"jpeg": "jpg", "mpo": "jpg", "tiff": "tif"}


class ExportImages:
    """Bytes and names of a dataset's images, and which of them were used."""

    def __init__(self, dataset: Dataset) -> None:
        """Index the images; one entry an image, no bytes."""
        self._dataset = dataset
        self._reader = ImageReader(dataset)
        self._formats = dict(
            dataset.union("images").select("image_id", "format").collect().iter_rows()
        )
        self._splits: dict[str, str] = {}
        self._earlier: set[str] = set()
        self._shared: set[str] = set()
        self.n_bytes = 0

    def start_part(self) -> None:
        """Begin another configuration: it has splits of its own, its images are counted together."""
        self._earlier |= self._splits.keys()
        self._splits = {}

    def read(self, image_id: str) -> bytes:
        """Bytes of an image.

        Raises:
            ImageError: If it cannot be read.
        """
        return self._reader.read(image_id)

    def name(self, image_id: str) -> str:
        """A file name: the hash of the content and the ending that its format has."""
        kind = self._formats.get(image_id, "bin")
        return f"{image_id}.{_ENDINGS.get(kind, kind)}"

    def value(self, image_id: str, content: bytes) -> dict[str, Any]:
        """An image as `datasets` stores it."""
        return {"bytes": content, "path": self.name(image_id)}

    def use(self, image_id: str, content: bytes, split: str) -> None:
        """Count an image that was written."""
        first = self._splits.get(image_id)
        if first is None:
            self._splits[image_id] = split
            self.n_bytes += 0 if image_id in self._earlier else len(content)
        elif first != split:
            self._shared.add(image_id)

    @property
    def n_images(self) -> int:
        """Distinct images of all parts."""
        return len(self._earlier | self._splits.keys())

    @property
    def n_shared(self) -> int:
        """Images that are in more than one split."""
        return len(self._shared)

    def __len__(self) -> int:
        """Distinct images that this part used."""
        return len(self._splits)

    def numbers(self) -> list[tuple[str, str]]:
        """What a card has on the images that were used."""
        import polars as pl

        ids = self._earlier | self._splits.keys()
        if not ids:
            return []
        used = pl.LazyFrame({"image_id": sorted(ids)})
        facts = self._dataset.union("images").select("image_id", "format", "width", "height")
        frame: pl.DataFrame = facts.join(used, on="image_id", how="semi").collect()
        formats = frame["format"].value_counts(sort=True).rows()
        middle = frame.select(pl.col("width", "height").median().cast(pl.Int64)).row(0)
        return [
            ("distinct images", f"{len(ids):,}"),
            ("bytes of images", f"{self.n_bytes:,}"),
            ("formats of images", ", ".join(f"{n:,} {name}" for name, n in formats)),
            ("median width and height", f"{middle[0]} x {middle[1]} pixels"),
        ]


class ImageFolder:
    """Writes images as files, each once."""

    def __init__(self, images: ExportImages, root: Path, folder: str) -> None:
        """Prepare.

        Args:
            images: The images.
            root: Folder of the file of rows; paths are relative to it.
            folder: Folder of the images in there.
        """
        self._images, self._root, self._folder = images, root, folder
        self._written: set[str] = set()

    def write(self, image_id: str, content: bytes) -> str:
        """Write an image unless it is there; returns its path from the root."""
        path = f"{self._folder}/{self._images.name(image_id)}"
        if image_id not in self._written:
            target = self._root / path
            if not self._written:
                target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            self._written.add(image_id)
        return path
