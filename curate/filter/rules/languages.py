"""Filter of languages: py3langid on what is left of a text without names, quotes and numbers.

A short text is not guessed. On the real sets that this was tried on, names were the commonest
cause of a wrong guess (an English list of Italian films), short questions the second.
"""

# ruff: noqa: RUF001 (quotes, stops and dashes of print and of other scripts are meant)

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.filter.found import Found, Rows
from curate.filter.options import FilterOptions
from pairwright.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    import polars as pl

# Signs of a text that are looked at; more do not change the guess.
_LOOK = 160
# Signs of scripts without spaces say more than letters do.
_DENSE = 3
# Languages that a guess may mix up and that one who asks for either means.
_SAME = (
    {"no", "nb", "nn", "da"}, {"hr", "bs", "sr"}, {"ms", "id"}, {"cs", "sk"}, {"zh", "ja"},
    {"hi", "mr", "ne"}, {"gl", "pt"}, {"af", "nl"},
)  # fmt: skip


def language(rows: Rows, options: FilterOptions) -> Found:
    """Rows whose questions or answers are surely in another language.

    Raises:
        Error: If the library is missing, or a language is not known.
    """
    import polars as pl

    wanted = _wanted(options.languages)
    texts = (
        rows.turns.filter(pl.col("role").is_in(["user", "assistant"]))
        .group_by("row", "role", maintain_order=True)
        .agg(pl.col("text").str.slice(0, 4 * _LOOK).str.join("\n"))
        .with_columns(_bare(pl.col("text")).alias("bare"))
    )
    letters = pl.col("bare").str.count_matches(r"\p{L}") + (_DENSE - 1) * pl.col(
        "bare"
    ).str.count_matches(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]")
    texts = texts.filter(letters >= options.language_letters)
    distinct = texts["bare"].unique(maintain_order=True)
    guesses = pl.DataFrame(
        _guess(distinct.to_list()), schema={"guess": pl.String, "sure": pl.Float64}, orient="row"
    ).with_columns(bare=distinct)
    texts = texts.join(guesses, on="bare", how="left", maintain_order="left").with_columns(
        pl.when(pl.col("guess").is_in(list(wanted))).then(0.0).otherwise("sure").alias("other")
    )
    values = rows.spread(texts, "other", "max")
    removes = np.asarray(
        (values >= options.min_confidence).fill_null(value=False).to_numpy(), dtype=bool
    )
    found = Found(
        "language", f"surely in another language than {', '.join(options.languages)} "
        f"({options.min_confidence:g})",
        values, removes, cut=options.min_confidence, unit="probability of another language",
    )  # fmt: skip
    over = texts.filter(pl.col("other") > 0).sort("other", descending=True)
    for row, guess, text in over.select("row", "guess", "text").iter_rows():
        found.detail.setdefault(row, guess)
        found.where.setdefault(row, f"{guess}: {text}")
    return found


def _bare(text: pl.Expr) -> pl.Expr:
    """A text without code, addresses, quotes, capitalised words and numbers."""
    return (
        text.str.replace_all(r"(?s)```.*?(?:```|$)|`[^`\n]*`|\S+://\S+|\S+@\S+", " ")
        .str.replace_all(r"\"[^\"\n]*\"|“[^”\n]*”|«[^»\n]*»|‘[^’\n]*’|「[^」\n]*」", " ")
        .str.replace_all(r"\b\p{Lu}[\p{L}\p{M}]*(?:['’-][\p{L}\p{M}]+)*|\S*\d\S*", " ")
        .str.replace_all(r"[^\p{L}\p{M}'’]+", " ")
        .str.strip_chars()
        .str.slice(0, _LOOK)
    )


def _guess(texts: list[str]) -> list[tuple[str, float]]:
    identifier = _identifier()
    out = []
    for text in texts:
        name, sure = identifier.classify(text)
        out.append((str(name), float(sure)))
    return out


@cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise MissingExtraError("py3langid", "filters") from error
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _wanted(languages: tuple[str, ...]) -> set[str]:
    known = {str(name) for name in _identifier().labels}
    wanted: set[str] = set()
    for name in languages:
        if name not in known:
            msg = f"--language {name}: not a known code; there are: {', '.join(sorted(known))}"
            raise UsageError(msg)
        wanted |= {name}.union(*(group for group in _SAME if name in group))
    return wanted
