"""Pairs of scored answers to one prompt: the better against the worse."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import polars as pl

from pairwright.scores import criterion_marks
from pairwright.text.texts import normalised
from prefs.methods.base import (
    PICK_COLUMNS,
    PICK_SCHEMA,
    Picked,
    at_most,
    balance_lengths,
    drawn,
    pair_draw,
)

# Share of the rubric's scale that two scores must differ by where no margin is given: on the
# usual 1 to 5 that is one point, on 0 to 1 it is .25.
MARGIN_SHARE = 0.25
# Distinct answers to one prompt that are compared; pairs grow with the square.
MAX_ANSWERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which answers make a pair.

    Attributes:
        margin: Least difference of the scores; equal scores never make a pair.
        max_pairs: Most pairs a prompt; 0: all.
        best_worst: Take the pairs with the widest difference instead of drawing them.
        min_chosen: Least score of a chosen answer.
        length_balance: Whether to balance the lengths of the two sides.
        only_shorter: Balance only chosen answers that are too short.
        seed: Seed of the draws.
    """

    margin: float
    max_pairs: int = 2
    best_worst: bool = False
    min_chosen: float | None = None
    length_balance: bool = True
    only_shorter: bool = False
    seed: int = 0


def mean_scores(
    scores: pl.DataFrame, candidates: pl.DataFrame, *, min_label_mass: float = 0.0
) -> tuple[pl.DataFrame, Counter[str]]:
    """The mark of every candidate: the mean over its criteria.

    A candidate that lacks a criterion which another answer to its prompt has been marked on gets
    no mark, for the two means would not compare.

    Args:
        scores: Rows of the scores table.
        candidates: `prompt_id` and `candidate_id`.
        min_label_mass: Scores below this mass do not count.

    Returns:
        The candidates with a `score`, and how many scores and candidates were left out and why.
    """
    counts: Counter[str] = Counter()
    rows = scores.join(
        candidates.select("prompt_id", target_id="candidate_id"), on="target_id", how="inner"
    )
    failed = pl.col("error").is_not_null() | pl.col("score").is_null() | pl.col("score").is_nan()
    counts["score_errors"] = rows.filter(failed).height
    rows = rows.filter(~failed)
    faint = pl.col("label_mass").fill_null(1.0) < min_label_mass
    counts["low_label_mass"] = rows.filter(faint).height
    whose = rows.select("target_id", "prompt_id").unique("target_id", maintain_order=True)
    marks = (
        criterion_marks(rows.filter(~faint).lazy().with_columns(mark="score"))
        .collect()
        .rename({"mark": "score"})
        .join(whose, on="target_id", maintain_order="left")
        .with_columns(wanted=pl.struct("rubric", "criterion").n_unique().over("prompt_id"))
        .group_by("target_id", maintain_order=True)
        .agg(pl.col("score").mean(), pl.col("wanted").first(), found=pl.len())
    )
    whole = marks.filter(pl.col("found") == pl.col("wanted"))
    counts["incomplete_scores"] = marks.height - whole.height
    scored = candidates.join(
        whole.select("score", candidate_id="target_id"),
        on="candidate_id",
        how="left",
        maintain_order="left",
    )
    counts["unscored"] = candidates.height - marks.height
    return scored, counts


def distinct(candidates: pl.DataFrame, *, seed: int = 0) -> tuple[pl.DataFrame, Counter[str]]:
    """Candidates without empty answers and without answers that say the same.

    Args:
        candidates: `prompt_id`, `candidate_id`, `text` and more.
        seed: Seed of the draw where a prompt has more than `MAX_ANSWERS`.

    Returns:
        The first of every kind, and counts of what is left out.
    """
    counts: Counter[str] = Counter()
    frame = candidates.with_columns(_text=normalised("text"))
    full = frame.filter(pl.col("_text").str.len_chars() > 0)
    counts["empty"] = frame.height - full.height
    kept = full.unique(["prompt_id", "_text"], keep="first", maintain_order=True)
    counts["duplicates"] = full.height - kept.height
    kept = kept.with_columns(_draw=drawn(kept["candidate_id"], seed, "answers"))
    rank = pl.col("_draw").rank("ordinal").over("prompt_id")
    bounded = kept.filter(rank <= MAX_ANSWERS)
    counts["over_answers_per_prompt"] = kept.height - bounded.height
    return bounded.drop("_text", "_draw"), counts


def best_of_n(candidates: pl.DataFrame, rule: Rule) -> Picked:
    """Pair the answers to each prompt by their scores.

    Args:
        candidates: `prompt_id`, `candidate_id`, `text`, `score`, `can_win` (whether it may be the
            chosen one); distinct answers only.
        rule: Which answers make a pair.

    Returns:
        Picks in the order of the prompts.
    """
    counts: Counter[str] = Counter()
    paired = _all_pairs(candidates)
    counts["ties"] = paired.filter(pl.col("margin") == 0).height // 2
    paired = paired.filter(pl.col("margin") > 0)
    # Scores are sums of floats: 4.0 - 3.0 must reach a margin of 1.0.
    paired, counts["below_margin"] = _keep(paired, pl.col("margin") >= rule.margin - 1e-9)
    paired, counts["chosen_unfit"] = _keep(paired, pl.col("can_win"))
    if rule.min_chosen is not None:
        fine = pl.col("chosen_score") >= rule.min_chosen
        paired, counts["both_bad"] = _keep(paired, fine)
    before = paired.height
    if rule.best_worst and rule.max_pairs:
        paired = pair_draw(paired, rule.seed, "pairs")
        paired = paired.sort("margin", "order", descending=[True, False], maintain_order=True)
        paired = paired.filter(pl.int_range(pl.len()).over("prompt_id") < rule.max_pairs)
    else:
        paired = at_most(paired, rule.max_pairs, rule.seed)
    counts["over_pairs_per_prompt"] = before - paired.height
    paired = paired.sort("place", "chosen_id", "rejected_id")
    if rule.length_balance:
        before = paired.height
        paired = balance_lengths(paired, only_shorter=rule.only_shorter)
        counts["length_balance"] = before - paired.height
    return Picked(picks=_as_picks(paired), counts=counts, rejects=[])


def _all_pairs(candidates: pl.DataFrame) -> pl.DataFrame:
    """Every ordered pair of answers to one prompt whose first is not the worse one."""
    place = pl.col("prompt_id").rle_id() if candidates.height else pl.lit(0)
    candidates = candidates.with_columns(place=place)
    first = candidates.group_by("prompt_id").agg(pl.col("place").min())
    chosen = candidates.select(
        "prompt_id", "can_win", chosen_id="candidate_id", chosen="text", chosen_score="score"
    )
    rejected = candidates.select(
        "prompt_id", rejected_id="candidate_id", rejected="text", rejected_score="score"
    )
    return (
        chosen.join(rejected, on="prompt_id")
        .filter(
            (pl.col("chosen_id") != pl.col("rejected_id"))
            & (pl.col("chosen_score") >= pl.col("rejected_score"))
        )
        .with_columns(margin=pl.col("chosen_score") - pl.col("rejected_score"))
        .join(first, on="prompt_id")
    )


def _keep(frame: pl.DataFrame, condition: pl.Expr) -> tuple[pl.DataFrame, int]:
    kept = frame.filter(condition)
    return kept, frame.height - kept.height


def _as_picks(frame: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in PICK_COLUMNS if name not in frame.columns]
    return frame.with_columns(pl.lit(None, dtype=PICK_SCHEMA[n]).alias(n) for n in missing).select(
        PICK_COLUMNS
    )
