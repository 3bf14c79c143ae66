"""Same question, same images, different answers: preference candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate.near.items import ASSISTANT
from curate.near.lists import Numbering, hash_lists, take_lists
from curate.near.star import Items, conflicts, star
from pairwright.dataset.ids import stable_id
from pairwright.text.conversation import plain_text, unescape

# A question without an image that has more answers than this ("describe the image" in rows that lost
# theirs) asks for no particular one.
OPEN_QUESTION = 20
# Conflicts are handed on in frames of so many rows.
_CHUNK = 200_000

if TYPE_CHECKING:
    import polars as pl

    from curate.dedup.decide import Work


@dataclass(frozen=True, slots=True)
class _Asked:
    """Questions: the turns of a sample before one of its answers.

    Attributes:
        rows: The sample of each.
        turns: The turn of its answer.
    """

    rows: np.ndarray
    turns: np.ndarray

    def __getitem__(self, places: np.ndarray) -> _Asked:
        return _Asked(self.rows[places], self.turns[places])


def find_conflicts(
    work: Work, run: str
) -> tuple[Callable[[], Iterator[pl.DataFrame]], dict[str, int]]:
    """Kept samples that answer one question on the same images differently.

    In a conversation of several turns the question stands in its context: the turns before it must
    match as well, so that two conversations are set against each other where they part.

    Returns:
        Gives rows of the conflicts table, and figures.
    """
    figures = {
        "conflicts": 0, "conflicting_questions": 0, "conflict_rows_cut_short": 0,
        "open_questions": 0, "open_question_rows": 0,
    }  # fmt: skip
    if work.options.on != "sample":
        return lambda: iter([_empty()]), figures
    kept = work.first_row[work.kept == np.arange(len(work.items))]
    asked = _questions(work, kept)
    leaders = _leaders(work, asked, figures)
    # Only questions that are asked again, whatever the answers, have to be looked at.
    again = np.flatnonzero(np.bincount(leaders, minlength=len(leaders))[leaders] > 1)
    asked, leaders = asked[again], leaders[again]
    items = _as_items(work, asked)
    a, b, value, cut = conflicts(
        items, work.corpus.texts[work.corpus.texts_at[asked.rows] + asked.turns], leaders,
        work.corpus.side, work.alike.side,
        threshold=work.options.threshold, most=work.options.conflicts_per_row,
    )  # fmt: skip
    new = _any_new(work, asked, a, b)
    a, b, value = a[new], b[new], value[new]
    figures["conflict_rows_cut_short"] = cut
    figures["conflicts"] = len(a)
    heads = np.empty(int(leaders.max(initial=-1)) + 1, dtype=np.int64)
    heads[leaders[::-1]] = np.arange(len(leaders))[::-1]  # first of each group of questions
    head = heads[leaders[a]]
    figures["conflicting_questions"] = int(np.unique(head).size)

    def rows() -> Iterator[pl.DataFrame]:
        for start in range(0, max(len(a), 1), _CHUNK):
            part = slice(start, start + _CHUNK)
            yield _rows(work, asked, a[part], b[part], head[part], value[part], run)

    return rows, figures


def _any_new(work: Work, asked: _Asked, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether a pair has a side that is decided on here; those of two anchors are known."""
    return np.asarray(np.maximum(asked.rows[a], asked.rows[b]) >= work.corpus.n_anchors)


def _leaders(work: Work, asked: _Asked, figures: dict[str, int]) -> np.ndarray:
    """First of the like questions of each, open questions taken apart and counted."""
    number, first = _contexts(work, asked)
    contexts = _as_items(work, asked[first])
    shared = _shared(contexts.groups)
    leader_of = np.arange(len(first))
    if len(shared):
        stars = star(
            _as_items(work, asked[first[shared]]), work.corpus.side, work.alike.side,
            threshold=work.options.threshold, num_perm=work.options.num_perm, spill=work.spill,
        )  # fmt: skip
        leader_of[shared] = shared[stars.kept]
    leaders = leader_of[number]
    size = np.bincount(leaders, minlength=len(first))
    alone = np.diff(contexts.images_at) == 0
    is_open = (alone & (size[leader_of] > OPEN_QUESTION))[number]
    figures["open_questions"] = int(np.unique(leaders[is_open]).size)
    figures["open_question_rows"] = int(is_open.sum())
    first_of = first[leaders]
    return np.where(is_open, np.arange(len(asked.rows)), first_of)


def _contexts(work: Work, asked: _Asked) -> tuple[np.ndarray, np.ndarray]:
    """Number of every question's exact wording, context and images, and where each occurs first."""
    corpus = work.corpus
    texts_at, places = _before(work, asked)
    images_at, image_places = take_lists(corpus.images_at, asked.rows)
    halves = []
    for seed in (1, 2):
        key = hash_lists(texts_at, corpus.texts[places], seed)
        key ^= hash_lists(texts_at, corpus.roles[places], seed + 10) << np.uint64(1)
        key *= np.uint64(0x9E3779B97F4A7C15)
        halves.append(key ^ hash_lists(images_at, corpus.images[image_places], seed))
    numbering = Numbering()
    number = numbering.number(*halves)
    first = np.empty(len(numbering), dtype=np.int64)
    first[number[::-1]] = np.arange(len(number))[::-1]  # of several the last assigned stays
    return number, first


def _questions(work: Work, kept: np.ndarray) -> _Asked:
    """Sample and turn of every answer that follows something."""
    at, places = take_lists(work.corpus.texts_at, kept)
    turn = (np.arange(len(places)) - np.repeat(at[:-1], np.diff(at))).astype(np.int32)
    answers = (work.corpus.roles[places] == ASSISTANT) & (turn > 0)
    return _Asked(np.repeat(kept, np.diff(at))[answers], turn[answers])


def _before(work: Work, asked: _Asked) -> tuple[np.ndarray, np.ndarray]:
    """Where the turns before each answer start, and their places in the corpus."""
    starts = np.zeros(len(asked.rows) + 1, dtype=np.int64)
    np.cumsum(asked.turns, out=starts[1:])
    begin = work.corpus.texts_at[asked.rows] - starts[:-1]
    return starts, np.arange(starts[-1]) + np.repeat(begin, asked.turns)


def _as_items(work: Work, asked: _Asked) -> Items:
    """The turns before an answer, as items."""
    from curate.near.kernels import star as kernels

    corpus = work.corpus
    texts_at, places = _before(work, asked)
    images_at, image_places = take_lists(corpus.images_at, asked.rows)
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
    asked: _Asked,
    first: np.ndarray,
    second: np.ndarray,
    heads: np.ndarray,
    value: np.ndarray,
    run: str,
) -> pl.DataFrame:
    import polars as pl

    if not len(first):
        return _empty()
    chosen = np.unique(asked.rows[np.r_[first, second]])
    picked = work.samples.pick(chosen)
    messages = dict(zip(picked["row"].to_list(), picked["messages"].to_list(), strict=True))
    ids = work.corpus.sample_ids
    a, b, group = (ids.gather(asked.rows[k]).to_list() for k in (first, second, heads))
    turns = asked.turns[first].tolist()
    at = list(zip(asked.rows[first].tolist(), asked.rows[second].tolist(), turns, strict=True))
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
            "turn": asked.turns[first],
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
