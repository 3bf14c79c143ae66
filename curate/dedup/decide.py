"""Which samples stay, and which pairs of answers contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.dedup.options import DedupOptions
from curate.dedup.rank import Preference, rank
from curate.near.images.matching import Alike, Pictures, by_hash, by_vectors, identical
from curate.near.items import ASSISTANT, Corpus, Samples, read_corpus
from curate.near.lists import Numbering, hash_lists, take_lists
from curate.near.spill import Spill
from curate.near.star import ImageSide, Items, Stars, star

if TYPE_CHECKING:
    import polars as pl

# An answer of so many words that several images share is worth a line in the report.
LONG_ANSWER = 12
# Decisions and conflicts are handed on in frames of so many rows.
_CHUNK = 250_000
# Pairs that are near, but kept, which the summary names for the report.
_HELD_EXAMPLES = 100


@dataclass(frozen=True, slots=True)
class Found:
    """What dedup found.

    Attributes:
        samples: The samples, to read some again.
        decided: Decisions, one a sample (but for anchors), in input order.
        reasons: The same as row numbers: `row`, `kept_row`, `kept`, `reason`, `similarity`.
        conflicted: Same question, same images, different answers.
        summary: Figures.
        held: Pairs of rows that reach the threshold but say different things.
    """

    samples: Samples
    decided: Callable[[], Iterator[pl.DataFrame]]
    reasons: Callable[[], Iterator[pl.DataFrame]]
    conflicted: Callable[[], Iterator[pl.DataFrame]]
    summary: dict[str, Any]
    held: np.ndarray = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))

    @property
    def decisions(self) -> pl.DataFrame:
        """All decisions."""
        import polars as pl

        return pl.concat(self.decided())

    @property
    def conflicts(self) -> pl.DataFrame:
        """All conflicts."""
        import polars as pl

        return pl.concat(self.conflicted())


@dataclass(slots=True)
class Work:
    """What the stages of one dedup share."""

    samples: Samples
    corpus: Corpus
    alike: Alike
    options: DedupOptions
    first_row: np.ndarray  # of every item, in order of preference
    item_of_row: np.ndarray
    items: Items
    kept: np.ndarray  # item that stands for each
    stars: Stars
    spill: Spill


def find_duplicates(
    samples: pl.DataFrame | Samples,
    *,
    options: DedupOptions,
    pictures: Pictures | None = None,
    preference: Preference | None = None,
    run: str = "dedup",
    spill: Spill | None = None,
) -> Found:
    """Decide samples in order of preference: one goes if it matches one that stays.

    Args:
        samples: `sample_id`, `image_ids`, `messages`.
        options: What counts as a double and which of several stays.
        pictures: What is known of the images; without it only their ids tell them apart.
        preference: What else bears on which of several stays.
        run: Name of the run, written into every row.
        spill: Where large arrays go; memory if not given.

    Returns:
        Exactly one decision a sample; every removed one names a kept sample (or an anchor) that it
        matches directly, with the exact similarity.
    """
    from curate.dedup.conflicts import find_conflicts

    if not isinstance(samples, Samples):
        samples = Samples.of(samples)
    spill = spill or Spill()
    corpus = read_corpus(
        samples, spill=spill, words=options.word_check and options.on == "sample",
        shingles=options.on != "image",
    )  # fmt: skip
    alike = _alike(corpus, options, pictures)
    ranked = rank(corpus, options, pictures, preference or Preference())
    first_row, item_of_row, items = _items(corpus, alike, options, ranked)
    del ranked
    sees_images = options.on != "text"
    stars = star(
        items, corpus.side, alike.side if sees_images else ImageSide(),
        threshold=options.threshold, num_perm=options.num_perm, spill=spill,
    )  # fmt: skip
    work = Work(
        samples, corpus, alike, options, first_row, item_of_row, items, stars.kept.copy(), stars,
        spill,
    )  # fmt: skip
    capped, repeated = _cap_answers(work)
    conflicted, contested = find_conflicts(work, run)
    n_kept, reasons = _count(work, capped)
    summary = {
        "rows": len(corpus) - corpus.n_anchors,
        "compared_with": corpus.n_anchors,
        "distinct_texts": corpus.n_texts,
        "held_back_pairs": int(stars.n_held),
        **contested,
        **repeated,
        **alike.summary,
        "kept": n_kept,
        "removed": sum(reasons.values()),
        "removed_by_reason": reasons,
    }
    held = first_row[stars.held.astype(np.int64)]
    some = corpus.sample_ids.gather(held[:_HELD_EXAMPLES].reshape(-1)).to_list()
    summary["held_back_examples"] = [some[k : k + 2] for k in range(0, len(some), 2)]
    return Found(
        samples,
        decided=lambda: _decisions(work, capped, run),
        reasons=lambda: (_reasons(work, capped, rows) for rows in _row_chunks(work)),
        conflicted=conflicted,
        summary=summary,
        held=held,
    )


def _alike(corpus: Corpus, options: DedupOptions, pictures: Pictures | None) -> Alike:
    if options.on == "text" or pictures is None or options.image_match == "exact":
        return identical(len(corpus.image_ids))
    if options.image_match == "phash":
        return by_hash(corpus.image_ids, pictures, options.phash_distance)
    assert pictures.vectors is not None
    return by_vectors(
        corpus.image_ids, pictures.vectors, options.clip_threshold,
        index=options.image_index, read=pictures.read,
    )  # fmt: skip


def _items(
    corpus: Corpus, alike: Alike, options: DedupOptions, ranked: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Items]:
    """Rows that are exactly the same made one item, items in order of preference.

    Returns:
        The preferred row of every item, the item of every row, the items.
    """
    n = len(corpus)
    low, high = np.empty(n, dtype=np.uint64), np.empty(n, dtype=np.uint64)
    for start in range(0, n, _CHUNK):
        part = slice(start, min(start + _CHUNK, n))
        for half, seed in ((low, 1), (high, 2)):  # 128 bits together: equal keys mean equal rows
            half[part] = _row_keys(corpus, options, part, seed)
    numbering = Numbering()
    item_of_row = np.empty(n, dtype=np.int32)
    for start in range(0, n, _CHUNK):
        rows = ranked[start : start + _CHUNK]
        item_of_row[rows] = numbering.number(low[rows], high[rows])
    first_row = np.empty(len(numbering), dtype=np.int64)
    first_row[item_of_row[ranked[::-1]]] = ranked[::-1]  # of several the last assigned stays
    return first_row, item_of_row, take_items(corpus, alike, options, first_row)


def _row_keys(corpus: Corpus, options: DedupOptions, part: slice, seed: int) -> np.ndarray:
    """64-bit keys of rows: what they say, who says it, and their images, as far as it counts."""
    texts_at = corpus.texts_at[part.start : part.stop + 1]
    images_at = corpus.images_at[part.start : part.stop + 1]
    key = np.zeros(len(texts_at) - 1, dtype=np.uint64)
    if options.on != "image":
        key ^= hash_lists(texts_at, corpus.texts, seed)
        key ^= hash_lists(texts_at, corpus.roles, seed + 10) << np.uint64(1)
    else:  # rows without an image are like no other
        rows = np.arange(part.start, part.stop)
        alone = hash_lists(np.arange(len(rows) + 1), rows, seed + 20)
        key = np.where(np.diff(images_at) == 0, alone, key)
    key *= np.uint64(0x9E3779B97F4A7C15)
    if options.on != "text":
        key ^= hash_lists(images_at, corpus.images, seed)
    return key


def take_items(corpus: Corpus, alike: Alike, options: DedupOptions, rows: np.ndarray) -> Items:
    """Some rows as items: their texts and images, in groups outside which nothing matches."""
    from curate.near.kernels import star as kernels

    texts_at, places = take_lists(corpus.texts_at, rows)
    images_at, image_places = take_lists(corpus.images_at, rows)
    roles, images = corpus.roles[places], corpus.images[image_places]
    kinds = np.full(len(places), kernels.WORDS_ANY, dtype=np.uint8)
    if options.word_check and options.on == "sample":
        kinds = np.where(roles == ASSISTANT, kernels.WORDS_ANSWER, kernels.WORDS_QUESTION)
    groups = np.zeros(len(rows), dtype=np.uint64)
    if options.on != "text":
        groups ^= hash_lists(images_at, alike.component[images], 3)
    if options.on == "image":
        lonely = np.diff(images_at) == 0
        groups[lonely] ^= hash_lists(np.arange(len(rows) + 1), rows, 5)[lonely]
        nothing = np.zeros(len(rows) + 1, dtype=np.int64)
        texts_at, places, kinds = nothing, places[:0], kinds[:0]
    else:
        groups ^= hash_lists(texts_at, roles, 4)
    n_anchors = int((rows < corpus.n_anchors).sum())  # in front, as they were preferred
    return Items(
        texts_at, corpus.texts[places], kinds.astype(np.uint8), images_at, images, groups, n_anchors
    )


def _cap_answers(work: Work) -> tuple[np.ndarray, dict[str, int]]:
    """Long last answers that stand on several images: counted, and cut to the cap if there is one.

    Returns:
        Whether each item goes for this reason, and the figures.
    """
    import polars as pl

    corpus, items = work.corpus, np.flatnonzero(work.kept == np.arange(len(work.items)))
    capped = np.zeros(len(work.items), dtype=bool)
    rows = work.first_row[items]
    last = corpus.texts_at[rows + 1] - 1
    some = last >= corpus.texts_at[rows]
    items, rows, last = items[some], rows[some], last[some]
    answer = corpus.texts[last]
    long = (corpus.roles[last] == ASSISTANT) & (corpus.side.words[answer] >= LONG_ANSWER)
    long &= np.bincount(answer, minlength=corpus.n_texts)[answer] > 1
    items, rows, answer = items[long], rows[long], answer[long]
    at, places = take_lists(corpus.images_at, rows)
    frame = pl.DataFrame(
        {"item": items, "answer": answer, "images": hash_lists(at, corpus.images[places], 6)}
    ).filter(pl.col("images").n_unique().over("answer") > 1)
    figures = {
        "repeated_answers": frame["answer"].n_unique(),
        "repeated_answer_rows": frame.height,
    }
    cap = work.options.answer_cap
    if cap is None or frame.is_empty() or work.options.on != "sample":
        return capped, figures
    over = frame.with_columns(
        place=pl.int_range(pl.len()).over("answer"), head=pl.col("item").first().over("answer")
    ).filter((pl.col("place") >= cap) & (pl.col("item") >= work.items.n_anchors))
    stands = np.arange(len(work.items))
    stands[over["item"].to_numpy()] = over["head"].to_numpy()
    capped = stands[work.kept] != work.kept
    work.kept = stands[work.kept]
    return capped, figures


def _reasons(work: Work, capped: np.ndarray, rows: np.ndarray) -> pl.DataFrame:
    """Reason and method of some rows, and what they rest on."""
    import polars as pl

    options, stars = work.options, work.stars
    item = work.item_of_row[rows]
    kept_row = work.first_row[work.kept[item]]
    frame = pl.DataFrame(
        {
            "row": rows,
            "kept": rows == kept_row,
            "same_text": _same_texts(work.corpus, rows, kept_row) | (options.on == "image"),
            "same_image": _same_images(work.corpus, rows, kept_row) | (options.on == "text"),
            "capped": capped[item],
            "text": stars.similarity[item],
            "image": stars.alike[item],
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


def _row_chunks(work: Work) -> Iterator[np.ndarray]:
    first, last = work.corpus.n_anchors, len(work.corpus)
    for start in range(first, max(last, first + 1), _CHUNK):
        yield np.arange(start, min(start + _CHUNK, last))


def _count(work: Work, capped: np.ndarray) -> tuple[int, dict[str, int]]:
    """Rows kept, and removed by reason."""
    counts: dict[str, int] = {}
    n_kept = 0
    for rows in _row_chunks(work):
        gone = rows[work.first_row[work.kept[work.item_of_row[rows]]] != rows]
        n_kept += len(rows) - len(gone)
        for reason, count in _reasons(work, capped, gone)["reason"].value_counts().iter_rows():
            counts[reason] = counts.get(reason, 0) + count
    return n_kept, dict(sorted(counts.items()))


def _decisions(work: Work, capped: np.ndarray, run: str) -> Iterator[pl.DataFrame]:
    """One row a sample."""
    import polars as pl

    ids = work.corpus.sample_ids
    for rows in _row_chunks(work):
        frame = _reasons(work, capped, rows)
        stands = ids.gather(frame["kept_row"])
        yield frame.select(
            ids.gather(rows).alias("sample_id"),
            pl.lit(run).alias("run"),
            "kept",
            "reason",
            "method",
            pl.when(~pl.col("kept")).then(stands).alias("kept_id"),
            "similarity",
            stands.alias("group_id"),
        )


def _same_texts(corpus: Corpus, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether rows are the same turns, word for word as folded."""
    said = _same(corpus.texts_at, corpus.texts, rows, others)
    said &= _same(corpus.texts_at, corpus.roles, rows, others)
    return said


def _same_images(corpus: Corpus, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    return _same(corpus.images_at, corpus.images, rows, others)


def _same(at: np.ndarray, values: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether lists of rows equal those of others, by their hashes."""
    one, other = (
        hash_lists(starts, values[places], 7)
        for starts, places in (take_lists(at, rows), take_lists(at, others))
    )
    equal: np.ndarray = one == other
    return equal
