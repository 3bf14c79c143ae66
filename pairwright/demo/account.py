"""What was planted, found, lost: only this module reads the answer key of the demo."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

COPIES = ("exact_copy", "reencoded_copy", "reworded_copy")
WRONG = ("wrong_answer", "yes_bias")


class Fault(NamedTuple):
    """One kind of fault, counted.

    Attributes:
        kind: As in the key.
        planted: Rows with it.
        found: Rows of it that were dropped; for duplicates, pairs of which one row was dropped.
        by: Found by step.
    """

    kind: str
    planted: int
    found: int
    by: dict[str, int]


class Account(NamedTuple):
    """The whole account.

    Attributes:
        rows_in: Rows that were ingested.
        rows_kept: Rows that no step dropped.
        faults: Every kind of fault.
        good: Rows without a fault; of a pair of duplicates the first row only.
        good_lost: Good rows that dedup dropped though it kept no row of the same meaning, and good
            rows that a later step dropped.
    """

    rows_in: int
    rows_kept: int
    faults: list[Fault]
    good: int
    good_lost: int


def read_key(path: Path) -> pl.DataFrame:
    """The answer key: id, fault, original_id, true_answer, meaning (image and question)."""
    lines = path.read_text(encoding="utf-8").splitlines()
    schema = dict.fromkeys(("id", "fault", "original_id", "true_answer", "meaning"), pl.String)
    return pl.DataFrame([json.loads(line) for line in lines], schema=schema)


def account(key: pl.DataFrame, dropped: Mapping[str, set[str]]) -> Account:
    """Compare what the steps dropped with the key.

    Args:
        key: As `read_key` gives it.
        dropped: Source ids that each step dropped, by step in their order.
    """
    gone = set().union(*dropped.values())
    faults = []
    for kind in key["fault"].unique(maintain_order=True).sort().to_list():
        if kind == "none":
            continue
        rows = key.filter(pl.col("fault") == kind)
        by = {}
        for step, ids in dropped.items():
            either = rows["id"].is_in(list(ids))
            if kind in COPIES:
                # Either of two equal rows may be dropped; one must be.
                either = either | rows["original_id"].is_in(list(ids))
                if step != "dedup":
                    either = either & False
            by[step] = int(either.sum())
        found = by["dedup"] if kind in COPIES else int(rows["id"].is_in(list(gone)).sum())
        faults.append(Fault(kind, rows.height, found, by))
    good = key.filter(pl.col("fault") == "none")
    kept = key.filter(
        ~pl.col("id").is_in(list(dropped["dedup"])) & ~pl.col("fault").is_in(list(WRONG))
    )["meaning"].unique()
    later = set().union(*(ids for step, ids in dropped.items() if step != "dedup"))
    lost = good.filter(
        (pl.col("id").is_in(list(dropped["dedup"])) & ~pl.col("meaning").is_in(kept.to_list()))
        | pl.col("id").is_in(list(later))
    )
    return Account(key.height, key.height - len(gone), faults, good.height, lost.height)


def judge_quality(key: pl.DataFrame, scores: pl.DataFrame) -> dict[str, Any]:
    """Agreement of the judge's scores with the truth, over all scored rows.

    Args:
        key: As `read_key` gives it.
        scores: source_id and score of every scored row, and the answer that was scored.

    Returns:
        accuracy at the middle of the scale, area under the ROC curve, n.
    """
    joined = scores.join(key, left_on="source_id", right_on="id").drop_nulls("score")
    right = joined["answer"] == joined["true_answer"]
    middle = (float(joined["score"].max()) + float(joined["score"].min())) / 2  # type: ignore[arg-type]
    accuracy = ((joined["score"] > middle) == right).mean()
    ranks = joined["score"].rank("average")
    positives, negatives = int(right.sum()), int((~right).sum())
    area = None
    if positives and negatives:
        total = float(ranks.filter(right).sum()) - positives * (positives + 1) / 2
        area = total / (positives * negatives)
    return {"n": joined.height, "accuracy": accuracy, "auc": area, "fraction_right": right.mean()}
