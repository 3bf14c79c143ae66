"""The prompts that responses are sampled for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pairwright.dataset.ids import stable_id
from pairwright.errors import UsageError
from pairwright.text.conversation import prompt_of

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest, RunKey
    from pairwright.dataset.store import Dataset


def conflicts_run(dataset: Dataset) -> Manifest:
    """The active run of conflicts.

    Raises:
        UsageError: If there is none.
    """
    found = dataset.pick("conflicts", steps={"dedup"})
    if found is None:
        msg = "--only-conflicts needs a run of conflicts, and there is none: make one with `curate dedup`"
        raise UsageError(msg)
    return found


def read_prompts(
    dataset: Dataset, conflicts: Manifest | None, *, for_run: RunKey, limit: int | None
) -> pl.DataFrame:
    """Distinct prompts of the current samples, each with the first sample that has it.

    Args:
        dataset: The dataset.
        conflicts: Take only samples that are in this run of conflicts.
        for_run: The run of responses; decisions that were made on it do not count.
        limit: Take only so many of the first prompts.

    Returns:
        `sample_id`, `image_ids` and `messages`.
    """
    import polars as pl

    frame = dataset.current_samples(for_run=for_run).select("sample_id", "image_ids", "messages")
    if conflicts is not None:
        pairs = dataset.scan(conflicts)
        ids = pl.concat([pairs.select("sample_id"), pairs.select(sample_id="other_id")]).unique()
        frame = frame.join(ids, on="sample_id", how="semi", maintain_order="left")
    collected = frame.collect()
    prompts = [prompt_of(messages) for messages in collected["messages"].to_list()]
    keys = [
        stable_id(json.dumps([ids, prompt], ensure_ascii=False))
        for ids, prompt in zip(collected["image_ids"].to_list(), prompts, strict=True)
    ]
    distinct = collected.with_columns(pl.Series("_key", keys, dtype=pl.String)).unique(
        "_key", keep="first", maintain_order=True
    )
    return (distinct if limit is None else distinct.head(limit)).drop("_key")
