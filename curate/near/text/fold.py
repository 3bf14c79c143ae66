"""Folding: what does not change the meaning of a text is removed before texts are compared."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from curate.near.text.packed import Packed

if TYPE_CHECKING:
    import polars as pl

# Scripts written without spaces: each character counts as a word.
_UNSPACED = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*)"
_INVISIBLE = r"[\u{AD}\u{200B}\u{2060}\u{FEFF}]"
_TYPOGRAPHIC = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014", "-"),
}
_BEFORE = " \"'\u00ab(["
_AFTER = " .,;:!?\"'\u00bb\u2026\u3002\uff01\uff1f\uff0c)]"
_ASCII_AFTER = "".join(c for c in _AFTER if c.isascii()).encode()
_ASCII_BEFORE = "".join(c for c in _BEFORE if c.isascii()).encode()


def fold(texts: pl.Series) -> pl.Series:
    """Fold texts: `Red.` and `red` become equal.

    Applied are Unicode NFC, full case folding, plain ASCII for typographic quotes and dashes, and
    single spaces for white space. Invisible characters are removed, and punctuation and quotes at
    both ends unless nothing would remain. Characters of scripts that use no spaces are separated by
    spaces, so that each counts as a word.
    """
    return fold_packed(texts).series().rename(texts.name)


def fold_packed(texts: pl.Series) -> Packed:
    """`fold`, packed. A compiled loop folds ASCII texts, which are the most common."""
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
    """`fold` for any text; slower than the loop for ASCII."""
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
    """Replacements: case folding beyond ASCII, typographic quotes and dashes."""
    folds = {
        chr(code): chr(code).casefold()
        for code in range(128, sys.maxunicode + 1)
        if not 0xD800 <= code <= 0xDFFF and chr(code).casefold() != chr(code)
    }
    return folds | _TYPOGRAPHIC
