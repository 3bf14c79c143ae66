"""Controls: pairs for the same prompts whose sides do not depend on quality.

What a method brings is the difference from these. "Longest" shows whether it brought anything but
longer texts.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from pairwright.text.texts import n_words
from prefs.methods.pairing.picks import PICK_COLUMNS, PICK_SCHEMA, with_seeded_order


def control_picks(
    picks: pl.DataFrame, pool: pl.DataFrame, kind: Literal["random", "longest"], seed: int
) -> pl.DataFrame:
    """As many pairs for every prompt as `picks` has, where its candidates allow.

    Args:
        picks: What the method picked.
        pool: Distinct candidates: `prompt_id`, `candidate_id`, `text`, `score`.
        kind: `random`: two different texts, either side; `longest`: the longest text against a
            shorter one.
        seed: Seed of the sampling.
    """
    quota = picks.group_by("prompt_id", maintain_order=True).len("quota").with_row_index("position")
    paired = _ordered_pairs(pool.join(quota, on="prompt_id", how="semi"))
    if kind == "longest":
        # Words first, characters where the words are as many.
        length = n_words("text") * 2**32 + pl.col("text").str.len_chars().cast(pl.Int64)
        longest = length.rank("dense", descending=True).over("prompt_id")
        ranked = pool.select("candidate_id", rank=longest)
        # Two longest texts of one length: either may be the best, the seed decides.
        best = ranked.filter(pl.col("rank") == 1).select(chosen_id="candidate_id")
        other = ranked.filter(pl.col("rank") > 1).select(rejected_id="candidate_id")
        paired = paired.join(best, on="chosen_id", how="semi")
        paired = paired.join(other, on="rejected_id", how="semi")
    paired = with_seeded_order(paired, seed, f"control-{kind}").sort("order")
    either = (
        pl.min_horizontal("chosen_id", "rejected_id"),
        pl.max_horizontal("chosen_id", "rejected_id"),
    )
    return (
        paired.with_columns(_low=either[0], _high=either[1])
        .unique(["_low", "_high"], keep="first", maintain_order=True)
        .join(quota, on="prompt_id", maintain_order="left")
        .filter(pl.int_range(pl.len()).over("prompt_id") < pl.col("quota"))
        .sort("position", "chosen_id", "rejected_id")
        .select(PICK_COLUMNS)
    )


def _ordered_pairs(pool: pl.DataFrame) -> pl.DataFrame:
    columns = {
        s: {f"{s}_id": "candidate_id", s: "text", f"{s}_score": "score"}
        for s in ("chosen", "rejected")
    }
    chosen = pool.select("prompt_id", **columns["chosen"])
    rejected = pool.select("prompt_id", **columns["rejected"])
    empty = [
        pl.lit(None, dtype=PICK_SCHEMA[n]).alias(n) for n in ("chosen_spans", "rejected_spans")
    ]
    return (
        chosen.join(rejected, on="prompt_id")
        .filter(pl.col("chosen_id") != pl.col("rejected_id"))
        .with_columns(*empty, margin=pl.col("chosen_score") - pl.col("rejected_score"))
    )
