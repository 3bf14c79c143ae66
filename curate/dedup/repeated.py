"""Long answers that are repeated on several images: counted, and capped on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curate.dedup.corpus import ASSISTANT
from curate.dedup.state import DedupState
from curate.near.lists import hash_lists, take_lists

if TYPE_CHECKING:
    import polars as pl

# An answer with at least this many words is counted if several images have it.
LONG_ANSWER = 12


def cap_answers(state: DedupState) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Count long last answers that several images have; apply `--answer-cap` to them.

    Returns:
        [m] kept representative of each item, [m] whether the cap dropped the item, and numbers for
        the report.
    """
    import polars as pl

    frame = _repeated(state)
    counts = {
        "repeated_answers": frame["answer"].n_unique(),
        "repeated_answer_rows": frame.height,
    }
    cap = state.options.answer_cap
    if cap is None or frame.is_empty() or state.options.on != "sample":
        return state.kept, np.zeros(len(state.items), dtype=bool), counts
    over = frame.with_columns(
        rank=pl.int_range(pl.len()).over("answer"), first=pl.col("item").first().over("answer")
    ).filter((pl.col("rank") >= cap) & (pl.col("item") >= state.items.n_existing))
    replaced_by = np.arange(len(state.items))
    replaced_by[over["item"].to_numpy()] = over["first"].to_numpy()
    kept = replaced_by[state.kept]
    return kept, kept != state.kept, counts


def _repeated(state: DedupState) -> pl.DataFrame:
    """`item`, `answer`, `images` (hash) of kept items whose long answer several images have."""
    import polars as pl

    corpus, items = state.corpus, state.kept_items
    rows = state.first_row[items]
    last_turn = corpus.texts_at[rows + 1] - 1
    has_turns = last_turn >= corpus.texts_at[rows]
    items, rows, last_turn = items[has_turns], rows[has_turns], last_turn[has_turns]
    answer = corpus.texts[last_turn]
    long = corpus.roles[last_turn] == ASSISTANT
    long &= corpus.features.n_words[answer] >= LONG_ANSWER
    long &= np.bincount(answer, minlength=corpus.n_texts)[answer] > 1
    items, rows, answer = items[long], rows[long], answer[long]
    at, positions = take_lists(corpus.images_at, rows)
    return pl.DataFrame(
        {"item": items, "answer": answer, "images": hash_lists(at, corpus.images[positions], 6)}
    ).filter(pl.col("images").n_unique().over("answer") > 1)
