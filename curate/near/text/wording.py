"""The wording of folded texts: which texts with nearly equal shingles still differ in meaning.

Two texts may share most of their shingles and differ in one word that changes the meaning: a
negation, a number, a color, a side. Such texts are kept as distinct.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from curate.near.text.packed import Packed, hash64

if TYPE_CHECKING:
    import polars as pl

# Words that may differ between two questions with one meaning.
_LIGHT = "a an the this that these those please kindly"
_SYNONYMS = {
    "picture": "image", "photo": "image", "photograph": "image", "pic": "image",
    "colour": "color", "colours": "colors", "grey": "gray", "cannot": "can not",
}  # fmt: skip
# Words that change the meaning of a long statement: negation, number, color, side, quantity.
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


def wording(folded: pl.Series) -> pl.DataFrame:
    """Words and facts of folded texts.

    Returns:
        `wording`, the words without articles and politeness, and `facts`, the words among them that
        change the meaning of a statement (negations, numbers, colors, sides, ...).
    """
    import polars as pl

    light = [f" {word} " for word in _LIGHT.split()]
    find = light + [f" {word} " for word in _SYNONYMS]
    replacement = [" "] * len(light) + [f" {word} " for word in _SYNONYMS.values()]
    words = (
        pl.col("text")
        .str.replace_all(r"n't\b", " not")
        .str.replace_all(r"-(\p{N})", "\u2212$1")  # a minus sign is not punctuation
        .str.replace_all(r"[\p{P}\s]+", "  ")
    )
    without = ("  " + words + "  ").str.replace_many(find, replacement)
    return (
        folded.rename("text")
        .to_frame()
        .select(without.str.replace_all(r"\s+", " ").str.strip_chars(" ").alias("wording"))
        .with_columns(
            pl.col("wording")
            .str.extract_all(rf"\b(?:{'|'.join(_FACTS.split())})\b|[+\u2212]?\b\p{{N}}\S*")
            .list.join(" ")
            .alias("facts")
        )
    )


def hash_wording(folded: Packed) -> tuple[np.ndarray, np.ndarray]:
    """[n] hashes of the `wording` and of the `facts` of n folded texts."""
    from curate.near.kernels import wording as kernels

    words, facts = (np.empty(len(folded), dtype=np.uint64) for _ in range(2))
    plain = np.empty(len(folded), dtype=np.bool_)
    max_bytes = int((folded.stop - folded.start).max(initial=0))
    kinds, light, fact_keys, old, new_at, new = _word_tables()
    kernels.hash_wording(
        folded.data, folded.start, folded.stop, kinds, light, fact_keys, old, new_at, new,
        max_bytes, words, facts, plain,
    )  # fmt: skip
    rest = np.flatnonzero(~plain)
    if len(rest):
        found = wording(folded.take(rest).series())
        words[rest] = hash64(Packed.of(found["wording"]))
        facts[rest] = hash64(Packed.of(found["facts"]))
    return words, facts


@cache
def _word_tables() -> tuple[np.ndarray, ...]:
    """Kinds of characters and hashes of words, as arguments of the compiled loop."""
    import xxhash

    from curate.near.kernels import wording as kernels

    kinds = np.full(256, kernels.OTHER, dtype=np.uint8)
    for code in range(128):
        character = chr(code)
        if character in " \t\n\x0b\x0c\r" or unicodedata.category(character).startswith("P"):
            kinds[code] = kernels.SEPARATOR
        elif character.isdigit():
            kinds[code] = kernels.DIGIT
        elif character.isalpha():
            kinds[code] = kernels.LETTER

    def hashes(words: Iterable[str]) -> np.ndarray:
        return np.array([xxhash.xxh3_64_intdigest(word.encode()) for word in words], np.uint64)

    old = hashes(_SYNONYMS)
    order = np.argsort(old)
    new = [list(_SYNONYMS.values())[position].encode() for position in order]
    new_at = np.r_[0, np.cumsum([len(word) for word in new])].astype(np.int64)
    return (
        kinds, np.sort(hashes(_LIGHT.split())), np.sort(hashes(_FACTS.split())), old[order],
        new_at, np.frombuffer(b"".join(new), np.uint8),
    )  # fmt: skip
