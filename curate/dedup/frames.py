"""Near-duplicates of a plain frame: texts and images that are similar, without the word check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.dedup.decide import find_duplicates
from curate.dedup.options import DedupOptions
from curate.near.images.matching import ImageSource
from pairwright.commands.progress import Progress
from pairwright.dataset.ids import content_hash
from pairwright.errors import UsageError
from pairwright.frames import ImageColumn, column
from pairwright.images import ImageError, inspect_image
from pairwright.text.conversation import IMAGE

if TYPE_CHECKING:
    import polars as pl


def near_duplicates(
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    text: str | None = None,
    image: str | None = None,
    threshold: float = 0.7,
) -> pl.DataFrame:
    """Rows of a frame that repeat an earlier row; see `pairwright.near_duplicates`.

    Args:
        frame: The rows.
        text: Column of texts.
        image: Column of images.
        threshold: Min similarity of texts that match.

    Raises:
        UsageError: If no column is named, or one is missing or of another type.
        ImageError: If an image file cannot be read.
    """
    import polars as pl

    if text is None and image is None:
        msg = "name a column to compare: text=, image= or both"
        raise UsageError(msg)
    options = DedupOptions(
        on="sample" if text and image else "text" if text else "image",
        threshold=threshold, keep="order", word_check=False,
    )  # fmt: skip
    texts = None if text is None else column(frame, text, "text")
    images = None if image is None else ImageColumn(column(frame, image, "image"))
    source, ids = (None, None) if images is None else _read(images)
    if texts is not None:
        rows = (texts.str.strip_chars() != "").fill_null(value=False).arg_true()
    else:
        assert ids is not None
        rows = (ids.list.len() > 0).arg_true()
    found = find_duplicates(_samples(rows, texts, ids), options=options, images=source)
    reasons = pl.concat(found.reason_frames()).filter(~pl.col("kept"))
    return reasons.select(
        pl.Series("row", rows.gather(reasons["row"]), pl.Int64),
        pl.Series("kept_row", rows.gather(reasons["kept_row"]), pl.Int64),
        pl.col("similarity").cast(pl.Float64),
        "method",
    )


def _read(images: ImageColumn) -> tuple[ImageSource, pl.Series]:
    """Access to the images, and the image ids (hashes of the bytes) of each row."""
    import polars as pl

    facts: dict[str, tuple[int | None, int | None, int | None]] = {}
    positions: dict[str, tuple[int, int]] = {}
    ids: list[list[str]] = []
    with Progress("reading images", len(images), unit="rows") as progress:
        for row, n in enumerate(images.counts()):
            ids.append([])
            for k in range(n):
                content = images.read(row, k)
                image_id = content_hash(content)
                ids[-1].append(image_id)
                if image_id not in facts:
                    positions[image_id] = (row, k)
                    facts[image_id] = _facts(content)
            progress.advance()
    schema = {"image_id": pl.String, "width": pl.Int32, "height": pl.Int32, "phash": pl.UInt64}
    rows = [(image_id, *fact) for image_id, fact in facts.items()]
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    found = ImageSource(frame, lambda image_id: images.read(*positions[image_id]))
    return found, pl.Series(ids, dtype=pl.List(pl.String))


def _facts(content: bytes) -> tuple[int | None, int | None, int | None]:
    """Width, height and perceptual hash of an image; None if it cannot be decoded."""
    try:
        image = inspect_image(content)
    except ImageError:  # the id still matches equal bytes
        return None, None, None
    return image.width, image.height, image.phash


def _samples(rows: pl.Series, texts: pl.Series | None, ids: pl.Series | None) -> pl.DataFrame:
    """Some rows as samples: a text as a conversation of one turn."""
    import polars as pl

    message = pl.Struct({"role": pl.String, "content": pl.String})
    turns = pl.lit([], pl.List(message))
    if texts is not None:
        content = texts.gather(rows).str.replace_all(IMAGE, "\\" + IMAGE, literal=True)
        turns = pl.concat_list(pl.struct(role=pl.lit("user"), content=pl.lit(content)))
    return pl.DataFrame({"row": rows}).select(
        pl.col("row").cast(pl.String).alias("sample_id"),
        image_ids=pl.lit([], pl.List(pl.String)) if ids is None else ids.gather(rows),
        messages=turns,
    )
