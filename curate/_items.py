"""Samples as numbers: which texts and images each consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate._text import fold

if TYPE_CHECKING:
    import polars as pl

ROLES = {"system": 0, "user": 1, "assistant": 2}
ASSISTANT = ROLES["assistant"]
# Stands for an image in texts that refer to several.
_OBJECT = " \ufffc "


@dataclass(frozen=True, slots=True)
class Corpus:
    """Samples, their texts and images numbered.

    Attributes:
        texts_at: Where each sample's turns start in `texts` and `roles`, and where the last ends.
        texts: Number of every turn's folded text.
        roles: Who speaks.
        unique: The folded texts by number.
        images_at: Where each sample's images start in `images`.
        images: Number of every image.
        image_ids: Image ids by number.
        length: Characters of every sample.
    """

    texts_at: np.ndarray
    texts: np.ndarray
    roles: np.ndarray
    unique: pl.Series
    images_at: np.ndarray
    images: np.ndarray
    image_ids: pl.Series
    length: np.ndarray

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.texts_at) - 1


def read_corpus(samples: pl.DataFrame) -> Corpus:
    """Number the texts and images of samples.

    Args:
        samples: `image_ids` and `messages`, as in the samples table.
    """
    import polars as pl

    frame = samples.select("image_ids", "messages").with_row_index("row")
    turns = (
        frame.select("row", pl.col("image_ids").list.len().alias("n"), "messages")
        .explode("messages")
        .unnest("messages")
        .drop_nulls("role")
        .with_columns(pl.col("content").fill_null(""))
    )
    turns = turns.with_columns(_plain().alias("plain"))
    plain = turns.select(pl.col("plain").unique(maintain_order=True))
    plain = plain.with_columns(folded=fold(plain["plain"]))
    unique = plain.select(pl.col("folded").unique(maintain_order=True))
    numbers = plain.join(unique.with_row_index("text"), on="folded", how="left")
    turns = turns.join(numbers, on="plain", how="left", maintain_order="left")
    images = frame.select("row", "image_ids").explode("image_ids").drop_nulls("image_ids")
    ids = images.select(pl.col("image_ids").unique(maintain_order=True))
    images = images.join(
        ids.with_row_index("image"), on="image_ids", how="left", maintain_order="left"
    )
    n = samples.height
    length = turns.group_by("row").agg(pl.col("content").str.len_chars().sum().alias("length"))
    return Corpus(
        texts_at=_starts(turns["row"].to_numpy(), n),
        texts=turns["text"].to_numpy().astype(np.int32),
        roles=turns["role"].replace_strict(ROLES, default=3, return_dtype=pl.UInt8).to_numpy(),
        unique=unique["folded"],
        images_at=_starts(images["row"].to_numpy(), n),
        images=images["image"].to_numpy().astype(np.int32),
        image_ids=ids["image_ids"],
        length=frame.select("row").join(length, on="row", how="left", maintain_order="left")[
            "length"
        ].fill_null(0).to_numpy(),
    )  # fmt: skip


def _plain() -> pl.Expr:
    """Content with its image marks dropped, or kept as one character where there are several."""
    import polars as pl

    content = pl.col("content").str.replace_all("\\<image>", "\0", literal=True)
    one = content.str.replace_all("<image>", " ", literal=True)
    several = content.str.replace_all("<image>", _OBJECT, literal=True)
    marked = pl.when(pl.col("n") > 1).then(several).otherwise(one)
    return marked.str.replace_all("\0", "<image>", literal=True)


def _starts(rows: np.ndarray, n: int) -> np.ndarray:
    starts = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=n), out=starts[1:])
    return starts


def take_lists(at: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts of the lists of some rows, and the places of their elements.

    Args:
        at: Where each list starts, and where the last ends.
        rows: Rows whose lists are wanted, in this order.
    """
    lengths = np.diff(at)[rows]
    starts = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    places = np.arange(starts[-1], dtype=np.int64) + np.repeat(at[rows] - starts[:-1], lengths)
    return starts, places


def hash_lists(at: np.ndarray, values: np.ndarray, seed: int) -> np.ndarray:
    """64-bit hash of every list, order and length included."""
    from curate import _kernels_image as kernels

    out = np.empty(len(at) - 1, dtype=np.uint64)
    kernels.hash_lists(at, values.astype(np.int64), np.uint64(seed), out)
    return out
