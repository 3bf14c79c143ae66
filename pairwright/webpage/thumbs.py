"""Thumbnails of a few images out of many, as WebP within a budget of bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pairwright.commands.progress import Progress
from pairwright.errors import DataError
from pairwright.images import ImageError, open_image, stored_bytes

if TYPE_CHECKING:
    from PIL import Image

    from pairwright.dataset.store import Dataset

_SMALL: Final = 96  # images of at most so many pixels a side keep every pixel
_SHRINK: Final = 0.7
_LEAST_SIDE: Final = 48


def thumbnails(
    dataset: Dataset, image_ids: Sequence[str], *, side: int, budget: int
) -> tuple[dict[str, bytes], dict[str, str]]:
    """WebP thumbnails by image id, the first ids preferred where not all fit.

    Args:
        dataset: The dataset.
        image_ids: Wanted images, in order of preference.
        side: Longest side in pixels; smaller where the budget asks for it.
        budget: Most bytes in all.

    Returns:
        The thumbnails, and for images without one the reason in words.
    """
    wanted = list(dict.fromkeys(image_ids))
    out: dict[str, bytes] = {}
    failed: dict[str, str] = {}
    with Progress("thumbnails", len(wanted), unit="images") as progress:
        for path, group, mine in _where(dataset, wanted):
            for image_id, content, link in _read(path, group, mine):
                try:
                    image = open_image(
                        stored_bytes(image_id, content, link), fit=max(4 * side * side, 1)
                    )
                    out[image_id] = _encode(image, side)
                except ImageError as error:
                    failed[image_id] = error.reason.replace("_", " ")
                progress.advance()
    failed |= {i: "not in the dataset" for i in wanted if i not in out and i not in failed}
    return _fitted({i: out[i] for i in wanted if i in out}, side, budget, failed)


def _fitted(
    thumbs: dict[str, bytes], side: int, budget: int, failed: dict[str, str]
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Shrink all until they fit; what does not fit at the least size is left out."""
    while sum(map(len, thumbs.values())) > budget and side * _SHRINK >= _LEAST_SIDE:
        side = int(side * _SHRINK)
        thumbs = {i: _encode(open_image(content), side) for i, content in thumbs.items()}
    kept, spent = {}, 0
    for image_id, content in thumbs.items():
        spent += len(content)
        if spent <= budget:
            kept[image_id] = content
        else:
            failed[image_id] = "left out: the page is full (--max-mb)"
    return kept, failed


def _where(dataset: Dataset, wanted: list[str]) -> list[tuple[Path, int, list[str]]]:
    """Row groups that hold wanted images. Only the ids' column is read, a group at a time."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    missing = set(wanted)
    out: list[tuple[Path, int, list[str]]] = []
    for manifest in dataset.runs("images"):
        for part in manifest.parts if manifest.is_complete else ():
            path = dataset.path / manifest.kind / manifest.run / part.name
            if not missing:
                return out
            if not path.is_file():
                msg = f"{path}: listed in _table.json but not there; restore it or ingest again"
                raise DataError(msg)
            file = pq.ParquetFile(path)
            for group in range(file.num_row_groups):
                ids = file.read_row_group(group, ["image_id"])["image_id"]
                found = ids.filter(pc.is_in(ids, value_set=pa.array(sorted(missing), ids.type)))
                if len(found):
                    mine = found.to_pylist()
                    missing.difference_update(mine)
                    out.append((path, group, mine))
    return out


def _read(path: Path, group: int, mine: list[str]) -> list[tuple[str, bytes | None, str | None]]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path).read_row_group(group, ["image_id", "bytes", "path"])
    ids = table["image_id"]
    table = table.filter(pc.is_in(ids, value_set=pa.array(mine, ids.type)))
    return list(zip(*(table[c].to_pylist() for c in ("image_id", "bytes", "path")), strict=True))


def _encode(image: Image.Image, side: int) -> bytes:
    small = max(image.size) <= _SMALL
    if max(image.size) > side:
        image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=72, method=4, lossless=small)
    return buffer.getvalue()
