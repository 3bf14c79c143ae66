"""Responses split into claims: the one with fewer rejected claims against the other (RLAIF-V).

The score is minus the number of rejected claims. It is not normalized by the number of claims: a
short response that claims little and a long one without a mistake are equally good.
"""

from __future__ import annotations

from typing import Final

from prefs.methods.base import Inputs, Method, Need, Pairing, ScoreOptions

_CRITERION = "rejected"
# One rejected claim more or less.
_MARGIN = 1.0


def pair(inputs: Inputs, options: ScoreOptions) -> Pairing:
    """Pair responses by their numbers of rejected claims.

    Raises:
        UsageError: If the scores are about none of the responses.
    """
    import polars as pl

    from prefs.methods.pairing.candidates import first_prompts, response_candidates
    from prefs.methods.pairing.scored import Scored, pair_scored

    candidates, counts = response_candidates(inputs.tables["responses"], inputs.current)
    of_claims = (pl.col("target_kind") == "response") & (pl.col("criterion") == _CRITERION)
    scored = Scored(
        candidates=first_prompts(candidates, inputs.limit),
        counts=counts,
        scores=inputs.tables["scores"].filter(of_claims).collect(),
        run=inputs.runs["scores"],
    )
    return pair_scored(scored, options, margin=_MARGIN, balance="short_chosen")


METHOD: Final = Method(
    name="claims",
    summary="responses with fewer rejected claims against those with more, as RLAIF-V counts",
    needs=(
        (
            Need("responses", "sample some with `prefs sample --model MODEL`"),
            Need(
                "scores",
                "make those of the claims with `judge claims --target responses`",
                steps=("claims",),
            ),
        ),
    ),
    pair=pair,
    options=ScoreOptions,
    defaults={"max_pairs_per_prompt": 2, "length_balance": True},
    remedies={
        "below_margin": "lower --margin",
        "ties": "sample more responses",
        "duplicates": "sample more responses, at a higher temperature",
    },
)
