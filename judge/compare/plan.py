"""Which pairs a run of comparisons asks about."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from judge.compare.options import CompareOptions
from judge.compare.pairing import Pair, against_baseline, default_rounds, round_robin, swiss_rounds
from judge.pairwise.groups import SAMPLE, Group

if TYPE_CHECKING:
    from pairwright.dataset.manifest import Manifest, RunKey
    from pairwright.dataset.store import Dataset


def pairs_of(
    group: Group,
    options: CompareOptions,
    *,
    result_of: Callable[[Pair], float | None],
    number: int,
) -> list[Pair]:
    """Pairs of a sample's responses in a round; only swiss has several rounds.

    Args:
        group: The responses.
        options: The pairing.
        result_of: The win of `a` in a pair, if the pair was compared.
        number: Of the round, from 1.
    """
    ids = list(group.responses)
    sample = group.question.sample_id
    if options.scheme == "swiss":
        if number > (options.rounds or default_rounds(len(ids))):
            return []
        return swiss_rounds(
            ids, result_of, rounds=number, sample=sample, seed=options.seed, excluded=group.same
        )
    if options.scheme == "round-robin":
        return round_robin(
            ids, sample=sample, seed=options.seed, max_pairs=options.max_pairs, excluded=group.same
        )
    baseline = _baseline(group, str(options.baseline))
    if baseline is None:
        return []
    # Other responses of the baseline's model are no evidence about another model.
    others = [i for i, one in group.responses.items() if one.model != options.baseline]
    return against_baseline(
        others, baseline, sample=sample, seed=options.seed, max_pairs=options.max_pairs,
        excluded=group.same,
    )  # fmt: skip


def _baseline(group: Group, name: str) -> str | None:
    if name == SAMPLE:
        return group.question.sample_id
    return next((i for i, one in group.responses.items() if one.model == name), None)


def count_pairs(
    dataset: Dataset,
    responses: Manifest,
    options: CompareOptions,
    *,
    for_run: RunKey,
    limit: int | None,
) -> int:
    """Maximum number of pairs per criterion; pairs with the same text are not left out."""
    import polars as pl

    counts = dataset.scan(responses).group_by("sample_id").agg(n=pl.len())
    found = counts.collect(engine="streaming")
    total, left = 0, limit
    # In the order in which samples are asked about: a limit takes the first of them.
    for samples in dataset.current_batches(["sample_id"], for_run=for_run):
        each = samples.join(found, on="sample_id", how="inner", maintain_order="left")["n"]
        if left is not None:
            each = each.head(left)
            left -= each.len()
        total += sum(_pairs_of_n(n, options) for n in each)
        if left == 0:
            break
    return total


def _pairs_of_n(n: int, options: CompareOptions) -> int:
    if options.scheme == "swiss":
        return min((options.rounds or default_rounds(n)) * (n // 2), n * (n - 1) // 2)
    if options.scheme == "baseline":
        found = n if options.baseline == SAMPLE else n - 1
    else:
        found = n * (n - 1) // 2
    return found if options.max_pairs is None else min(found, options.max_pairs)
