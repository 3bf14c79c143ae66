"""Controls: pairs for the same prompts whose sides say nothing about quality.

What a method brings is the difference to these. "Longest" asks whether it brought anything but
longer answers.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from pairwright.text.texts import n_words
from prefs.methods.base import PICK_COLUMNS, PICK_SCHEMA, pair_draw


def control_picks(
    picks: pl.DataFrame, answers: pl.DataFrame, kind: Literal["random", "longest"], seed: int
) -> pl.DataFrame:
    """As many pairs for every prompt as `picks` has, where its answers allow.

    Args:
        picks: What the method picked.
        answers: Distinct answers: `prompt_id`, `candidate_id`, `text`, `score`.
        kind: `random`: two different answers, either side; `longest`: the longest answer against
            a shorter one.
        seed: Seed of the draws.
    """
    quota = picks.group_by("prompt_id", maintain_order=True).len("quota").with_row_index("place")
    paired = _ordered_pairs(answers.join(quota, on="prompt_id", how="semi"))
    if kind == "longest":
        # Words first, characters where the words are as many.
        length = n_words("text") * 2**32 + pl.col("text").str.len_chars().cast(pl.Int64)
        longest = length.rank("dense", descending=True).over("prompt_id")
        ranked = answers.select("candidate_id", rank=longest)
        # Two longest answers of one length: either may be the best, the draw decides.
        best = ranked.filter(pl.col("rank") == 1).select(chosen_id="candidate_id")
        other = ranked.filter(pl.col("rank") > 1).select(rejected_id="candidate_id")
        paired = paired.join(best, on="chosen_id", how="semi")
        paired = paired.join(other, on="rejected_id", how="semi")
    paired = pair_draw(paired, seed, f"control-{kind}").sort("order")
    either = (
        pl.min_horizontal("chosen_id", "rejected_id"),
        pl.max_horizontal("chosen_id", "rejected_id"),
    )
    return (
        paired.with_columns(_low=either[0], _high=either[1])
        .unique(["_low", "_high"], keep="first", maintain_order=True)
        .join(quota, on="prompt_id", maintain_order="left")
        .filter(pl.int_range(pl.len()).over("prompt_id") < pl.col("quota"))
        .sort("place", "chosen_id", "rejected_id")
        .select(PICK_COLUMNS)
    )


def answers_of(picks: pl.DataFrame) -> pl.DataFrame:
    """The answers that occur in picks, for methods that have no other candidates."""
    sides = [
        picks.select("prompt_id", candidate_id=f"{s}_id", text=s, score=f"{s}_score")
        for s in ("chosen", "rejected")
    ]
    return pl.concat(sides).unique(["prompt_id", "candidate_id"], keep="first", maintain_order=True)


def _ordered_pairs(answers: pl.DataFrame) -> pl.DataFrame:
    columns = {
        s: {f"{s}_id": "candidate_id", s: "text", f"{s}_score": "score"}
        for s in ("chosen", "rejected")
    }
    chosen = answers.select("prompt_id", **columns["chosen"])
    rejected = answers.select("prompt_id", **columns["rejected"])
    empty = [
        pl.lit(None, dtype=PICK_SCHEMA[n]).alias(n) for n in ("chosen_spans", "rejected_spans")
    ]
    return (
        chosen.join(rejected, on="prompt_id")
        .filter(pl.col("chosen_id") != pl.col("rejected_id"))
        .with_columns(*empty, margin=pl.col("chosen_score") - pl.col("rejected_score"))
    )
