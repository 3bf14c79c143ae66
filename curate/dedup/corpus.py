"""The samples of a dedup as numbers: which texts and which images each consists of.

Samples are read in batches. Texts are known by hashes, so memory grows by some 200 bytes per row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate.near.lists import Numbering, offsets
from curate.near.spill import Spill
from curate.near.text.features import TextFeatures, TextNumbering
from curate.near.text.minhash import NGRAM
from curate.near.text.packed import Packed, hash128

if TYPE_CHECKING:
    import polars as pl

ROLES = {"system": 0, "user": 1, "assistant": 2}
ASSISTANT = ROLES["assistant"]
_OTHER_ROLE = 3
# Fields of a source that name its images.
_NAMES = ("image_names", "image", "images", "image_id", "image_path", "image_file")
# Replaces the image placeholder in texts with several images.
_OBJECT = " \ufffc "


@dataclass(frozen=True, slots=True)
class SampleSource:
    """Samples that are read more than once, in batches.

    Attributes:
        batches: Yields frames of `sample_id`, `image_ids`, `messages` and maybe `meta`, always in
            the same order.
        n_existing: The first `n_existing` samples are kept already: other samples are compared with
            them, but they themselves are not decided.
    """

    batches: Callable[[], Iterator[pl.DataFrame]]
    n_existing: int = 0

    @classmethod
    def of(cls, frame: pl.DataFrame) -> SampleSource:
        """Samples in memory."""
        return cls(lambda: iter([frame]))

    def pick(self, rows: np.ndarray) -> pl.DataFrame:
        """Read some rows.

        Args:
            rows: Distinct row numbers in ascending order.

        Returns:
            `row`, `sample_id`, `image_ids`, `messages`.
        """
        import polars as pl

        found, start = [], 0
        for batch in self.batches() if len(rows) else ():
            low, high = np.searchsorted(rows, [start, start + batch.height])
            some = rows[low:high]
            if len(some):
                chosen = batch.select("sample_id", "image_ids", "messages")[some - start]
                found.append(chosen.insert_column(0, pl.Series("row", some)))
            start += batch.height
            if high == len(rows):
                break
        return pl.concat(found) if found else pl.DataFrame(schema={"row": pl.Int64, **_schema()})


def _schema() -> dict[str, pl.DataType]:
    import polars as pl

    message = pl.Struct({"role": pl.String, "content": pl.String})
    return {
        "sample_id": pl.String(), "image_ids": pl.List(pl.String), "messages": pl.List(message)
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Corpus:
    """n samples with their texts and images as numbers.

    The turns of sample i are `texts[texts_at[i] : texts_at[i + 1]]`, its images
    `images[images_at[i] : images_at[i + 1]]`.

    Attributes:
        sample_ids: [n] id of each sample.
        texts_at: [n + 1] offsets of the turns.
        texts: For each turn, the number of its folded text.
        roles: For each turn, who speaks (`ROLES`).
        features: Features of the distinct texts, by number.
        images_at: [n + 1] offsets of the images.
        images: Numbers of images.
        image_ids: Image ids by number.
        length: [n] number of characters.
        n_existing: See `SampleSource`.
    """

    sample_ids: pl.Series
    texts_at: np.ndarray
    texts: np.ndarray
    roles: np.ndarray
    features: TextFeatures
    images_at: np.ndarray
    images: np.ndarray
    image_ids: pl.Series
    length: np.ndarray
    n_existing: int = 0

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.texts_at) - 1

    @property
    def n_texts(self) -> int:
        """Number of distinct folded texts."""
        return len(self.features.n_words)


def read_corpus(
    samples: SampleSource,
    *,
    spill: Spill,
    wording: bool = True,
    shingles: bool = True,
) -> Corpus:
    """Number the texts and images of samples.

    Args:
        samples: The samples.
        spill: Where large arrays are stored.
        wording: Whether to compute the wording and facts of texts.
        shingles: Whether to compute the shingles of texts.
    """
    import polars as pl

    texts = TextNumbering(spill, NGRAM, wording=wording, shingles=shingles)
    images = _ImageNumbering()
    ids: list[pl.Series] = []
    n_turns, text_numbers, roles, lengths, n_images, image_numbers = (
        _Column(dtype) for dtype in (np.int32, np.int32, np.uint8, np.int32, np.int32, np.int32)
    )
    for batch in samples.batches():
        ids.append(batch["sample_id"])
        turns = _turns(batch)
        row = turns["row"].to_numpy()
        n_turns.add(np.bincount(row, minlength=batch.height))
        text_numbers.add(texts.number(turns.select(_plain_content().alias("plain"))["plain"]))
        named = turns["role"].replace_strict(ROLES, default=_OTHER_ROLE, return_dtype=pl.UInt8)
        roles.add(named.to_numpy())
        characters = turns["content"].str.len_chars().to_numpy()
        lengths.add(np.bincount(row, weights=characters, minlength=batch.height))
        shown = images_of(batch).alias("image_id").to_frame().with_row_index("row")
        shown = shown.explode("image_id").drop_nulls("image_id")
        n_images.add(np.bincount(shown["row"].to_numpy(), minlength=batch.height))
        image_numbers.add(images.number(shown["image_id"]))
    return Corpus(
        sample_ids=pl.concat(ids, rechunk=False) if ids else pl.Series(dtype=pl.String),
        texts_at=offsets(n_turns.joined()),
        texts=text_numbers.joined(),
        roles=roles.joined(),
        features=texts.finish(),
        images_at=offsets(n_images.joined()),
        images=image_numbers.joined(),
        image_ids=images.ids(),
        length=lengths.joined(),
        n_existing=samples.n_existing,
    )


class _Column:
    """An array that arrives in batches."""

    def __init__(self, dtype: type) -> None:
        self._dtype = dtype
        self._batches: list[np.ndarray] = []

    def add(self, batch: np.ndarray) -> None:
        self._batches.append(batch.astype(self._dtype, copy=False))

    def joined(self) -> np.ndarray:
        """All batches as one array; the batches are released."""
        batches, self._batches = self._batches, []
        return np.concatenate(batches) if batches else np.empty(0, dtype=self._dtype)


class _ImageNumbering:
    """Numbers image ids in order of first appearance."""

    def __init__(self) -> None:
        self._numbers = Numbering()
        self._ids: list[pl.Series] = []

    def number(self, ids: pl.Series) -> np.ndarray:
        """[n] numbers of n image ids."""
        numbers, new = self._numbers.number_and_new(*hash128(Packed.of(ids)))
        if len(new):
            self._ids.append(ids.gather(new))
        return numbers

    def ids(self) -> pl.Series:
        """The ids by number."""
        import polars as pl

        return pl.concat(self._ids) if self._ids else pl.Series(dtype=pl.String)


def _turns(batch: pl.DataFrame) -> pl.DataFrame:
    """`row`, `n` (images of the sample), `role`, `content`: one line per turn."""
    import polars as pl

    frame = batch.select("image_ids", "messages").with_row_index("row")
    return (
        frame.select("row", pl.col("image_ids").list.len().alias("n"), "messages")
        .explode("messages")
        .unnest("messages")
        .drop_nulls("role")
        .with_columns(pl.col("content").fill_null(""))
    )


def _plain_content() -> pl.Expr:
    """Content without image placeholders; with several images a character replaces each."""
    import polars as pl

    content = pl.col("content").str.replace_all("\\<image>", "\0", literal=True)
    one = content.str.replace_all("<image>", " ", literal=True)
    several = content.str.replace_all("<image>", _OBJECT, literal=True)
    replaced = pl.when(pl.col("n") > 1).then(several).otherwise(one)
    return replaced.str.replace_all("\0", "<image>", literal=True)


def images_of(samples: pl.DataFrame) -> pl.Series:
    """Image ids of samples; for samples read without images, the names that the source gives.

    So two equal captions of different images do not become duplicates when the images are not
    ingested.
    """
    import polars as pl

    ids = samples["image_ids"]
    if "meta" not in samples.columns:
        return ids
    meta = samples.select(pl.when(ids.list.len() == 0).then("meta"))["meta"]
    some = meta.str.contains('"image', literal=True).fill_null(value=False).arg_true()
    if not len(some):
        return ids
    named = (
        meta.gather(some)
        .to_frame()
        .select(
            pl.coalesce(pl.col("meta").str.json_path_match(f"$.{key}") for key in _NAMES).alias(
                "name"
            )
        )
    )
    found = named.select(
        pl.when(pl.col("name").is_null()).then(pl.lit([], dtype=pl.List(pl.String)))
        .otherwise(pl.concat_list("named:" + pl.col("name")))
    ).to_series()  # fmt: skip
    other = pl.DataFrame({"row": some, "named": found})
    frame = ids.to_frame("image_ids").with_row_index("row")
    joined = frame.join(other, on="row", how="left", maintain_order="left")
    return joined.select(pl.coalesce("named", "image_ids").alias("image_ids")).to_series()
