"""Texts that compete: responses of a policy, or conflicting answers in the samples."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from pairwright.dataset.ids import stable_id
from pairwright.text.conversation import split_answer
from pairwright.text.texts import folded, normalised
from schemas.tables import Responses

CANDIDATE_SCHEMA = {
    "prompt_id": pl.String(),
    "candidate_id": pl.String(),
    "sample_id": pl.String(),
    "text": pl.String(),
    "prompt": Responses.columns()["prompt"].dtype,
    "image_ids": pl.List(pl.String()),
    "model": pl.String(),
    "adapter": pl.String(),
    # Whether it may be the chosen one.
    "can_win": pl.Boolean(),
}


def response_candidates(
    responses: pl.LazyFrame, samples: pl.LazyFrame
) -> tuple[pl.DataFrame, Counter[str]]:
    """Responses to samples, in the order of the samples and of their sampling.

    Args:
        responses: Rows of the responses table.
        samples: Samples whose responses count.

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
        # A truncated response would teach the model never to end.
        can_win=pl.col("finish_reason").fill_null("stop") != "length",
    ).collect()
    current = samples.select("sample_id", "image_ids").collect().with_row_index("position")
    found = frame.join(current, on="sample_id")
    counts = Counter({"sample_dropped": frame.height - found.height})
    return found.sort("position", "index", "candidate_id").select(list(CANDIDATE_SCHEMA)), counts


def conflict_groups(samples: pl.LazyFrame) -> pl.DataFrame:
    """Samples with the same question about the same images, and different answers.

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


def sample_candidates(
    groups: pl.DataFrame, samples: pl.LazyFrame, current: pl.LazyFrame
) -> tuple[pl.DataFrame, Counter[str]]:
    """The samples' own answers.

    Args:
        groups: `prompt_id`, `sample_id` and perhaps `answer`.
        samples: Samples whose answers may be the rejected ones.
        current: Samples whose answers may be the chosen ones.

    Returns:
        Candidates in the order of the groups, and counts of what is left out.
    """
    wanted = samples.select("sample_id", "image_ids", "messages")
    rows = groups.join(wanted.collect(), on="sample_id", maintain_order="left")
    counts = Counter({"sample_dropped": groups.height - rows.height})
    may_win = set(current.select("sample_id").collect()["sample_id"])
    out: list[dict[str, Any]] = []
    for row in rows.iter_rows(named=True):
        messages = row["messages"]
        if messages[-1]["role"] != "assistant":
            counts["no_answer"] += 1
            continue
        prompt, answer = split_answer(messages)
        if row.get("answer") is not None and folded(row["answer"]) != folded(answer):
            # The conflict is about an earlier turn; its score would be of the last one.
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
                "can_win": row["sample_id"] in may_win,
            }
        )
    return pl.DataFrame(out, schema=CANDIDATE_SCHEMA), counts


def first_prompts(candidates: pl.DataFrame, limit: int | None) -> pl.DataFrame:
    """Candidates of the first prompts only."""
    if limit is None:
        return candidates
    kept = candidates["prompt_id"].unique(maintain_order=True).head(limit)
    return candidates.filter(pl.col("prompt_id").is_in(kept.implode()))


def without_dropped(
    rows: pl.DataFrame, candidates: pl.DataFrame, current: pl.LazyFrame, column: str
) -> tuple[pl.DataFrame, int]:
    """Rows without those about a candidate of a dropped sample, and how many those are.

    Args:
        rows: Rows about candidates, such as feedback or comparisons.
        candidates: Candidates of all samples.
        current: Current samples.
        column: Column of the rows that names a candidate.
    """
    kept_ids = current.select("sample_id").collect()
    dropped = candidates.join(kept_ids, on="sample_id", how="anti").select(
        pl.col("candidate_id").alias(column)
    )
    kept = rows.join(dropped, on=column, how="anti", maintain_order="left")
    return kept, rows.height - kept.height
