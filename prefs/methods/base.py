"""What the methods share: picks, seeded draws, lengths of answers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl
import xxhash

from pairwright.text.texts import n_words
from schemas.tables import Pairs

# Columns of picks: pairs before prompt and images are added. `prompt_id` names what answers
# compete on: a sample, or a question that several samples ask.
_OF_PAIRS = ["chosen_id", "rejected_id", "chosen", "rejected", "chosen_score", "rejected_score"]
_OF_PAIRS += ["margin", "chosen_spans", "rejected_spans"]
PICK_SCHEMA = {"prompt_id": pl.String(), **{n: Pairs.columns()[n].dtype for n in _OF_PAIRS}}
PICK_COLUMNS = tuple(PICK_SCHEMA)

# Sides count as equally long within this share; beyond half of the pairs nothing is dropped.
BALANCE_TOLERANCE = 0.02
BALANCE_MOST = 0.5


class Reject(NamedTuple):
    """A row that is broken."""

    row_id: str
    stage: str
    reason: str
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """What a method made of its rows.

    Attributes:
        picks: Rows with `PICK_COLUMNS`.
        counts: Why candidates did not become pairs, by reason.
        rejects: Broken rows.
    """

    picks: pl.DataFrame
    counts: Counter[str]
    rejects: list[Reject]


def picks_frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Picks from dictionaries; columns that are not given are null."""
    return pl.DataFrame(rows, schema=PICK_SCHEMA)


def drawn(ids: pl.Series, seed: int, purpose: str) -> pl.Series:
    """A number for every id that depends on nothing but id, seed and purpose.

    Sorting by it shuffles rows the same way in every version, whatever other rows there are.
    """
    numbers = [xxhash.xxh3_64_intdigest(f"{purpose}\0{i}".encode(), seed=seed) for i in ids]
    return pl.Series(numbers, dtype=pl.UInt64)


def pair_draw(frame: pl.DataFrame, seed: int, purpose: str) -> pl.DataFrame:
    """Add `draw`, a seeded number for every (chosen_id, rejected_id)."""
    keys = pl.concat([frame["chosen_id"], frame["rejected_id"]]).unique()
    numbers = pl.DataFrame({"key": keys, "order": drawn(keys, seed, purpose)})
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


def at_most(picks: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    """At most so many picks a prompt, drawn by the seed; 0: all."""
    if not most:
        return picks
    ranked = pair_draw(picks, seed, "pairs")
    rank = pl.col("order").rank("ordinal").over("prompt_id")
    return ranked.filter(rank <= most).drop("order")


def balance_lengths(picks: pl.DataFrame, *, only_shorter: bool = False) -> pl.DataFrame:
    """Drop the picks that differ most in length until both sides are equally long on average.

    Only picks that lean to the longer side go, the widest first, and never more than half of all.

    Args:
        picks: Rows with `PICK_COLUMNS`.
        only_shorter: Mend only chosen answers that are too short, as RLAIF-V does.
    """
    lengths = picks.select(c=n_words("chosen"), r=n_words("rejected"))
    lean = lengths["c"] - lengths["r"]
    total = int(lean.sum())
    allowed = BALANCE_TOLERANCE * float(lengths["r"].sum() or 0)
    if total > 0 and only_shorter:
        return picks
    if total < 0:
        lean, total = -lean, -total
    gone: list[int] = []
    for place in lean.arg_sort(descending=True):
        if total <= allowed or lean[place] <= 0 or len(gone) >= BALANCE_MOST * picks.height:
            break
        # The last drop may overshoot: keep whichever side of zero is nearer.
        if abs(total - lean[place]) >= total:
            continue
        gone.append(place)
        total -= lean[place]
    keep = pl.int_range(pl.len()).is_in(gone).not_()
    return picks.filter(keep)


def length_statistics(picks: pl.DataFrame) -> dict[str, Any]:
    """How long the two sides are, in words, and how often the chosen one is longer."""
    if picks.is_empty():
        return {}
    frame = picks.select(chosen=n_words("chosen"), rejected=n_words("rejected"))

    def side(name: str) -> dict[str, float]:
        column = frame[name]
        return {
            "mean": round(float(column.mean() or 0), 2),  # type: ignore[arg-type]
            "median": float(column.median() or 0),  # type: ignore[arg-type]
            "p90": float(column.quantile(0.9) or 0),
        }

    longer = (frame["chosen"] > frame["rejected"]).mean()
    shorter = (frame["chosen"] < frame["rejected"]).mean()
    return {
        "chosen_words": side("chosen"),
        "rejected_words": side("rejected"),
        "chosen_longer": round(float(longer or 0), 4),  # type: ignore[arg-type]
        "chosen_shorter": round(float(shorter or 0), 4),  # type: ignore[arg-type]
    }
