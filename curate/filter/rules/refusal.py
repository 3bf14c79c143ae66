"""Answers that refuse: the model cannot help, or cannot see images."""

# ruff: noqa: RUF001 (quotes, stops and dashes of print and of other scripts are meant)

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from curate.filter.found import Found, above, note_passages
from curate.filter.rows import Rows
from curate.filter.rules.base import Inputs, Reason, Rule
from curate.filter.rules.checks import check_counts
from pairwright.commands.options import option

_CANNOT = r"(?:can ?not|can['’]t|could not|(?:am|['’]m) (?:currently )?(?:unable|not able) to|do not have the (?:ability|capability) to|don['’]t have the (?:ability|capability) to)"
_IMAGE = r"(?:images?|pictures?|photos?|photographs?|attachments?|files?|visual (?:content|information|inputs?))"
_WHICH = r"(?:or \w+ |and \w+ )?(?:the |this |that |your |any |an |a |actual |attached |uploaded |provided |specific |external |visual |real |content of |contents of )*"
_REFUSALS = (
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language|text-based)\b(?: \w+){0,3}?,? ?(?:model,? )?i (?:"
    + _CANNOT
    + r"|do not have|don['’]t have|am not)",
    r"\bi(?:['’]m| am) (?:just |only )?an? (?:ai|(?:large )?language model|text-based)",
    r"\b(?:sorry|apologi[sz]e|afraid|regret)\b[^.!?\n]{0,60}?(?:\bi ?|, (?:but )?)" + _CANNOT
    + r" (?:\w+ )?(?:assist|help|provide|fulfil+|comply|answer|discuss|engage|create|generate|process|view|see|access|open|identify (?:the )?(?:real )?(?:people|person|individual))",
    r"\bi ?" + _CANNOT
    + r" (?:directly |currently |physically |actually )*(?:assist|help) (?:you )?with\b",
    r"\bi ?" + _CANNOT
    + r" (?:directly |currently |physically |actually )*(?:view|see|access|process|open|analy[sz]e|display|interpret|look at) "
    + _WHICH + _IMAGE,
    r"\b(?:no|without an?) " + _IMAGE + r" (?:was|were|is|are|has been|have been|being)? ?(?:provided|attached|uploaded|given|shared|included)",
    r"\b(?:please|could you|can you) (?:kindly )?(?:provide|upload|attach|share|send)(?: me)?(?: with)? (?:the|an|your) (?:actual )?" + _IMAGE,
)  # fmt: skip
# What the image does not show cannot be answered, and saying so is an answer.
_HONEST = r"obscured|not (?:clearly )?visible|isn['’]t visible|not clear|unclear|blurr|too (?:small|dark)|out of frame|not shown|hidden"
# A refusal comes first.
_HEAD = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalOptions:
    """How long a refusal may be."""

    max_refusal_words: int = option(60, help="an answer of more words is not a mere refusal")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_counts(self, "max_refusal_words")


def find(rows: Rows, options: RefusalOptions, _: Inputs) -> Iterator[Found]:
    """Rows with an answer that begins with a refusal and has little else.

    The model cannot help, or cannot see images. "I cannot tell from the image" is an answer, not a refusal.
    """
    import polars as pl

    head = pl.col("text").str.slice(0, _HEAD).str.to_lowercase()
    pattern = "|".join(f"(?:{p})" for p in _REFUSALS)
    refused = head.str.contains(pattern) & ~head.str.contains(_HONEST)
    hits = rows.answers.filter(refused).select(
        "row", "text", pl.col("text").str.count_matches(r"\S+").cast(pl.Float64).alias("words")
    )
    values = rows.spread(hits, "words", "min")
    most = options.max_refusal_words
    removes = ~above(values, most) & values.is_not_null().to_numpy()
    found = Found("refusal", f"a refusal of at most {most} words", values, removes,
                  threshold=most, removes_low=True, unit="words of answers that refuse")  # fmt: skip
    note_passages(found, hits, f"(?i){pattern}")
    yield found


RULE = Rule(
    name="refusal",
    reasons=(Reason(name="refusal", words="answer that refuses"),),
    options=RefusalOptions,
    find=find,
    presets={"llava": {}},
)
