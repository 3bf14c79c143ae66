"""Scored responses to a prompt: the better against the worse.

Where there are no responses, the samples' conflicting answers take their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pairwright.errors import UsageError
from prefs.methods.base import Inputs, Method, Need, Pairing, ScoreOptions

if TYPE_CHECKING:
    from collections import Counter

    import polars as pl

    from prefs.methods.pairing.scored import Scored

# Fraction of the rubric's scale that two scores must differ by where no margin is given: on the
# usual 1 to 5 that is one point, on 0 to 1 it is .25.
MARGIN_FRACTION: Final = 0.25
# Published recipes, each as its paper has it.
PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    "best-worst": {"max_pairs_per_prompt": 1},
    "rlaif-v": {"margin": 1.0, "max_pairs_per_prompt": 2, "length_balance": True},
    "vlfeedback": {"margin": 0.0, "max_pairs_per_prompt": 0, "length_balance": False},
}
_NOTHING = (
    "there are no responses, and no question of the samples has different answers: sample responses "
    "with `prefs sample --model MODEL`"
)
_UNSCORED = (
    "the samples hold conflicting answers, but no scores to rank them by: score the samples with "
    "`judge score`, or sample responses with `prefs sample`"
)


def pair(inputs: Inputs, options: ScoreOptions) -> Pairing:
    """Pair what has been scored.

    Raises:
        UsageError: If nothing competes, or nothing is scored.
    """
    from prefs.methods.pairing.scored import pair_scored

    return pair_scored(
        _responses(inputs) if "responses" in inputs.tables else _conflicting_answers(inputs),
        options,
        margin_fraction=MARGIN_FRACTION,
        keep="widest" if options.preset == "best-worst" else "sampled",
        balance="short_chosen" if options.preset == "rlaif-v" else "both",
    )


def _responses(inputs: Inputs) -> Scored:
    from prefs.methods.pairing.candidates import response_candidates

    candidates, counts = response_candidates(inputs.tables["responses"], inputs.current)
    return _scored(inputs, "response", candidates, counts)


def _conflicting_answers(inputs: Inputs) -> Scored:
    from prefs.methods.pairing.candidates import (
        conflict_groups,
        groups_of_run,
        sample_candidates,
    )

    run = inputs.tables.get("conflicts")
    if "scores" not in inputs.tables:
        known = run is not None and not run.head(1).collect().is_empty()
        found = known or conflict_groups(inputs.current).height
        raise UsageError(_UNSCORED if found else _NOTHING)
    if run is not None:
        groups = groups_of_run(run.collect())
    else:
        groups = conflict_groups(inputs.contestable)
    candidates, counts = sample_candidates(groups, inputs.contestable, inputs.current)
    if candidates.is_empty():
        raise UsageError(_NOTHING)
    return _scored(inputs, "sample", candidates, counts)


def _scored(inputs: Inputs, kind: str, candidates: pl.DataFrame, counts: Counter[str]) -> Scored:
    import polars as pl

    from prefs.methods.pairing.candidates import first_prompts
    from prefs.methods.pairing.scored import Scored

    return Scored(
        candidates=first_prompts(candidates, inputs.limit),
        counts=counts,
        scores=inputs.tables["scores"].filter(pl.col("target_kind") == kind).collect(),
        run=inputs.runs["scores"],
    )


METHOD: Final = Method(
    name="best-of-n",
    summary="scored responses, at least a quarter of the rubric's scale apart",
    needs=(
        (
            Need("responses", "sample some with `prefs sample --model MODEL`"),
            Need(
                "scores",
                "score the responses with `judge score --target responses`",
                steps=("score-responses", "ingest"),
            ),
        ),
        (
            Need("conflicts", optional=True),
            Need("scores", steps=("score", "ingest"), optional=True),
        ),
    ),
    pair=pair,
    options=ScoreOptions,
    defaults={"max_pairs_per_prompt": 2, "length_balance": True},
    presets=PRESETS,
    remedies={
        "below_margin": "lower --margin",
        "ties": "sample more responses, or score them with a finer rubric",
        "duplicates": "sample more responses, at a higher temperature",
    },
)
