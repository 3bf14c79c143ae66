"""Same question, same images, different answers: preference candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curate._items import ASSISTANT, hash_lists, take_lists
from curate._star import Items, conflicts, star
from pairwright.conversation import plain_text, unescape
from pairwright.ids import stable_id

# A question without an image that has more answers than this ("describe the image" in rows that lost
# theirs) asks for no particular one.
OPEN_QUESTION = 20

if TYPE_CHECKING:
    import polars as pl

    from curate._decide import Work


def find_conflicts(work: Work, run: str) -> tuple[pl.DataFrame, dict[str, int]]:
    """Kept samples that answer one question on the same images differently.

    In a conversation of several turns the question stands in its context: the turns before it must
    match as well, so that two conversations are set against each other where they part.

    Returns:
        Rows of the conflicts table, and figures.
    """
    figures = {"conflict_rows_cut_short": 0, "open_questions": 0, "open_question_rows": 0}
    if work.options.on != "sample":
        return _empty(), figures
    kept = work.first_row[work.kept == np.arange(len(work.items))]
    rows, turns = _questions(work, kept)
    items = _as_items(work, rows, turns)
    shared = _shared(items.groups)
    rows, turns, items = rows[shared], turns[shared], _as_items(work, rows[shared], turns[shared])
    threshold = work.options.threshold
    stars = star(
        items, work.texts, work.alike.side, threshold=threshold, num_perm=work.options.num_perm
    )
    leaders = _leaders(items, stars.kept, figures)
    answers = work.corpus.texts[work.corpus.texts_at[rows] + turns]
    a, b, value, cut = conflicts(
        items, answers, leaders, work.texts, work.alike.side,
        threshold=threshold, most=work.options.conflicts_per_row,
    )  # fmt: skip
    figures["conflict_rows_cut_short"] = cut
    return _rows(work, rows[a], rows[b], turns[a], rows[leaders[a]], value, run), figures


def _leaders(items: Items, leaders: np.ndarray, figures: dict[str, int]) -> np.ndarray:
    """First of the like questions of each, open questions taken apart and counted."""
    size = np.bincount(leaders, minlength=len(items))
    is_open = (np.diff(items.images_at) == 0) & (size[leaders] > OPEN_QUESTION)
    figures["open_questions"] = int(np.unique(leaders[is_open]).size)
    figures["open_question_rows"] = int(is_open.sum())
    return np.where(is_open, np.arange(len(items), dtype=leaders.dtype), leaders)


def _questions(work: Work, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sample and turn of every answer that follows something."""
    at, places = take_lists(work.corpus.texts_at, kept)
    turn = np.arange(len(places)) - np.repeat(at[:-1], np.diff(at))
    answers = (work.corpus.roles[places] == ASSISTANT) & (turn > 0)
    return np.repeat(kept, np.diff(at))[answers], turn[answers]


def _as_items(work: Work, rows: np.ndarray, turns: np.ndarray) -> Items:
    """The turns before an answer, as items."""
    from curate import _kernels_star as kernels

    corpus = work.corpus
    texts_at = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(turns, out=texts_at[1:])
    places = np.arange(texts_at[-1]) + np.repeat(corpus.texts_at[rows] - texts_at[:-1], turns)
    images_at, image_places = take_lists(corpus.images_at, rows)
    roles, images = corpus.roles[places], corpus.images[image_places]
    kinds = np.full(len(places), kernels.WORDS_ANY, dtype=np.uint8)
    if work.options.word_check:
        kinds = np.where(roles == ASSISTANT, kernels.WORDS_ANSWER, kernels.WORDS_QUESTION)
    groups = hash_lists(images_at, work.alike.component[images], 3)
    groups ^= hash_lists(texts_at, roles, 4)
    return Items(texts_at, corpus.texts[places], kinds.astype(np.uint8), images_at, images, groups)


def _shared(groups: np.ndarray) -> np.ndarray:
    """Places of groups that occur more than once."""
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[inverse] > 1)


def _rows(
    work: Work,
    first: np.ndarray,
    second: np.ndarray,
    turns: np.ndarray,
    heads: np.ndarray,
    value: np.ndarray,
    run: str,
) -> pl.DataFrame:
    import polars as pl

    if not len(first):
        return _empty()
    ids = work.samples["sample_id"]
    chosen = np.unique(np.r_[first, second])
    messages = dict(
        zip(chosen.tolist(), work.samples["messages"].gather(chosen).to_list(), strict=True)
    )
    at = list(zip(first.tolist(), second.tolist(), turns.tolist(), strict=True))
    a, b, group = (ids.gather(rows).to_list() for rows in (first, second, heads))
    return pl.DataFrame(
        {
            "conflict_id": [stable_id("conflict", *key) for key in zip(a, b, turns, strict=True)],
            "run": [run] * len(a),
            "group_id": [
                stable_id("question", head, turn) for head, turn in zip(group, turns, strict=True)
            ],
            "sample_id": a,
            "other_id": b,
            "question": [plain_text(_said(messages[i], k - 1)) for i, _, k in at],
            "answer": [unescape(_said(messages[i], k)) for i, _, k in at],
            "other_answer": [unescape(_said(messages[j], k)) for _, j, k in at],
            "similarity": value,
            "turn": turns.astype(np.int32),
        }
    )


def _said(messages: list[dict[str, str]], turn: int) -> str:
    spoken = [message for message in messages if message and message["role"] is not None]
    return spoken[turn]["content"] or ""


def _empty() -> pl.DataFrame:
    import polars as pl

    names = ("conflict_id", "run", "group_id", "sample_id", "other_id", "question", "answer")
    return pl.DataFrame(
        schema={
            **dict.fromkeys((*names, "other_answer"), pl.String),
            "similarity": pl.Float64,
            "turn": pl.Int32,
        }
    )
