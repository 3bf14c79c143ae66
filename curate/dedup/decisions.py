"""The decisions of a dedup as rows: kept or removed, for which reason, and because of which row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from curate.dedup.corpus import Corpus
from curate.dedup.state import DedupState
from curate.near.lists import hash_lists, take_lists

if TYPE_CHECKING:
    import polars as pl

_BATCH = 250_000


def decision_frames(state: DedupState, run: str) -> Iterator[pl.DataFrame]:
    """Yield rows of the decisions table in batches: one per sample, in input order."""
    import polars as pl

    ids = state.corpus.sample_ids
    for rows in _batches(state):
        frame = _reasons(state, rows)
        kept_ids = ids.gather(frame["kept_row"])
        yield frame.select(
            ids.gather(rows).alias("sample_id"),
            pl.lit(run).alias("run"),
            "kept",
            "reason",
            "method",
            pl.when(~pl.col("kept")).then(kept_ids).alias("kept_id"),
            "similarity",
            kept_ids.alias("group_id"),
        )


def reason_frames(state: DedupState) -> Iterator[pl.DataFrame]:
    """Yield the decisions with row numbers: `row`, `kept_row`, `kept`, `reason`, `similarity`."""
    for rows in _batches(state):
        yield _reasons(state, rows)


def count_rows(state: DedupState) -> tuple[int, dict[str, int]]:
    """Number of kept rows, and of removed rows by reason."""
    counts: dict[str, int] = {}
    n_kept = 0
    for rows in _batches(state):
        removed = rows[_kept_rows(state, rows) != rows]
        n_kept += len(rows) - len(removed)
        for reason, count in _reasons(state, removed)["reason"].value_counts().iter_rows():
            counts[reason] = counts.get(reason, 0) + count
    return n_kept, dict(sorted(counts.items()))


def _batches(state: DedupState) -> Iterator[np.ndarray]:
    """Rows to decide, in batches; existing samples are not decided."""
    first, last = state.corpus.n_existing, len(state.corpus)
    for start in range(first, max(last, first + 1), _BATCH):
        yield np.arange(start, min(start + _BATCH, last))


def _kept_rows(state: DedupState, rows: np.ndarray) -> np.ndarray:
    """[k] the row of the kept representative of each of k rows."""
    kept: np.ndarray = state.first_row[state.kept[state.item_of_row[rows]]]
    return kept


def _reasons(state: DedupState, rows: np.ndarray) -> pl.DataFrame:
    """Reason and method of the decisions on some rows, with what they are based on."""
    import polars as pl

    options = state.options
    item, kept_row = state.item_of_row[rows], _kept_rows(state, rows)
    frame = pl.DataFrame(
        {
            "row": rows,
            "kept": rows == kept_row,
            "same_text": _same_texts(state.corpus, rows, kept_row) | (options.on == "image"),
            "same_image": _same_images(state.corpus, rows, kept_row) | (options.on == "text"),
            "capped": state.capped[item],
            "text": state.found.text_similarity[item],
            "image": state.found.image_similarity[item],
            "kept_row": kept_row,
        }
    )
    kept, text, image = pl.col("kept"), pl.col("same_text"), pl.col("same_image")
    level = pl.lit(options.image_match)
    return frame.with_columns(
        pl.when(kept).then(pl.lit("kept"))
        .when("capped").then(pl.lit("repeated_answer"))
        .when(text & image).then(pl.lit("exact"))
        .when(image).then(pl.lit("near_text"))
        .when(text).then(pl.lit("near_image"))
        .otherwise(pl.lit("near_text_and_image")).alias("reason"),
        pl.when(kept).then(pl.lit("none"))
        .when("capped").then(pl.lit("answer-cap"))
        .when(text & image).then(pl.lit("exact"))
        .when(image).then(pl.lit("minhash"))
        .when(text).then(level)
        .otherwise(pl.concat_str(pl.lit("minhash+"), level)).alias("method"),
        pl.when(~kept & ~pl.col("capped"))
        .then(pl.col("image" if options.on == "image" else "text")).alias("similarity"),
    )  # fmt: skip


def _same_texts(corpus: Corpus, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[k] whether k rows have the same folded turns as k others."""
    same = _same(corpus.texts_at, corpus.texts, rows, others)
    same &= _same(corpus.texts_at, corpus.roles, rows, others)
    return same


def _same_images(corpus: Corpus, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[k] whether k rows have the same images as k others."""
    return _same(corpus.images_at, corpus.images, rows, others)


def _same(at: np.ndarray, values: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[k] whether the lists of k rows equal those of k others, by their hashes."""
    one, other = (
        hash_lists(starts, values[positions], 7)
        for starts, positions in (take_lists(at, rows), take_lists(at, others))
    )
    equal: np.ndarray = one == other
    return equal
