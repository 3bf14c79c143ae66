"""Which pairs a run of comparisons asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from judge.compare.options import CompareOptions
from judge.compare.pairing import Pair, against_baseline, default_rounds, round_robin, swiss_rounds
from judge.pairwise.groups import SAMPLE, Group
from pairwright.dataset.manifest import RunKey

if TYPE_CHECKING:
    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset


def pairs_of(
    group: Group,
    options: CompareOptions,
    *,
    result_of: Callable[[Pair], float | None],
    number: int,
) -> list[Pair]:
    """Pairs of a sample's answers in a round (there is one, but for swiss).

    Args:
        group: The answers.
        options: The pairing.
        result_of: Share of the win that a got, where the two have met.
        number: Of the round, from 1.
    """
    ids = list(group.answers)
    sample = group.question.sample_id
    if options.scheme == "swiss":
        if number > (options.rounds or default_rounds(len(ids))):
            return []
        return swiss_rounds(
            ids, result_of, rounds=number, sample=sample, seed=options.seed, never=group.same
        )
    if options.scheme == "round-robin":
        return round_robin(
            ids, sample=sample, seed=options.seed, most=options.max_pairs, never=group.same
        )
    base = _baseline(group, str(options.baseline))
    if base is None:
        return []
    # Other answers of the baseline's model say nothing of another model.
    others = [i for i, answer in group.answers.items() if answer.model != options.baseline]
    return against_baseline(
        others, base, sample=sample, seed=options.seed, most=options.max_pairs, never=group.same
    )


def _baseline(group: Group, name: str) -> str | None:
    if name == SAMPLE:
        return group.question.sample_id
    return next((i for i, answer in group.answers.items() if answer.model == name), None)


def most_pairs(
    dataset: Dataset,
    responses: Manifest,
    options: CompareOptions,
    *,
    for_run: RunKey,
    limit: int | None,
) -> int:
    """Pairs a criterion if no two answers say the same."""
    import polars as pl

    counts = dataset.scan(responses).group_by("sample_id").agg(n=pl.len())
    found = counts.collect(engine="streaming")
    total, left = 0, limit
    # In the order in which they are asked: a limit takes the first of them.
    for samples in dataset.current_batches(["sample_id"], for_run=for_run):
        each = samples.join(found, on="sample_id", how="inner", maintain_order="left")["n"]
        if left is not None:
            each = each.head(left)
            left -= each.len()
        total += sum(_most(n, options) for n in each)
        if left == 0:
            break
    return total


def _most(n: int, options: CompareOptions) -> int:
    if options.scheme == "swiss":
        return min((options.rounds or default_rounds(n)) * (n // 2), n * (n - 1) // 2)
    if options.scheme == "baseline":
        found = n if options.baseline == SAMPLE else n - 1
    else:
        found = n * (n - 1) // 2
    return found if options.max_pairs is None else min(found, options.max_pairs)
