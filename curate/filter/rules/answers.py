"""Filters of broken answers: empty, a template's remains, a refusal, a loop, cut off."""

# ruff: noqa: RUF001 (quotes, stops and dashes of print and of other scripts are meant)

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from curate.filter.found import Found, Rows, high
from curate.filter.options import FilterOptions
from curate.filter.rules.repetition import repetition

if TYPE_CHECKING:
    import polars as pl

# -- remains of a chat template or of a prompt that was to be filled in ---------------------------
_LEAKS = (
    r"<\|[A-Za-z][A-Za-z0-9_]{1,40}\|>",  # <|im_end|>, <|assistant|>, <|endoftext|>
    r"\[/?INST\]|<</?SYS>>",
    r"</s>|<s>\s|<unk>|<pad>|<0x[0-9A-F]{2}>|<eos>|<bos>|<(?:start|end)_of_turn>",
    # USER: alone is as often what a screenshot says.
    r"(?m)^\s*(?:ASSISTANT|GPT):",
    r"(?m)^\s*#{2,4} ?(?:Instruction|Response|Human|Assistant|User|Input)s?:",
    r"(?m)^(?:Human|Assistant): ",
    r"<(?:image|video|audio)[_ ]?(?:token|placeholder|pad|\d+)>|<im_(?:start|end|patch)>",
)
# Of a whole word in braces that stands where a word would: `Hello {name}, ...`. Not LaTeX, JSON,
# code, sets.
_PLACEHOLDER = (
    r"(?:^|[\s\"'(])(?:\{\{ ?[a-z][a-z0-9]*(?:[_ ][a-z0-9]+)* ?\}\}"
    r"|\{[a-z][a-z0-9]*(?:_[a-z0-9]+)*\}"
    r"|\[(?i:insert|your|enter) [A-Za-z ,/]{2,40}\]|<(?i:insert|your|enter) [A-Za-z ]{2,40}>)"
    r"(?:$|[\s.,;:!?\"')])"
)
_CODE = r"```|\\begin\{|\\frac|\$\$|\{\s*\"|</[a-z]+>|\bdef |\bf\""

# -- refusals -------------------------------------------------------------------------------------
_CANNOT = r"(?:can ?not|can['’]t|could not|(?:am|['’]m) (?:currently )?(?:unable|not able) to|do not have the (?:ability|capability) to|don['’]t have the (?:ability|capability) to)"
_PICTURE = r"(?:images?|pictures?|photos?|photographs?|attachments?|files?|visual (?:content|information|inputs?))"
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
    + _WHICH + _PICTURE,
    r"\b(?:no|without an?) " + _PICTURE + r" (?:was|were|is|are|has been|have been|being)? ?(?:provided|attached|uploaded|given|shared|included)",
    r"\b(?:please|could you|can you) (?:kindly )?(?:provide|upload|attach|share|send)(?: me)?(?: with)? (?:the|an|your) (?:actual )?" + _PICTURE,
)  # fmt: skip
# What cannot be told because the picture does not show it is an answer.
_HONEST = r"obscured|not (?:clearly )?visible|isn['’]t visible|not clear|unclear|blurr|too (?:small|dark)|out of frame|not shown|hidden"
# A refusal says so at once.
_HEAD = 300

# -- answers that stop in the middle --------------------------------------------------------------
_END = r"[.!?。！？…।؟۔．⋯]['\"”’»)\]*_`]*$|[:;]-?[)D]$|[\p{So}\p{Sk}\x{FE0F}]$"
# Words that nothing can end with.
_OPEN = (
    r"(?i)(?:^|[\s(])(?:the|an|and|or|nor|but|its|their|whose|than|because|although|while|whereas|"
    r"such as|due to|which is|that is|which are|that are|as well as|in order to)$"
)
# Words that a statement seldom ends with; they count where its full stop is missing as well.
_SELDOM = (
    r"(?i)(?:^|[\s(])(?:a|of|to|in|into|on|onto|at|by|for|from|with|without|within|between|through|"
    r"about|as|is|are|was|were|be|been|being|has|have|had|he|she|they|we|i|it|that|which|who|when|"
    r"where|how|if|so|will|would|can|could|may|might|must|should|do|does|did|not|very|more|most|"
    r"also|often|every|each|his|her|our|your|my|these|those|other|another|such|until|upon|over|"
    r"under|after|before|during|indicates|shows|using|including|like)$|['’-]$"
)
_DANGLING = r"[(\[&+=–—]$"
# A comma ends people's captions by mistake, so it counts after a closed sentence or in a long text.
_COMMA = r"[^)\s]\s*,$"
_BARE_MARK = r"\n\s*(?:\d{1,3}[.)]|[-*•+])$"
_LIST_ITEM = (
    r"^\s*(?:[-*•+#>|]|\d{1,3}[.)]\s|\(?[a-zA-Z][.)]\s)|\|\s*$|^\s*\*\*[^*]+\*\*|^[^.!?]{0,60}:\s"
)


def broken(rows: Rows, options: FilterOptions) -> Iterator[Found]:
    """The filters that `--broken` names."""
    kinds = options.broken_kinds
    if "empty" in kinds:
        yield empty(rows)
    if "template" in kinds:
        yield leaks(rows)
    if "refusal" in kinds:
        yield refusals(rows, options.max_refusal_words)
    if "repetition" in kinds:
        yield repetition(rows, options.max_repetition)
    if "cut" in kinds:
        yield cut_off(rows, options.cut_certainty)


def empty(rows: Rows) -> Found:
    """Answers without a letter, digit or sign; samples that are only questions are none of it."""
    import polars as pl

    bare = rows.answers.select(
        "row", (~pl.col("text").str.contains(r"[\p{L}\p{N}\p{S}]")).cast(pl.Float64).alias("bare")
    )
    values = rows.spread(bare, "bare", "sum")
    removes = high(values, 0)
    return Found("empty_answer", "an answer without a letter, digit or sign", values, removes,
                 cut=0.5, unit="empty answers")  # fmt: skip


def leaks(rows: Rows) -> Found:
    """Questions or answers with tokens of a chat template, role names, unfilled placeholders."""
    import polars as pl

    text = pl.col("text")
    turns = rows.turns.filter(pl.col("role") != "system")
    token = text.str.count_matches("|".join(f"(?:{p})" for p in _LEAKS))
    unfilled = (
        pl.when(~text.str.contains(_CODE)).then(text.str.count_matches(_PLACEHOLDER)).otherwise(0)
    )
    count = (token + unfilled).cast(pl.Float64).alias("count")
    hits = turns.select("row", "text", count)
    values = rows.spread(hits, "count", "sum")
    found = Found("template_leak", "a token, role name or unfilled place of a template", values,
                  high(values, 0), cut=0.5, unit="tokens of a template")  # fmt: skip
    pattern = "|".join((*(f"(?:{p})" for p in _LEAKS), f"(?:{_PLACEHOLDER})"))
    _evidence(found, hits.filter(pl.col("count") > 0), pattern)
    return found


def refusals(rows: Rows, most_words: int) -> Found:
    """Answers that say at once that the model cannot help or cannot see images, and little else.

    "I cannot tell from the image" is an answer, not a refusal.
    """
    import polars as pl

    head = pl.col("text").str.slice(0, _HEAD).str.to_lowercase()
    pattern = "|".join(f"(?:{p})" for p in _REFUSALS)
    refused = head.str.contains(pattern) & ~head.str.contains(_HONEST)
    hits = rows.answers.filter(refused).select(
        "row", "text", pl.col("text").str.count_matches(r"\S+").cast(pl.Float64).alias("words")
    )
    values = rows.spread(hits, "words", "min")
    removes = np.asarray((values <= most_words).fill_null(value=False).to_numpy(), dtype=bool)
    found = Found("refusal", f"a refusal of at most {most_words} words", values, removes,
                  cut=most_words, low_goes=True, unit="words of answers that refuse")  # fmt: skip
    _evidence(found, hits, f"(?i){pattern}")
    return found


def cut_off(rows: Rows, least: float) -> Found:
    """Answers that stop in the middle of a sentence, by how sure that is.

    1: it ends with a word, sign or list mark that nothing ends with, or within code. 0.8: earlier
    sentences are closed, the last is not and ends with a word that a statement seldom ends with,
    or with the beginning of a longer word. 0.5: the last sentence of several is not closed; a
    quarter of those in real answers merely lacked the stop. Captions, list items, table rows,
    headings and code without a full stop are not looked at.
    """
    import polars as pl

    text = pl.col("text").str.strip_chars_end()
    answers = rows.answers.with_columns(
        text.alias("text"), text.str.split("\n").list.last().alias("line")
    )
    words = text.str.count_matches(r"\S+")
    fences = text.str.count_matches("```")
    never = text.str.contains(_BARE_MARK) | (fences % 2 == 1)
    closed = text.str.contains(_END) | ((fences % 2 == 0) & text.str.ends_with("```"))
    comma = text.str.contains(_COMMA) & ((words >= 15) | text.str.contains(r"[.!?]\s"))
    dangling = text.str.contains(_OPEN) | text.str.contains(_DANGLING) | comma
    certain = (words >= 4) & dangling
    line = pl.col("line")
    sentences = line.str.count_matches(r"[\p{L}\p{N})\"”'][.!?]\s+[\p{Lu}\"“]")
    tail = line.str.extract(r"(?:.*[.!?]\s+)?(.*)$", 1)
    open_end = (
        (sentences >= 1)
        & (tail.str.count_matches(r"\S+") >= 2)
        & ~line.str.contains(_LIST_ITEM)
        & line.str.contains(r"[\p{L}\p{N}'’-]$")
    )
    marked = answers.select(
        "row", "text",
        pl.when(never).then(1.0).when(closed).then(0.0).when(certain).then(1.0)
        .when(open_end & text.str.contains(_SELDOM)).then(0.8)
        .when(open_end).then(0.5).otherwise(0.0).alias("sure"),
    )  # fmt: skip
    marked = _cut_words(marked, rows)
    values = rows.spread(marked, "sure", "max")
    removes = np.asarray((values >= least).fill_null(value=False).to_numpy(), dtype=bool)
    found = Found("cut_answer", f"an answer that stops in the middle of a sentence ({least:g})",
                  values, removes, cut=least, unit="0 closed, 0.5 no full stop, 1 surely cut")  # fmt: skip
    ends = marked.filter(pl.col("sure") > 0).with_columns(pl.col("text").str.tail(70).alias("end"))
    found.where = dict(zip(ends["row"].to_list(), ("... " + ends["end"]).to_list(), strict=True))
    return found


def _cut_words(marked: pl.DataFrame, rows: Rows) -> pl.DataFrame:
    """Make surer of ends with a word that the set has only there, and longer words begin with."""
    import polars as pl

    last = pl.col("text").str.extract(r"(\p{Ll}{3,})$", 1)
    ends = marked.filter(pl.col("sure") == 0.5).select(last.alias("last")).drop_nulls()["last"]
    if ends.is_empty():
        return marked
    words = rows.answers.select(
        pl.col("text").str.to_lowercase().str.extract_all(r"\p{L}{3,}").alias("word")
    )
    counts = words.explode("word").drop_nulls()["word"].value_counts()
    known = dict(counts.iter_rows())
    ordered = sorted(known)
    parts = [
        word
        for word in ends.unique().to_list()
        if known.get(word, 0) == 1
        and (place := bisect_right(ordered, word)) < len(ordered)
        and ordered[place].startswith(word)
    ]
    sure = pl.when((pl.col("sure") == 0.5) & last.is_in(parts)).then(0.8).otherwise("sure")
    return marked.with_columns(sure.alias("sure"))


def _evidence(found: Found, hits: pl.DataFrame, pattern: str) -> None:
    """Note the passage around the first hit of every row."""
    import polars as pl

    passage = pl.col("text").str.extract(f"(?s)(.{{0,40}}(?:{pattern}).{{0,60}})", 1)
    shown = hits.head(1000).select("row", passage.alias("passage")).drop_nulls()
    found.where = dict(zip(shown["row"].to_list(), shown["passage"].to_list(), strict=True))
