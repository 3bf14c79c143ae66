"""Texts as dedup compares them: folded, and what they say in single words."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import polars as pl

# Scripts written without spaces: every character counts as a word.
_UNSPACED = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*)"
_INVISIBLE = r"[\u{AD}\u{200B}\u{2060}\u{FEFF}]"
_TYPOGRAPHIC = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014", "-"),
}
_BEFORE = " \"'\u00ab(["
_AFTER = " .,;:!?\"'\u00bb\u2026\u3002\uff01\uff1f\uff0c)]"
_ASCII_AFTER = "".join(sign for sign in _AFTER if sign.isascii()).encode()
_ASCII_BEFORE = "".join(sign for sign in _BEFORE if sign.isascii()).encode()

# Words that may differ between two questions that ask the same.
_LIGHT = "a an the this that these those please kindly"
_SYNONYMS = {
    "picture": "image", "photo": "image", "photograph": "image", "pic": "image",
    "colour": "color", "colours": "colors", "grey": "gray", "cannot": "can not",
}  # fmt: skip
# Words that turn a long statement into another one: denial, number, colour, side, quantity.
_FACTS = (
    "not no never none neither nor without nothing nobody nowhere yes true false correct incorrect "
    "zero one two three four five six seven eight nine ten eleven twelve dozen hundred thousand "
    "million first second third fourth fifth half double single both "
    "red orange yellow green blue purple pink brown black white gray teal cyan magenta violet "
    "gold golden silver beige navy turquoise maroon "
    "left right top bottom upper lower above below under over front back behind inside outside "
    "north south east west all every most few many more less fewer several only "
    "man men woman women boy boys girl girls male female he she his her "
    "open closed big small large little tall short long old young day night before after"
)


class Packed(NamedTuple):
    """Texts as slices of one array of UTF-8 bytes.

    Attributes:
        data: The bytes.
        start: Where each text begins.
        stop: Where each ends.
    """

    data: np.ndarray
    start: np.ndarray
    stop: np.ndarray

    @classmethod
    def of(cls, texts: pl.Series) -> Packed:
        """Texts of a column without nulls."""
        import pyarrow as pa

        array = texts.to_arrow().cast(pa.large_string())
        assert not array.null_count
        _, offsets, data = array.buffers()
        ends = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
        content = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
        return cls(content, ends[:-1], ends[1:])

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.start)

    def take(self, places: np.ndarray) -> Packed:
        """Some of the texts."""
        return Packed(self.data, self.start[places], self.stop[places])

    def series(self) -> pl.Series:
        """As a column."""
        import polars as pl
        import pyarrow as pa

        from curate.near.kernels import text as kernels

        ends = np.zeros(len(self.start) + 1, dtype=np.int64)
        np.cumsum(self.stop - self.start, out=ends[1:])
        data = np.empty(int(ends[-1]), dtype=np.uint8)
        kernels.gather_bytes(*self, ends, data)
        buffers = pa.py_buffer(ends), pa.py_buffer(data)
        return pl.Series("text", pa.LargeStringArray.from_buffers(len(ends) - 1, *buffers))


def fold(texts: pl.Series) -> pl.Series:
    """Texts without what does not change their meaning.

    Unicode NFC, full case folding, typographic quotes and dashes made plain, invisible characters
    dropped, white space folded to single spaces, and punctuation and quotes dropped at both ends
    ("Red." and "red" are one answer) unless nothing would be left. Characters of scripts that use
    no spaces are set apart, so that they count as words.
    """
    return fold_packed(texts).series().rename(texts.name)


def fold_packed(texts: pl.Series) -> Packed:
    """`fold`, packed. Plain ASCII, which most texts are, is folded by a compiled loop."""
    from curate.near.kernels import text as kernels

    data, start, stop = Packed.of(texts)
    before, after = (np.frombuffer(one, np.uint8) for one in (_ASCII_BEFORE, _ASCII_AFTER))
    out, low, high = np.empty_like(data), np.empty_like(start), np.empty_like(stop)
    plain = np.empty(len(start), dtype=np.bool_)
    kernels.lower(data, out)
    kernels.fold_ascii(data, start, stop, before, after, out, low, high, plain)
    if plain.all():
        return Packed(out, low, high)
    rest = np.flatnonzero(~plain)
    others = Packed.of(fold_unicode(texts.gather(rest)))
    low[rest], high[rest] = others.start + len(out), others.stop + len(out)
    return Packed(np.concatenate([out, others.data]), low, high)


def fold_unicode(texts: pl.Series) -> pl.Series:
    """`fold` for any text; slower than that for plain ASCII."""
    import polars as pl

    text = pl.col("text")
    table = _case_table()
    folded = text.str.normalize("NFC").str.replace_many(list(table), list(table.values()))
    plain = (
        folded.str.to_lowercase()
        .str.replace_all("\u03c2", "\u03c3", literal=True)  # final sigma
        .str.normalize("NFC")
        .str.replace_all(_INVISIBLE, "")
        .str.replace_all(_UNSPACED, " $1 ")
        .str.replace_all(r"\s+", " ")
        .str.strip_chars(" ")
    )
    bare = text.str.strip_chars_start(_BEFORE).str.strip_chars_end(_AFTER)
    return (
        texts.rename("text")
        .to_frame()
        .with_columns(plain)
        .select(pl.when(bare == "").then(text).otherwise(bare).alias(texts.name))
        .to_series()
    )


@cache
def _case_table() -> dict[str, str]:
    """Characters beyond ASCII whose full case folding differs from them, and quotes and dashes."""
    folds = {
        chr(code): chr(code).casefold()
        for code in range(128, sys.maxunicode + 1)
        if not 0xD800 <= code <= 0xDFFF and chr(code).casefold() != chr(code)
    }
    return folds | _TYPOGRAPHIC


def wording(folded: pl.Series) -> pl.DataFrame:
    """What folded texts say, for telling apart texts that share most of their word triples.

    Returns:
        `said`, the sequence of words without articles and politeness, and `facts`, the sequence of
        words that turn a statement into another (denials, numbers, colours, sides, ...).
    """
    import polars as pl

    light = [f" {word} " for word in _LIGHT.split()]
    find = light + [f" {word} " for word in _SYNONYMS]
    replacement = [" "] * len(light) + [f" {word} " for word in _SYNONYMS.values()]
    words = (
        pl.col("text")
        .str.replace_all(r"n't\b", " not")
        .str.replace_all(r"-(\p{N})", "\u2212$1")  # a minus sign is no punctuation
        .str.replace_all(r"[\p{P}\s]+", "  ")
    )
    said = ("  " + words + "  ").str.replace_many(find, replacement)
    return (
        folded.rename("text")
        .to_frame()
        .select(said.str.replace_all(r"\s+", " ").str.strip_chars(" ").alias("said"))
        .with_columns(
            pl.col("said")
            .str.extract_all(rf"\b(?:{'|'.join(_FACTS.split())})\b|[+\u2212]?\b\p{{N}}\S*")
            .list.join(" ")
            .alias("facts")
        )
    )


def wording_keys(folded: Packed) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the `said` and `facts` of `wording`."""
    from curate.near.kernels import words as kernels

    said, facts = (np.empty(len(folded), dtype=np.uint64) for _ in range(2))
    plain = np.empty(len(folded), dtype=np.bool_)
    most = int((folded.stop - folded.start).max(initial=0))
    kinds, light, fact_keys, old, new_at, new = _word_tables()
    kernels.say(
        folded.data, folded.start, folded.stop, kinds, light, fact_keys, old, new_at, new, most,
        said, facts, plain,
    )  # fmt: skip
    rest = np.flatnonzero(~plain)
    if len(rest):
        spoken = wording(folded.take(rest).series())
        said[rest] = hash_packed(Packed.of(spoken["said"]))
        facts[rest] = hash_packed(Packed.of(spoken["facts"]))
    return said, facts


def hash_packed(texts: Packed) -> np.ndarray:
    """XXH3 of every text."""
    from curate.near.kernels import number as kernels

    low, high = (np.empty(len(texts), dtype=np.uint64) for _ in range(2))
    kernels.hash_texts(*texts, low, high)
    return low


@cache
def _word_tables() -> tuple[np.ndarray, ...]:
    """Kinds of characters and hashes of words, as the compiled loop wants them."""
    import xxhash

    from curate.near.kernels import words as kernels

    kinds = np.full(256, kernels.SIGN, dtype=np.uint8)
    for code in range(128):
        sign = chr(code)
        if sign in " \t\n\x0b\x0c\r" or unicodedata.category(sign).startswith("P"):
            kinds[code] = kernels.MARK
        elif sign.isdigit():
            kinds[code] = kernels.DIGIT
        elif sign.isalpha():
            kinds[code] = kernels.LETTER

    def hashes(words: Iterable[str]) -> np.ndarray:
        return np.array([xxhash.xxh3_64_intdigest(word.encode()) for word in words], np.uint64)

    old = hashes(_SYNONYMS)
    order = np.argsort(old)
    new = [list(_SYNONYMS.values())[place].encode() for place in order]
    new_at = np.r_[0, np.cumsum([len(word) for word in new])].astype(np.int64)
    return (
        kinds, np.sort(hashes(_LIGHT.split())), np.sort(hashes(_FACTS.split())), old[order],
        new_at, np.frombuffer(b"".join(new), np.uint8),
    )  # fmt: skip
