"""Samples as numbers: which texts and images each consists of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from curate.near.lists import Numbering
from curate.near.spill import Spill
from curate.near.text.fold import Packed, fold_packed, wording_keys
from curate.near.text.minhash import NGRAM, Shingles, count_words, shingle

if TYPE_CHECKING:
    import polars as pl

ROLES = {"system": 0, "user": 1, "assistant": 2}
ASSISTANT = ROLES["assistant"]
# Fields of a source that name its images.
_NAMES = ("image_names", "image", "images", "image_id", "image_path", "image_file")
# Stands for an image in texts that refer to several.
_OBJECT = " \ufffc "


@dataclass(frozen=True, slots=True)
class TextSide:
    """What is known of the texts; without wording only their shingles are compared.

    Attributes:
        shingles: Of every text.
        words: Number of words.
        said: Hash of the words but for articles and politeness.
        facts: Hash of the words that turn a statement into another.
    """

    shingles: Shingles
    words: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    said: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    facts: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint64))

    def arguments(self) -> tuple[np.ndarray, ...]:
        """As the kernels take them."""
        return (self.shingles.at, self.shingles.values, self.words, self.said, self.facts)


@dataclass(frozen=True, slots=True)
class Samples:
    """Where samples come from; read more than once, some at a time.

    Attributes:
        batches: Frames of `sample_id`, `image_ids`, `messages` and, if there is one, `meta`, always
            in the same order.
        n_anchors: So many samples in front stand already: others are compared with them, they
            themselves are not decided on.
    """

    batches: Callable[[], Iterator[pl.DataFrame]]
    n_anchors: int = 0

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Samples:
        """Samples in memory."""
        return cls(lambda: iter([frame]))

    def pick(self, rows: np.ndarray) -> pl.DataFrame:
        """Some rows, by number.

        Args:
            rows: Distinct row numbers in rising order.

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
    """Samples, their texts and images numbered.

    Attributes:
        sample_ids: Id of every sample.
        texts_at: Where each sample's turns start in `texts` and `roles`, and where the last ends.
        texts: Number of every turn's folded text.
        roles: Who speaks.
        side: What is known of the texts, by number.
        images_at: Where each sample's images start in `images`.
        images: Number of every image.
        image_ids: Image ids by number.
        length: Characters of every sample.
        n_anchors: So many samples in front are not to be decided on.
    """

    sample_ids: pl.Series
    texts_at: np.ndarray
    texts: np.ndarray
    roles: np.ndarray
    side: TextSide
    images_at: np.ndarray
    images: np.ndarray
    image_ids: pl.Series
    length: np.ndarray
    n_anchors: int = 0

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.texts_at) - 1

    @property
    def n_texts(self) -> int:
        """Number of distinct folded texts."""
        return len(self.side.words)


def read_corpus(
    samples: Samples, *, spill: Spill, ngram: int = NGRAM, words: bool = True, shingles: bool = True
) -> Corpus:
    """Number the texts and images of samples.

    Texts are known by 128-bit hashes of their folded form and not kept.

    Args:
        samples: The samples.
        spill: Where large arrays go.
        ngram: Words a shingle.
        words: Whether `said` and `facts` of texts are wanted.
        shingles: Whether shingles are wanted.
    """
    import polars as pl

    texts, images = Texts(spill, ngram, words=words, shingles=shingles), _Images()
    ids, turns_of, texts_of, roles_of, length_of, images_of, image_numbers = (
        [] for _ in range(7)
    )  # fmt: skip
    for batch in samples.batches():
        frame = batch.select("image_ids", "messages").with_row_index("row")
        turns = (
            frame.select("row", pl.col("image_ids").list.len().alias("n"), "messages")
            .explode("messages")
            .unnest("messages")
            .drop_nulls("role")
            .with_columns(pl.col("content").fill_null(""))
        )
        row = turns["row"].to_numpy()
        ids.append(batch["sample_id"])
        turns_of.append(_counts(row, batch.height))
        texts_of.append(texts.number(turns.select(plain_content().alias("plain"))["plain"]))
        roles = turns["role"].replace_strict(ROLES, default=3, return_dtype=pl.UInt8)
        roles_of.append(roles.to_numpy())
        characters = turns["content"].str.len_chars().to_numpy()
        length = np.bincount(row, weights=characters, minlength=batch.height)
        length_of.append(length.astype(np.int32))
        shown = frame.select("row", pictures(batch)).explode("image_ids").drop_nulls("image_ids")
        images_of.append(_counts(shown["row"].to_numpy(), batch.height))
        image_numbers.append(images.number(shown["image_ids"]))
    return Corpus(
        sample_ids=pl.concat(ids, rechunk=False) if ids else pl.Series(dtype=pl.String),
        texts_at=_starts(turns_of),
        texts=_joined(texts_of, np.int32),
        roles=_joined(roles_of, np.uint8),
        side=texts.finish(),
        images_at=_starts(images_of),
        images=_joined(image_numbers, np.int32),
        image_ids=images.ids(),
        length=_joined(length_of, np.int32),
        n_anchors=samples.n_anchors,
    )


class Texts:
    """Numbers texts and keeps what is to be known of each."""

    def __init__(self, spill: Spill, ngram: int, *, words: bool, shingles: bool) -> None:
        self._numbers, self._ngram = Numbering(), ngram
        self._wants_words, self._wants_shingles = words, shingles
        self._values, self._counts = spill.list(np.uint64), spill.list(np.int32)
        self._words = spill.list(np.int32)
        self._said, self._facts = spill.list(np.uint64), spill.list(np.uint64)

    def number(self, plain: pl.Series) -> np.ndarray:
        """Number of every text; those that are new are looked at."""
        folded = fold_packed(plain)
        known = len(self._numbers)
        numbers = self._numbers.number(*text_keys(folded))
        places = _first_new(numbers, known)
        if len(places):
            self._add(folded.take(places))
        return numbers

    def _add(self, folded: Packed) -> None:
        self._words.append(count_words(folded))
        if self._wants_shingles:
            found = shingle(folded, self._ngram)
            self._values.append(found.values)
            self._counts.append(np.diff(found.at))
        if self._wants_words:
            said, facts = wording_keys(folded)
            self._said.append(said)
            self._facts.append(facts)

    def finish(self) -> TextSide:
        """Everything."""
        at = np.zeros(len(self._counts) + 1, dtype=np.int64)
        np.cumsum(self._counts.finish(), out=at[1:])
        return TextSide(
            Shingles(at, self._values.finish()),
            self._words.finish(), self._said.finish(), self._facts.finish(),
        )  # fmt: skip


class _Images:
    """Numbers images."""

    def __init__(self) -> None:
        self._numbers = Numbering()
        self._ids: list[pl.Series] = []

    def number(self, ids: pl.Series) -> np.ndarray:
        """Number of every image."""
        known = len(self._numbers)
        numbers = self._numbers.number(*text_keys(Packed.of(ids)))
        places = _first_new(numbers, known)
        if len(places):
            self._ids.append(ids.gather(places))
        return numbers

    def ids(self) -> pl.Series:
        import polars as pl

        return pl.concat(self._ids) if self._ids else pl.Series(dtype=pl.String)


def _first_new(numbers: np.ndarray, known: int) -> np.ndarray:
    """Where each number from `known` on occurs first; new numbers rise in order of appearance."""
    before = np.maximum.accumulate(np.r_[known - 1, numbers[:-1]]) if len(numbers) else numbers
    return np.flatnonzero(numbers > before)


def text_keys(texts: Packed) -> tuple[np.ndarray, np.ndarray]:
    """128-bit hashes of texts, in two halves."""
    from curate.near.kernels import number as kernels

    low, high = (np.empty(len(texts), dtype=np.uint64) for _ in range(2))
    kernels.hash_texts(*texts, low, high)
    return low, high


def plain_content() -> pl.Expr:
    """Content with its image marks dropped, or kept as one character where there are several."""
    import polars as pl

    content = pl.col("content").str.replace_all("\\<image>", "\0", literal=True)
    one = content.str.replace_all("<image>", " ", literal=True)
    several = content.str.replace_all("<image>", _OBJECT, literal=True)
    marked = pl.when(pl.col("n") > 1).then(several).otherwise(one)
    return marked.str.replace_all("\0", "<image>", literal=True)


def pictures(samples: pl.DataFrame) -> pl.Series:
    """Images of samples by id; of those read without images, the ones that their source names.

    Two captions of different pictures are no doubles because the pictures were left behind.
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


def _counts(rows: np.ndarray, n: int) -> np.ndarray:
    return np.bincount(rows, minlength=n).astype(np.int32)


def _starts(counts: list[np.ndarray]) -> np.ndarray:
    lengths = _joined(counts, np.int32)
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def _joined(portions: list[np.ndarray], dtype: type) -> np.ndarray:
    out = np.concatenate(portions) if portions else np.empty(0, dtype=dtype)
    portions.clear()
    return out.astype(dtype, copy=False)
