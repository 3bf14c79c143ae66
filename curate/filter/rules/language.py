"""Texts in other languages: py3langid on a text without names, quotes and numbers.

The language of a short text is not guessed. On real sets, names were the most frequent cause of a
wrong guess (an English list of Italian titles), short questions the second.
"""

# ruff: noqa: RUF001 (quotes, stops and dashes of print and of other scripts are meant)

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from curate.filter.found import Found, at_least
from curate.filter.rows import Rows
from curate.filter.rules.base import Inputs, Reason, Rule
from curate.filter.rules.checks import check_counts, check_fractions, words_of
from pairwright.commands.options import flag_of, option
from pairwright.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

# Characters of a text that are looked at; more do not change the guess.
_LOOK = 160
# A character of a script without spaces gives more information about the language than a letter.
_DENSE = 3
# Languages that a guess may confuse; one of a group includes all of it.
_SAME = (
    {"no", "nb", "nn", "da"}, {"hr", "bs", "sr"}, {"ms", "id"}, {"cs", "sk"}, {"zh", "ja"},
    {"hi", "mr", "ne"}, {"gl", "pt"}, {"af", "nl"},
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageOptions:
    """The languages that are wanted."""

    language: str | None = option(None, help="comma list of languages that are kept (en,fr)")
    min_confidence: float = option(
        0.8, help="min probability of another language for which a row is removed"
    )
    language_letters: int = option(
        25, help="texts with fewer letters, names and quotes left out, are not guessed"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_fractions(self, "min_confidence")
        check_counts(self, "language_letters")
        if self.language is not None and not words_of(self.language):
            msg = f"{flag_of('language')} names nothing"
            raise UsageError(msg)


def find(rows: Rows, options: LanguageOptions, _: Inputs) -> Iterator[Found]:
    """Rows whose questions or answers are surely in another language.

    Raises:
        UsageError: If a language is not known.
    """
    import polars as pl

    languages = words_of((options.language or "").lower())
    wanted = _wanted(languages)
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
    found = Found(
        "language", f"surely in another language than {', '.join(languages)} "
        f"({options.min_confidence:g})",
        values, at_least(values, options.min_confidence), threshold=options.min_confidence,
        unit="probability of another language",
    )  # fmt: skip
    over = texts.filter(pl.col("other") > 0).sort("other", descending=True)
    for row, guess, text in over.select("row", "guess", "text").iter_rows():
        found.detail.setdefault(row, guess)
        found.evidence.setdefault(row, f"{guess}: {text}")
    yield found


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
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

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


RULE = Rule(
    name="language",
    reasons=(
        Reason(
            name="language",
            words="not in a wanted language",
            options=("language",),
            elsewhere="DJ `language_id_score_filter` (0.8)",
        ),
    ),
    options=LanguageOptions,
    find=find,
    extra="filters",
)
