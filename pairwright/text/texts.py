"""How texts are compared and counted, the same on columns and on strings."""

from __future__ import annotations

import unicodedata
from typing import Final

import polars as pl

_UNSPACED: Final = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD: Final = rf"[{_UNSPACED}]|[\w--[{_UNSPACED}]]+"
_CLOSING: Final = " .!\u3002"


def normalised(column: str) -> pl.Expr:
    """A text as it is compared: case, white space and final punctuation do not count."""
    lower = pl.col(column).str.normalize("NFC").str.to_lowercase()
    return lower.str.replace_all(r"\s+", " ").str.strip_chars(_CLOSING)


def folded(text: str) -> str:
    """A text as `normalised` makes it."""
    return " ".join(unicodedata.normalize("NFC", text).lower().split()).strip(_CLOSING)


def n_words(column: str) -> pl.Expr:
    """Number of words; a character of a script without spaces is one."""
    return pl.col(column).str.count_matches(_WORD).cast(pl.Int64)
