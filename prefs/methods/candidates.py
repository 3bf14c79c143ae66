"""Answers that compete: responses of a policy, or conflicting answers in the samples."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import polars as pl

from pairwright.dataset.ids import stable_id
from pairwright.text.conversation import split_answer
from pairwright.text.texts import folded, normalised
from schemas.tables import Responses

if TYPE_CHECKING:
    from pairwright.dataset.store import Dataset

CANDIDATE_SCHEMA = {
    "prompt_id": pl.String(),
    "candidate_id": pl.String(),
    "sample_id": pl.String(),
    "text": pl.String(),
    "prompt": Responses.columns()["prompt"].dtype,
    "image_ids": pl.List(pl.String()),
    "model": pl.String(),
    "adapter": pl.String(),
    "can_win": pl.Boolean(),
}


def response_candidates(
    responses: pl.LazyFrame, samples: pl.LazyFrame
) -> tuple[pl.DataFrame, Counter[str]]:
    """Responses to current samples, in the order of the samples and the draws.

    Args:
        responses: Rows of the responses table.
        samples: Current samples.

    Returns:
        Candidates, and how many responses are left out because their sample is.
    """
    frame = responses.select(
        "sample_id",
        "text",
        "prompt",
        "model",
        "adapter",
        "index",
        prompt_id=pl.col("sample_id"),
        candidate_id=pl.col("response_id"),
        # An answer that was cut off teaches never to end.
        can_win=pl.col("finish_reason").fill_null("stop") != "length",
    ).collect()
    current = samples.select("sample_id", "image_ids").collect().with_row_index("place")
    found = frame.join(current, on="sample_id")
    counts = Counter({"sample_dropped": frame.height - found.height})
    return found.sort("place", "index", "candidate_id").select(list(CANDIDATE_SCHEMA)), counts


def conflict_groups(samples: pl.LazyFrame) -> pl.DataFrame:
    """Samples that ask the same of the same images and answer differently.

    Args:
        samples: The samples to look at.

    Returns:
        `prompt_id` (one a question) and `sample_id`.
    """
    contents = pl.col("messages").list.eval(pl.element().struct.field("content"))
    roles = pl.col("messages").list.eval(pl.element().struct.field("role"))
    keyed = (
        samples.filter(roles.list.last() == "assistant")
        .select(
            "sample_id",
            images=pl.col("image_ids").list.join("\n"),
            question=contents.list.head(pl.col("messages").list.len() - 1).list.join("\0"),
            answer=contents.list.last(),
        )
        .with_columns(question=normalised("question"), answer=normalised("answer"))
        .filter(pl.col("answer").n_unique().over("images", "question") > 1)
        .collect()
    )
    ids = [stable_id(i, q) for i, q in zip(keyed["images"], keyed["question"], strict=True)]
    return keyed.select(pl.Series("prompt_id", ids, dtype=pl.String()), "sample_id")


def groups_of_run(conflicts: pl.DataFrame) -> pl.DataFrame:
    """Groups of a conflicts run.

    Returns:
        `prompt_id`, `sample_id`, and `answer` as the run has it.
    """
    sides = [
        conflicts.select(prompt_id="group_id", sample_id=f"{s}_id", answer=a)
        for s, a in (("sample", "answer"), ("other", "other_answer"))
    ]
    return pl.concat(sides).unique(["prompt_id", "sample_id"], keep="first", maintain_order=True)


def conflict_candidates(
    groups: pl.DataFrame, samples: pl.LazyFrame, current: pl.LazyFrame
) -> tuple[pl.DataFrame, Counter[str]]:
    """Answers of samples that ask the same.

    Args:
        groups: `prompt_id`, `sample_id` and perhaps `answer`.
        samples: Samples whose answers may be rejected ones.
        current: Samples whose answers may be chosen ones.

    Returns:
        Candidates in the order of the groups, and counts of what is left out.
    """
    wanted = samples.select("sample_id", "image_ids", "messages")
    rows = groups.join(wanted.collect(), on="sample_id", maintain_order="left")
    counts = Counter({"sample_dropped": groups.height - rows.height})
    fit = set(current.select("sample_id").collect()["sample_id"])
    out: list[dict[str, Any]] = []
    for row in rows.iter_rows(named=True):
        messages = row["messages"]
        if messages[-1]["role"] != "assistant":
            counts["no_answer"] += 1
            continue
        prompt, answer = split_answer(messages)
        if row.get("answer") is not None and folded(row["answer"]) != folded(answer):
            # The conflict is about an earlier turn; its mark would be of the last one.
            counts["not_last_turn"] += 1
            continue
        out.append(
            {
                "prompt_id": row["prompt_id"],
                "candidate_id": row["sample_id"],
                "sample_id": row["sample_id"],
                "text": answer,
                "prompt": prompt,
                "image_ids": row["image_ids"],
                "can_win": row["sample_id"] in fit,
            }
        )
    return pl.DataFrame(out, schema=CANDIDATE_SCHEMA), counts


def first_prompts(candidates: pl.DataFrame, limit: int | None) -> pl.DataFrame:
    """Candidates of the first prompts only."""
    if limit is None:
        return candidates
    kept = candidates["prompt_id"].unique(maintain_order=True).head(limit)
    return candidates.filter(pl.col("prompt_id").is_in(kept.implode()))


def contestable_samples(dataset: Dataset) -> pl.LazyFrame:
    """Current samples and those that only their mark drops: the worse answers of conflicts."""
    frame = dataset.union("samples")
    for manifest in dataset.active("decisions").values():
        by_mark = pl.col("reason").str.contains("score")
        dropped = dataset.scan(manifest).filter(~pl.col("kept") & ~by_mark)
        frame = frame.join(
            dropped.select("sample_id"), on="sample_id", how="anti", maintain_order="left"
        )
    return frame
