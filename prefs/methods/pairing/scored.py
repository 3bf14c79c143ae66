"""Pairs of scored candidates for one prompt: the better against the worse."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from pairwright.errors import UsageError
from pairwright.scores import criterion_scores
from pairwright.text.texts import normalised
from prefs.methods.base import Pairing
from prefs.methods.pairing.picks import as_picks, seeded_numbers

if TYPE_CHECKING:
    from pairwright.dataset.manifest import Manifest
    from prefs.methods.base import ScoreOptions

# Distinct candidates for one prompt that are compared; pairs grow with the square.
MAX_CANDIDATES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Candidates and what is known of them.

    Attributes:
        candidates: Rows of `CANDIDATE_SCHEMA`.
        counts: Why others are left out.
        scores: Rows of the scores table that are about them.
        run: The run that the scores come from.
    """

    candidates: pl.DataFrame
    counts: Counter[str]
    scores: pl.DataFrame
    run: Manifest


def pair_scored(
    scored: Scored,
    options: ScoreOptions,
    *,
    margin: float | None = None,
    margin_fraction: float = 0.0,
    keep: Literal["sampled", "widest"] = "sampled",
    balance: Literal["both", "short_chosen"] = "both",
) -> Pairing:
    """Pair candidates by their mean scores.

    Args:
        scored: Candidates and scores.
        options: Margin, limits and seed.
        margin: Min difference of the scores where the options give none.
        margin_fraction: The same as a fraction of the rubric's scale, where `margin` is not given.
        keep: See `Pairing`.
        balance: See `Pairing`.

    Raises:
        UsageError: If the scores are about none of the candidates.
    """
    rows, counts = mean_scores(
        scored.scores, scored.candidates, min_label_mass=options.min_label_mass
    )
    if rows.height and rows["score"].is_null().all():
        msg = f"{scored.run.ref} has scores for none of the {rows.height:,} candidates: name another run with --scores"
        raise UsageError(msg)
    pool, left_out = distinct(rows.filter(pl.col("score").is_not_null()), seed=options.seed)
    scale = label_range(scored.run, scored.scores)
    if options.margin is not None:
        margin = options.margin
    elif margin is None:
        margin = margin_fraction * (scale[1] - scale[0])
    picks, not_paired = pairs_by_score(pool, margin=margin, min_chosen=options.min_chosen)
    return Pairing(
        picks=picks,
        candidates=scored.candidates,
        pool=pool,
        counts=scored.counts + counts + left_out + not_paired,
        summary={"candidates": rows.height, "margin": margin, "scale": scale},
        keep=keep,
        balance=balance,
    )


def mean_scores(
    scores: pl.DataFrame, candidates: pl.DataFrame, *, min_label_mass: float = 0.0
) -> tuple[pl.DataFrame, Counter[str]]:
    """The score of every candidate: the mean over its criteria.

    A candidate that lacks a criterion which another candidate for its prompt has gets no score,
    because the two means would not compare.

    Args:
        scores: Rows of the scores table.
        candidates: `prompt_id` and `candidate_id`.
        min_label_mass: Scores below this probability mass on the labels do not count.

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
    low_mass = pl.col("label_mass").fill_null(1.0) < min_label_mass
    counts["low_label_mass"] = rows.filter(low_mass).height
    prompts = rows.select("target_id", "prompt_id").unique("target_id", maintain_order=True)
    found = (
        criterion_scores(rows.filter(~low_mass).lazy())
        .collect()
        .join(prompts, on="target_id", maintain_order="left")
        .with_columns(wanted=pl.struct("rubric", "criterion").n_unique().over("prompt_id"))
        .group_by("target_id", maintain_order=True)
        .agg(pl.col("score").mean(), pl.col("wanted").first(), found=pl.len())
    )
    complete = found.filter(pl.col("found") == pl.col("wanted"))
    counts["incomplete_scores"] = found.height - complete.height
    scored = candidates.join(
        complete.select("score", candidate_id="target_id"),
        on="candidate_id",
        how="left",
        maintain_order="left",
    )
    counts["unscored"] = candidates.height - found.height
    return scored, counts


def distinct(candidates: pl.DataFrame, *, seed: int = 0) -> tuple[pl.DataFrame, Counter[str]]:
    """Candidates without empty texts and without texts that are the same but for their form.

    Args:
        candidates: `prompt_id`, `candidate_id`, `text` and more.
        seed: Seed of the sampling where a prompt has more than `MAX_CANDIDATES`.

    Returns:
        The first of equal texts, and counts of what is left out.
    """
    counts: Counter[str] = Counter()
    frame = candidates.with_columns(_text=normalised("text"))
    full = frame.filter(pl.col("_text").str.len_chars() > 0)
    counts["empty"] = frame.height - full.height
    kept = full.unique(["prompt_id", "_text"], keep="first", maintain_order=True)
    counts["duplicates"] = full.height - kept.height
    kept = kept.with_columns(_order=seeded_numbers(kept["candidate_id"], seed, "answers"))
    rank = pl.col("_order").rank("ordinal").over("prompt_id")
    bounded = kept.filter(rank <= MAX_CANDIDATES)
    counts["over_candidates_per_prompt"] = kept.height - bounded.height
    return bounded.drop("_text", "_order"), counts


def pairs_by_score(
    candidates: pl.DataFrame, *, margin: float, min_chosen: float | None = None
) -> tuple[pl.DataFrame, Counter[str]]:
    """All pairs of candidates for each prompt whose scores differ enough.

    Args:
        candidates: `prompt_id`, `candidate_id`, `text`, `score`, `can_win` (whether it may be the
            chosen one); distinct ones only.
        margin: Min difference of the scores; equal scores never make a pair.
        min_chosen: Min score of a chosen candidate.

    Returns:
        Picks in the order of the prompts, and counts of the pairs that were not made.
    """
    counts: Counter[str] = Counter()
    paired = _all_pairs(candidates)
    counts["ties"] = paired.filter(pl.col("margin") == 0).height // 2
    paired = paired.filter(pl.col("margin") > 0)
    # Scores are sums of floats: 4.0 - 3.0 must reach a margin of 1.0.
    paired, counts["below_margin"] = _split(paired, pl.col("margin") >= margin - 1e-9)
    paired, counts["chosen_unfit"] = _split(paired, pl.col("can_win"))
    if min_chosen is not None:
        paired, counts["both_bad"] = _split(paired, pl.col("chosen_score") >= min_chosen)
    return as_picks(paired.sort("position", "chosen_id", "rejected_id")), counts


def label_range(manifest: Manifest, scores: pl.DataFrame) -> list[float]:
    """Min and max score that the rubric allows.

    Taken from the scores' lineage, else from the labels where they are numbers, else from the
    scores themselves.
    """
    stated = manifest.summary.get("label_range") or manifest.config.get("label_range")
    if isinstance(stated, list | tuple) and len(stated) == 2:
        return [float(stated[0]), float(stated[1])]
    labels = (
        scores.select(pl.col("label_probs").list.eval(pl.element().struct.field("label")))
        .explode("label_probs")
        .get_column("label_probs")
        .drop_nulls()
        .unique()
    )
    numbers: Any = labels.cast(pl.Float64, strict=False)
    if not labels.len() or numbers.is_null().any():
        numbers = scores["score"].drop_nulls().drop_nans()
    return [0.0, 0.0] if numbers.is_empty() else [float(numbers.min()), float(numbers.max())]


def _all_pairs(candidates: pl.DataFrame) -> pl.DataFrame:
    """Every ordered pair of candidates for one prompt whose first is not the worse one."""
    position = pl.col("prompt_id").rle_id() if candidates.height else pl.lit(0)
    candidates = candidates.with_columns(position=position)
    first = candidates.group_by("prompt_id").agg(pl.col("position").min())
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


def _split(frame: pl.DataFrame, condition: pl.Expr) -> tuple[pl.DataFrame, int]:
    kept = frame.filter(condition)
    return kept, frame.height - kept.height
