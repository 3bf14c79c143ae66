"""The methods on a dataset: read what each needs, hand it to the pure function, count."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from pairwright.errors import UsageError
from prefs.build.inputs import NO_CANDIDATES, Sources
from prefs.methods import candidates as cand
from prefs.methods.base import Picked, at_most, balance_lengths
from prefs.methods.best_of_n import MARGIN_SHARE, Rule, best_of_n, distinct, mean_scores
from prefs.methods.claims import MARGIN as CLAIMS_MARGIN
from prefs.methods.claims import rejected_counts
from prefs.methods.comparisons import decided
from prefs.methods.controls import answers_of
from prefs.methods.spans import corrections

if TYPE_CHECKING:
    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset
    from prefs.build.options import BuildOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a method made of a dataset.

    Attributes:
        picked: Picks, counts and rejects.
        answers: All candidates, with prompt, images and model.
        pool: Distinct answers that a control may pair.
        anchor: Column of the picks that names the candidate whose prompt counts.
        summary: Figures.
    """

    picked: Picked
    answers: pl.DataFrame
    pool: pl.DataFrame
    anchor: str
    summary: dict[str, Any]


def from_scores(
    dataset: Dataset, options: BuildOptions, sources: Sources, limit: int | None
) -> Recipe:
    """Best of n, and claims: best of n by the number of rejected claims."""
    if sources.answers is not None:
        kind = "response"
        answers, counts = cand.response_candidates(
            dataset.scan(sources.answers), dataset.current_samples()
        )
    else:
        kind = "sample"
        answers, counts = _conflicting_answers(dataset, sources)
    answers = cand.first_prompts(answers, limit)
    marks = dataset.scan(sources.verdicts).filter(pl.col("target_kind") == kind).collect()
    by_claims = options.method == "claims"
    if by_claims:
        marks = rejected_counts(marks)
    scored, more = mean_scores(marks, answers, min_label_mass=options.min_label_mass)
    if answers.height and scored["score"].is_null().all():
        msg = f"{sources.verdicts.ref} marks none of the {answers.height:,} answers: name another run with --scores"
        raise UsageError(msg)
    pool, doubles = distinct(scored.filter(pl.col("score").is_not_null()), seed=options.seed)
    scale = label_range(sources.verdicts, marks)
    margin = options.margin
    if margin is None:
        margin = CLAIMS_MARGIN if by_claims else MARGIN_SHARE * (scale[1] - scale[0])
    rule = Rule(
        margin=margin,
        max_pairs=options.max_pairs_per_prompt or 0,
        best_worst=options.preset == "best-worst",
        min_chosen=options.min_chosen,
        length_balance=bool(options.length_balance),
        only_shorter=by_claims or options.preset == "rlaif-v",
        seed=options.seed,
    )
    picked = best_of_n(pool, rule)
    picked.counts.update(counts + more + doubles)
    return Recipe(
        picked=picked,
        answers=answers,
        pool=pool,
        anchor="chosen_id",
        summary={"answers": answers.height, "margin": margin, "scale": scale},
    )


def _conflicting_answers(dataset: Dataset, sources: Sources) -> tuple[pl.DataFrame, Counter[str]]:
    samples = cand.contestable_samples(dataset)
    if sources.conflicts is not None:
        groups = cand.groups_of_run(dataset.scan(sources.conflicts).collect())
    else:
        groups = cand.conflict_groups(samples)
    answers, counts = cand.conflict_candidates(groups, samples, dataset.current_samples())
    if answers.is_empty():
        raise UsageError(NO_CANDIDATES)
    return answers, counts


def label_range(manifest: Manifest, scores: pl.DataFrame) -> list[float]:
    """Least and greatest mark that the rubric allows.

    The scores' lineage says, else the labels where they are numbers, else the marks themselves.
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
    numbers = labels.cast(pl.Float64, strict=False)
    if labels.len() and not numbers.is_null().any():
        found = numbers
    else:
        found = scores["score"].drop_nulls().drop_nans()
    if found.is_empty():
        return [0.0, 0.0]
    return [float(found.min()), float(found.max())]  # type: ignore[arg-type]


def from_corrections(
    dataset: Dataset, options: BuildOptions, sources: Sources, limit: int | None
) -> Recipe:
    """Spans."""
    answers = _answers(dataset, sources)
    feedback = _verdicts(dataset, sources, limit)
    feedback, dropped = _of_current(dataset, feedback, answers, "response_id")
    texts = dict(answers.select("candidate_id", "text").iter_rows())
    picked = _trimmed(corrections(feedback, texts), options)
    picked.counts["sample_dropped"] += dropped
    return Recipe(
        picked=picked,
        answers=answers,
        pool=answers_of(picked.picks),
        anchor="prompt_id",
        summary={"answers": feedback["response_id"].n_unique()},
    )


def from_verdicts(
    dataset: Dataset, options: BuildOptions, sources: Sources, limit: int | None
) -> Recipe:
    """Comparisons."""
    verdicts = _verdicts(dataset, sources, limit)
    answers = _answers(dataset, sources)
    answers = pl.concat([answers, _own_answers(dataset, verdicts, answers)])
    verdicts, dropped = _of_current(dataset, verdicts, answers, "a")
    rows = answers.select("candidate_id", "sample_id", "text").iter_rows()
    picked = decided(verdicts, {i: (sample, text) for i, sample, text in rows})
    picked.counts["sample_dropped"] += dropped
    if options.margin is not None:
        near = (pl.col("margin") < options.margin).fill_null(value=False)
        far = picked.picks.filter(~near)
        picked.counts["below_margin"] += picked.picks.height - far.height
        picked = dataclasses.replace(picked, picks=far)
    picked = _trimmed(picked, options)
    return Recipe(
        picked=picked,
        answers=answers,
        pool=answers_of(picked.picks),
        anchor="chosen_id",
        summary={"comparisons": verdicts.height},
    )


def _answers(dataset: Dataset, sources: Sources) -> pl.DataFrame:
    """Answers to all samples, dropped ones too: a verdict on those is no broken row."""
    assert sources.answers is not None
    return cand.response_candidates(dataset.scan(sources.answers), dataset.union("samples"))[0]


def _own_answers(dataset: Dataset, verdicts: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Answers of the samples themselves that verdicts are about, as `--baseline sample` makes them."""
    named = pl.concat([verdicts.select(sample_id=side) for side in ("a", "b")]).unique()
    named = named.join(answers, left_on="sample_id", right_on="candidate_id", how="anti")
    samples = dataset.union("samples").join(named.lazy(), on="sample_id", how="semi")
    groups = samples.select("sample_id", prompt_id="sample_id").collect()
    return cand.conflict_candidates(groups, samples, dataset.current_samples())[0]


def _verdicts(dataset: Dataset, sources: Sources, limit: int | None) -> pl.DataFrame:
    rows = dataset.scan(sources.verdicts)
    return (rows if limit is None else rows.head(limit)).collect()


def _of_current(
    dataset: Dataset, rows: pl.DataFrame, answers: pl.DataFrame, column: str
) -> tuple[pl.DataFrame, int]:
    """Rows without those whose answer belongs to a dropped sample, and how many those are."""
    current = dataset.current_samples().select("sample_id").collect()
    gone = answers.join(current, on="sample_id", how="anti").select(
        pl.col("candidate_id").alias(column)
    )
    kept = rows.join(gone, on=column, how="anti", maintain_order="left")
    return kept, rows.height - kept.height


def _trimmed(picked: Picked, options: BuildOptions) -> Picked:
    """Apply the limits that all methods share."""
    picks = at_most(picked.picks, options.max_pairs_per_prompt or 0, options.seed)
    picked.counts["over_pairs_per_prompt"] += picked.picks.height - picks.height
    if options.length_balance:
        before = picks.height
        picks = balance_lengths(picks)
        picked.counts["length_balance"] += before - picks.height
    return Picked(picks=picks, counts=picked.counts, rejects=picked.rejects)


RECIPES: dict[str, Callable[[Dataset, BuildOptions, Sources, int | None], Recipe]] = {
    "best-of-n": from_scores,
    "spans": from_corrections,
    "comparisons": from_verdicts,
    "claims": from_scores,
}
