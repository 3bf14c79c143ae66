"""Samples as items: equal rows become one item, and items of different groups never match."""

from __future__ import annotations

import numpy as np

from curate.dedup.corpus import ASSISTANT, Corpus
from curate.dedup.options import DedupOptions
from curate.near.items import Items
from curate.near.lists import Numbering, first_positions, hash_lists, take_lists

_BATCH = 250_000


def merge_rows(
    corpus: Corpus, component: np.ndarray, options: DedupOptions, ranked: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Items]:
    """Make one item of the rows that are exactly equal.

    Args:
        corpus: n samples.
        component: Component of each image number (`ImageMatches.component`).
        options: What is compared.
        ranked: [n] rows in order of preference.

    Returns:
        [m] the preferred row of each item, [n] the item of each row, and m items in order of
        preference.
    """
    n = len(corpus)
    low, high = np.empty(n, dtype=np.uint64), np.empty(n, dtype=np.uint64)
    for start in range(0, n, _BATCH):
        part = slice(start, min(start + _BATCH, n))
        for half, seed in ((low, 1), (high, 2)):  # equal 128-bit keys mean equal rows
            half[part] = _row_keys(corpus, options, part, seed)
    numbering = Numbering()
    item_of_row = np.empty(n, dtype=np.int32)
    for start in range(0, n, _BATCH):
        rows = ranked[start : start + _BATCH]
        item_of_row[rows] = numbering.number(low[rows], high[rows])
    first_row = ranked[first_positions(item_of_row[ranked], len(numbering))]
    return first_row, item_of_row, row_items(corpus, component, options, first_row)


def _row_keys(corpus: Corpus, options: DedupOptions, part: slice, seed: int) -> np.ndarray:
    """64-bit keys of rows: hashes of what is compared (texts and roles, images)."""
    texts_at = corpus.texts_at[part.start : part.stop + 1]
    images_at = corpus.images_at[part.start : part.stop + 1]
    key = np.zeros(len(texts_at) - 1, dtype=np.uint64)
    if options.on != "image":
        key ^= hash_lists(texts_at, corpus.texts, seed)
        key ^= hash_lists(texts_at, corpus.roles, seed + 10) << np.uint64(1)
    else:  # a row without an image equals no other row
        rows = np.arange(part.start, part.stop)
        unique = hash_lists(np.arange(len(rows) + 1), rows, seed + 20)
        key = np.where(np.diff(images_at) == 0, unique, key)
    key *= np.uint64(0x9E3779B97F4A7C15)
    if options.on != "text":
        key ^= hash_lists(images_at, corpus.images, seed)
    return key


def row_items(
    corpus: Corpus, component: np.ndarray, options: DedupOptions, rows: np.ndarray
) -> Items:
    """The items of some rows; existing samples come first in `rows`."""
    texts_at, turns = take_lists(corpus.texts_at, rows)
    images_at, images = take_lists(corpus.images_at, rows)
    images = corpus.images[images]
    checks = wording_checks(corpus, turns, options.word_check and options.on == "sample")
    groups = np.zeros(len(rows), dtype=np.uint64)
    if options.on != "text":
        groups ^= hash_lists(images_at, component[images], 3)
    if options.on == "image":
        no_image = np.diff(images_at) == 0
        groups[no_image] ^= hash_lists(np.arange(len(rows) + 1), rows, 5)[no_image]
        texts_at = np.zeros(len(rows) + 1, dtype=np.int64)
        turns, checks = turns[:0], checks[:0]
    else:
        groups ^= hash_lists(texts_at, corpus.roles[turns], 4)
    n_existing = int((rows < corpus.n_existing).sum())
    return Items(texts_at, corpus.texts[turns], checks, images_at, images, groups, n_existing)


def question_items(
    corpus: Corpus,
    component: np.ndarray,
    options: DedupOptions,
    rows: np.ndarray,
    texts_at: np.ndarray,
    turns: np.ndarray,
) -> Items:
    """The items of questions with their context.

    Args:
        corpus: The samples.
        component: Component of each image number.
        options: What is compared.
        rows: [m] sample of each question.
        texts_at: [m + 1] offsets of the turns of each question and its context.
        turns: Positions of these turns in the corpus.
    """
    images_at, images = take_lists(corpus.images_at, rows)
    images = corpus.images[images]
    groups = hash_lists(images_at, component[images], 3)
    groups ^= hash_lists(texts_at, corpus.roles[turns], 4)
    checks = wording_checks(corpus, turns, options.word_check)
    return Items(texts_at, corpus.texts[turns], checks, images_at, images, groups)


def wording_checks(corpus: Corpus, turns: np.ndarray, check: bool) -> np.ndarray:
    """How strictly the wording of turns is compared (`CHECK_*`): as questions or as answers."""
    from curate.near.kernels import matching as kernels

    if not check:
        return np.full(len(turns), kernels.CHECK_NONE, dtype=np.uint8)
    is_answer = corpus.roles[turns] == ASSISTANT
    checks = np.where(is_answer, kernels.CHECK_ANSWER, kernels.CHECK_QUESTION)
    return np.asarray(checks, dtype=np.uint8)
