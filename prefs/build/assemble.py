"""From picks to rows of the pairs table: prompt, images, policy and ids."""

from __future__ import annotations

from typing import Any

import polars as pl

from pairwright.dataset.ids import stable_id
from pairwright.text.conversation import count_images
from prefs.methods.base import InvalidRow
from schemas.tables import Pairs


def assemble(
    picks: pl.DataFrame,
    candidates: pl.DataFrame,
    prompt_from: str,
    *,
    method: str,
    control: str | None = None,
) -> tuple[pl.DataFrame, list[InvalidRow]]:
    """Add prompt, images and policy to picks.

    Args:
        picks: Rows of `picks_frame`.
        candidates: Rows of `CANDIDATE_SCHEMA`.
        prompt_from: Column of the picks that names the candidate whose prompt the pair gets.
        method: Name of the method.
        control: Name of the control, if it is one.

    Returns:
        Rows of the pairs table, and picks whose prompt has more or fewer placeholders than images.
    """
    prompts = candidates.select("candidate_id", "sample_id", "prompt", "image_ids")
    joined = picks.join(
        prompts.rename({"candidate_id": prompt_from}), on=prompt_from, maintain_order="left"
    )
    joined = _with_policy(joined, candidates)
    keys = joined.select("sample_id", "chosen", "rejected").iter_rows()
    ids = [stable_id(*key, method, control or "") for key in keys]
    joined = joined.with_columns(
        pl.Series("pair_id", ids, dtype=pl.String()),
        method=pl.lit(method),
        control=pl.lit(control, dtype=pl.String()),
    ).unique("pair_id", keep="first", maintain_order=True)
    rows = zip(joined["prompt"].to_list(), joined["image_ids"].to_list(), strict=True)
    complete = [count_images(prompt) == len(image_ids) for prompt, image_ids in rows]
    fits = pl.Series(complete, dtype=pl.Boolean)
    invalid = [
        InvalidRow(
            pair_id,
            "prompt",
            "image_placeholders",
            f"the prompt has not as many `<image>` placeholders as sample {sample_id} has images",
        )
        for pair_id, sample_id in joined.filter(~fits).select("pair_id", "sample_id").iter_rows()
    ]
    wanted = [name for name in Pairs.columns() if name in joined.columns]
    return joined.filter(fits).select(wanted), invalid


def _with_policy(joined: pl.DataFrame, candidates: pl.DataFrame) -> pl.DataFrame:
    """Add the model that made both sides, where it is one."""
    for side in ("chosen", "rejected"):
        made_by = candidates.select(
            pl.col("candidate_id").alias(f"{side}_id"),
            pl.struct("model", "adapter").alias(f"_{side}_by"),
        )
        joined = joined.join(made_by, on=f"{side}_id", how="left", maintain_order="left")
    one = pl.coalesce("_chosen_by", "_rejected_by")
    same = (pl.coalesce("_rejected_by", "_chosen_by") == one).fill_null(value=False)
    return joined.with_columns(policy=pl.when(same).then(one.struct.field("model")))


def policy_of(pairs: pl.DataFrame, candidates: pl.DataFrame) -> dict[str, Any] | None:
    """The one model, with its adapter, that made both sides of all pairs; `None` if there is none."""
    ids = pl.concat([pairs["chosen_id"], pairs["rejected_id"]]).unique()
    used = candidates.filter(pl.col("candidate_id").is_in(ids.implode()))
    found = used.select("model", "adapter").unique(maintain_order=True).to_dicts()
    return found[0] if len(found) == 1 and found[0]["model"] else None
