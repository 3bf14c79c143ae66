"""Limits that all methods share: pairs per prompt, and equal lengths of the two sides."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import polars as pl

from pairwright.text.texts import n_words
from prefs.methods.pairing.picks import with_seeded_order

if TYPE_CHECKING:
    from prefs.methods.base import MethodOptions, Pairing

# Sides count as equally long within this fraction; beyond half of the pairs nothing is dropped.
BALANCE_TOLERANCE = 0.02
BALANCE_MAX = 0.5


def limited(pairing: Pairing, options: MethodOptions) -> tuple[pl.DataFrame, Counter[str]]:
    """The picks within the limits of the options, and how many were dropped by each."""
    picks, counts = pairing.picks, Counter(pairing.counts)
    max_pairs = options.max_pairs_per_prompt or 0
    kept = at_most(picks, max_pairs, options.seed, widest=pairing.keep == "widest")
    counts["over_pairs_per_prompt"] += picks.height - kept.height
    if options.length_balance:
        balanced = balance_lengths(kept, only_short_chosen=pairing.balance == "short_chosen")
        counts["length_balance"] += kept.height - balanced.height
        kept = balanced
    return kept, counts


def at_most(
    picks: pl.DataFrame, max_pairs: int, seed: int, *, widest: bool = False
) -> pl.DataFrame:
    """At most so many picks per prompt; 0: all.

    Args:
        picks: Rows with `PICK_COLUMNS`.
        max_pairs: How many.
        seed: Seed of the sampling.
        widest: Keep those with the widest margin; the seed decides between equal margins.
    """
    if not max_pairs:
        return picks
    ordered = with_seeded_order(picks, seed, "pairs").with_row_index("position")
    first = ["margin", "order"] if widest else ["order"]
    kept = ordered.sort(first, descending=[name == "margin" for name in first], maintain_order=True)
    kept = kept.filter(pl.int_range(pl.len()).over("prompt_id") < max_pairs)
    return kept.sort("position").drop("order", "position")


def balance_lengths(picks: pl.DataFrame, *, only_short_chosen: bool = False) -> pl.DataFrame:
    """Drop the picks that differ most in length until both sides are equally long on average.

    Only picks that are longer on the longer side are dropped, the widest first, and never more than
    half of all.

    Args:
        picks: Rows with `PICK_COLUMNS`.
        only_short_chosen: Act only where the chosen texts are too short, as RLAIF-V does.
    """
    lengths = picks.select(c=n_words("chosen"), r=n_words("rejected"))
    excess = lengths["c"] - lengths["r"]
    total = int(excess.sum())
    allowed = BALANCE_TOLERANCE * float(lengths["r"].sum() or 0)
    if total > 0 and only_short_chosen:
        return picks
    if total < 0:
        excess, total = -excess, -total
    dropped: list[int] = []
    for position in excess.arg_sort(descending=True):
        done = total <= allowed or excess[position] <= 0
        if done or len(dropped) >= BALANCE_MAX * picks.height:
            break
        # The last drop may overshoot: keep whichever side of zero is nearer.
        if abs(total - excess[position]) >= total:
            continue
        dropped.append(position)
        total -= excess[position]
    return picks.filter(pl.int_range(pl.len()).is_in(dropped).not_())


def length_statistics(picks: pl.DataFrame) -> dict[str, Any]:
    """How long the two sides are, in words, and how often the chosen one is longer."""
    if picks.is_empty():
        return {}
    frame = picks.select(chosen=n_words("chosen"), rejected=n_words("rejected"))

    def side(name: str) -> dict[str, float]:
        column = frame[name]
        return {
            "mean": round(float(column.mean() or 0), 2),  # type: ignore[arg-type]
            "median": float(column.median() or 0),  # type: ignore[arg-type]
            "p90": float(column.quantile(0.9) or 0),
        }

    longer = (frame["chosen"] > frame["rejected"]).mean()
    shorter = (frame["chosen"] < frame["rejected"]).mean()
    return {
        "chosen_words": side("chosen"),
        "rejected_words": side("rejected"),
        "chosen_longer": round(float(longer or 0), 4),  # type: ignore[arg-type]
        "chosen_shorter": round(float(shorter or 0), 4),  # type: ignore[arg-type]
    }
