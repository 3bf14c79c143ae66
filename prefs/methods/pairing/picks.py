"""Picks: pairs before prompt and images are added. Also the seeded order that samples them."""

from __future__ import annotations

from typing import Any

import polars as pl
import xxhash

from schemas.tables import Pairs

# `prompt_id` names what candidates compete on: a sample, or a question that several samples have.
_OF_PAIRS = ["chosen_id", "rejected_id", "chosen", "rejected", "chosen_score", "rejected_score"]
_OF_PAIRS += ["margin", "chosen_spans", "rejected_spans"]
PICK_SCHEMA = {"prompt_id": pl.String(), **{n: Pairs.columns()[n].dtype for n in _OF_PAIRS}}
PICK_COLUMNS = tuple(PICK_SCHEMA)


def picks_frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Picks from dictionaries; columns that are not given are null."""
    return pl.DataFrame(rows, schema=PICK_SCHEMA)


def as_picks(frame: pl.DataFrame) -> pl.DataFrame:
    """Picks from a frame; columns that it lacks are null, others are left out."""
    missing = [name for name in PICK_COLUMNS if name not in frame.columns]
    filled = frame.with_columns(pl.lit(None, dtype=PICK_SCHEMA[n]).alias(n) for n in missing)
    return filled.select(PICK_COLUMNS)


def seeded_numbers(ids: pl.Series, seed: int, purpose: str) -> pl.Series:
    """A number for every id that depends on nothing but id, seed and purpose.

    Sorting by it shuffles rows the same way in every version, whatever other rows there are.
    """
    numbers = [xxhash.xxh3_64_intdigest(f"{purpose}\0{i}".encode(), seed=seed) for i in ids]
    return pl.Series(numbers, dtype=pl.UInt64)


def with_seeded_order(frame: pl.DataFrame, seed: int, purpose: str) -> pl.DataFrame:
    """Add `order`, a seeded number for every (chosen_id, rejected_id)."""
    keys = pl.concat([frame["chosen_id"], frame["rejected_id"]]).unique()
    numbers = pl.DataFrame({"key": keys, "order": seeded_numbers(keys, seed, purpose)})
    chosen = numbers.rename({"key": "chosen_id", "order": "_c"})
    rejected = numbers.rename({"key": "rejected_id", "order": "_r"})
    # Multiplying by an odd number mixes the two; u64 arithmetic wraps round.
    mixed = pl.col("_c") * pl.lit(0x9E3779B97F4A7C15, dtype=pl.UInt64) + pl.col("_r")
    return (
        frame.join(chosen, on="chosen_id", maintain_order="left")
        .join(rejected, on="rejected_id", maintain_order="left")
        .with_columns(order=mixed)
        .drop("_c", "_r")
    )


def candidates_of(picks: pl.DataFrame) -> pl.DataFrame:
    """The texts that occur in picks, for methods that have no other candidates."""
    sides = [
        picks.select("prompt_id", candidate_id=f"{s}_id", text=s, score=f"{s}_score")
        for s in ("chosen", "rejected")
    ]
    return pl.concat(sides).unique(["prompt_id", "candidate_id"], keep="first", maintain_order=True)
