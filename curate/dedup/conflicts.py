"""Conflicting answers: kept samples with the same question and images, but different answers.

In a conversation of several turns a question has a context: the turns before it must match too. So
two conversations conflict at the turn where they part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate.dedup.corpus import ASSISTANT
from curate.dedup.items import question_items
from curate.dedup.state import DedupState
from curate.near.items import Items
from curate.near.lists import Numbering, first_positions, hash_lists, offsets, take_lists
from curate.near.representatives import choose_representatives
from pairwright.dataset.ids import stable_id
from pairwright.text.conversation import plain_text, unescape

if TYPE_CHECKING:
    import polars as pl

# A question without an image that has more answers than this is open: for example "Describe the
# image." in rows whose images are missing.
OPEN_QUESTION = 20
_BATCH = 200_000


@dataclass(frozen=True, slots=True)
class _Questions:
    """Questions: all turns of a sample before one of its answers.

    Attributes:
        rows: [q] sample of each question.
        turns: [q] turn of its answer.
    """

    rows: np.ndarray
    turns: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, positions: np.ndarray) -> _Questions:
        return _Questions(self.rows[positions], self.turns[positions])


@dataclass(frozen=True, slots=True)
class _Conflicts:
    """[c] pairs of questions with different answers.

    Attributes:
        first: Question of the earlier sample.
        second: Question of the later sample.
        head: First question of the group of similar questions.
        similarity: Similarity of the questions.
    """

    first: np.ndarray
    second: np.ndarray
    head: np.ndarray
    similarity: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, part: slice | np.ndarray) -> _Conflicts:
        return _Conflicts(
            self.first[part], self.second[part], self.head[part], self.similarity[part]
        )


def find_conflicts(
    state: DedupState, run: str
) -> tuple[Callable[[], Iterator[pl.DataFrame]], dict[str, int]]:
    """Find kept samples that answer a question on the same images differently.

    Returns:
        A function that yields rows of the conflicts table, and numbers for the report.
    """
    counts = {
        "conflicts": 0, "conflicting_questions": 0, "conflict_rows_truncated": 0,
        "open_questions": 0, "open_question_rows": 0,
    }  # fmt: skip
    if state.options.on != "sample":
        return lambda: iter([_empty()]), counts
    questions = _questions(state)
    leaders = _leaders(state, questions, counts)
    # Only questions that occur again, with whatever answer, are compared.
    again = np.flatnonzero(np.bincount(leaders, minlength=len(leaders))[leaders] > 1)
    questions, leaders = questions[again], leaders[again]
    found, counts["conflict_rows_truncated"] = _conflicting(state, questions, leaders)
    # Conflicts between two existing samples are known already.
    rows = questions.rows
    is_new = np.maximum(rows[found.first], rows[found.second]) >= state.corpus.n_existing
    found = found[is_new]
    counts["conflicts"] = len(found)
    counts["conflicting_questions"] = int(np.unique(found.head).size)

    def frames() -> Iterator[pl.DataFrame]:
        for start in range(0, max(len(found), 1), _BATCH):
            yield _rows(state, questions, found[start : start + _BATCH], run)

    return frames, counts


def _questions(state: DedupState) -> _Questions:
    """The questions of the kept samples: one per answer that follows another turn."""
    corpus, kept = state.corpus, state.first_row[state.kept_items]
    at, positions = take_lists(corpus.texts_at, kept)
    n_turns = np.diff(at)
    turn = (np.arange(len(positions)) - np.repeat(at[:-1], n_turns)).astype(np.int32)
    is_answer = (corpus.roles[positions] == ASSISTANT) & (turn > 0)
    return _Questions(np.repeat(kept, n_turns)[is_answer], turn[is_answer])


def _leaders(state: DedupState, questions: _Questions, counts: dict[str, int]) -> np.ndarray:
    """[q] the first similar question of each; open questions are counted and stand alone."""
    number, first = _number_contexts(state, questions)
    contexts = _as_items(state, questions[first])
    shared = _shared(contexts.groups)
    leader = np.arange(len(first))
    if len(shared):
        found = choose_representatives(
            _as_items(state, questions[first[shared]]), state.corpus.features, state.images.same,
            threshold=state.options.threshold, num_perm=state.options.num_perm, spill=state.spill,
        )  # fmt: skip
        leader[shared] = shared[found.kept]
    leaders = leader[number]
    size = np.bincount(leaders, minlength=len(first))
    no_image = np.diff(contexts.images_at) == 0
    is_open = (no_image & (size[leader] > OPEN_QUESTION))[number]
    counts["open_questions"] = int(np.unique(leaders[is_open]).size)
    counts["open_question_rows"] = int(is_open.sum())
    return np.where(is_open, np.arange(len(questions)), first[leaders])


def _number_contexts(state: DedupState, questions: _Questions) -> tuple[np.ndarray, np.ndarray]:
    """Number questions that are exactly equal: turns before the answer, and images.

    Returns:
        [q] number of each question, and for each number the first question that has it.
    """
    corpus = state.corpus
    texts_at, turns = _turns_before(state, questions)
    images_at, images = take_lists(corpus.images_at, questions.rows)
    halves = []
    for seed in (1, 2):
        key = hash_lists(texts_at, corpus.texts[turns], seed)
        key ^= hash_lists(texts_at, corpus.roles[turns], seed + 10) << np.uint64(1)
        key *= np.uint64(0x9E3779B97F4A7C15)
        halves.append(key ^ hash_lists(images_at, corpus.images[images], seed))
    numbering = Numbering()
    number = numbering.number(*halves)
    return number, first_positions(number, len(numbering))


def _turns_before(state: DedupState, questions: _Questions) -> tuple[np.ndarray, np.ndarray]:
    """[q + 1] offsets and positions in the corpus of the turns before each answer."""
    at = offsets(questions.turns)
    begin = state.corpus.texts_at[questions.rows] - at[:-1]
    return at, np.arange(at[-1]) + np.repeat(begin, questions.turns)


def _as_items(state: DedupState, questions: _Questions) -> Items:
    """Questions as items, in order of preference."""
    texts_at, turns = _turns_before(state, questions)
    component = state.images.component
    return question_items(state.corpus, component, state.options, questions.rows, texts_at, turns)


def _shared(groups: np.ndarray) -> np.ndarray:
    """Positions of the values that occur more than once."""
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[inverse] > 1)


def _conflicting(
    state: DedupState, questions: _Questions, leaders: np.ndarray
) -> tuple[_Conflicts, int]:
    """Pairs of similar questions with different answers, and the number of truncated questions.

    One question with thousands of answers would give millions of pairs, so each question is the
    later one of at most `--conflicts-per-row` pairs.
    """
    from curate.near.kernels import matching as kernels

    corpus, options = state.corpus, state.options
    answers = corpus.texts[corpus.texts_at[questions.rows] + questions.turns]
    order = np.argsort(leaders, kind="stable")
    ordered = leaders[order]
    new = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(order) else np.empty(0)
    arguments = (
        np.r_[new, len(order)].astype(np.int64), order, answers,
        _as_items(state, questions).arrays(), corpus.features.arrays(), state.images.same.arrays(),
        options.threshold, options.conflicts_per_row,
    )  # fmt: skip
    none = np.empty(0, dtype=np.int32)
    n, truncated = kernels.count_conflicts(*arguments, none, none, np.empty(0))
    a, b, similarity = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n)
    if n:
        kernels.count_conflicts(*arguments, a, b, similarity)
    heads = first_positions(leaders, int(leaders.max(initial=-1)) + 1)
    return _Conflicts(a, b, heads[leaders[a]], similarity), truncated


def _rows(
    state: DedupState, questions: _Questions, conflicts: _Conflicts, run: str
) -> pl.DataFrame:
    """Rows of the conflicts table."""
    import polars as pl

    if not len(conflicts):
        return _empty()
    first, second = questions[conflicts.first], questions[conflicts.second]
    picked = state.samples.pick(np.unique(np.r_[first.rows, second.rows]))
    messages = dict(zip(picked["row"].to_list(), picked["messages"].to_list(), strict=True))
    ids = state.corpus.sample_ids
    heads = questions.rows[conflicts.head]
    a, b, group = (ids.gather(rows).to_list() for rows in (first.rows, second.rows, heads))
    turns = first.turns.tolist()
    at = list(zip(first.rows.tolist(), second.rows.tolist(), turns, strict=True))
    return pl.DataFrame(
        {
            "conflict_id": [stable_id("conflict", *key) for key in zip(a, b, turns, strict=True)],
            "run": [run] * len(a),
            "group_id": [
                stable_id("question", head, turn) for head, turn in zip(group, turns, strict=True)
            ],
            "sample_id": a,
            "other_id": b,
            "question": [plain_text(_content(messages[i], turn - 1)) for i, _, turn in at],
            "answer": [unescape(_content(messages[i], turn)) for i, _, turn in at],
            "other_answer": [unescape(_content(messages[j], turn)) for _, j, turn in at],
            "similarity": conflicts.similarity,
            "turn": first.turns,
        }
    )


def _content(messages: list[dict[str, str]], turn: int) -> str:
    """Content of a turn; messages without a role are not turns."""
    turns = [message for message in messages if message and message["role"] is not None]
    return turns[turn]["content"] or ""


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
