"""Marks for pairs from judged claims, as RLAIF-V counts: minus the number of rejected claims."""

from __future__ import annotations

import polars as pl

CRITERION = "rejected"
# One rejected claim more or less.
MARGIN = 1.0


def rejected_counts(scores: pl.DataFrame) -> pl.DataFrame:
    """The marks that count rejected claims; those by other rules are about the same answers.

    Not normalised by the number of claims: a short answer that claims little and a long one that
    is right throughout are equally good.
    """
    return scores.filter(pl.col("criterion") == CRITERION)
