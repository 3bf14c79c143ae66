"""Which samples stay, and which pairs of answers contradict each other: frames in, frames out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from curate._alike import Alike, Pictures, by_hash, by_vectors, facts_of, identical
from curate._items import ASSISTANT, Corpus, hash_lists, read_corpus, take_lists
from curate._star import ImageSide, Items, Stars, TextSide, side_of, star
from curate.minhash import NGRAM
from curate.options import DedupOptions

if TYPE_CHECKING:
    import polars as pl

# An answer of so many words that several images share is worth a line in the report.
LONG_ANSWER = 12


@dataclass(frozen=True, slots=True)
class Found:
    """What dedup found.

    Attributes:
        decisions: One row a sample, in input order.
        conflicts: Same question, same images, different answers.
        summary: Figures.
        held: Pairs of samples that reach the threshold but say different things.
    """

    decisions: pl.DataFrame
    conflicts: pl.DataFrame
    summary: dict[str, Any]
    held: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Work:
    """What the stages of one dedup share."""

    samples: pl.DataFrame
    corpus: Corpus
    texts: TextSide
    alike: Alike
    options: DedupOptions
    first_row: np.ndarray  # of every item, in order of preference
    item_of_row: np.ndarray
    items: Items
    kept: np.ndarray  # item that stands for each
    stars: Stars


def find_duplicates(
    samples: pl.DataFrame,
    *,
    options: DedupOptions,
    pictures: Pictures | None = None,
    scores: pl.DataFrame | None = None,
    run: str = "dedup",
) -> Found:
    """Decide samples in order of preference: one goes if it matches one that stays.

    Args:
        samples: `sample_id`, `image_ids`, `messages`.
        options: What counts as a double and which of several stays.
        pictures: What is known of the images; without it only their ids tell them apart.
        scores: `target_id` and `score` of samples, for `keep` by score.
        run: Name of the run, written into every row.

    Returns:
        Exactly one decision a sample; every removed one names a kept sample that it matches
        directly, with the exact similarity.
    """
    from curate._conflicts import find_conflicts

    corpus = read_corpus(samples)
    alike = _alike(corpus, options, pictures)
    texts = side_of(corpus.unique, NGRAM)
    ranked = _ranked(corpus, options, pictures, samples, scores)
    first_row, item_of_row, items = _items(corpus, alike, options, ranked)
    sees_images = options.on != "text"
    stars = star(
        items, texts, alike.side if sees_images else ImageSide(),
        threshold=options.threshold, num_perm=options.num_perm,
    )  # fmt: skip
    work = Work(
        samples, corpus, texts, alike, options, first_row, item_of_row, items,
        stars.kept.copy(), stars,
    )  # fmt: skip
    capped, repeated = _cap_answers(work)
    decisions = _decisions(work, capped, run)
    conflicts, contested = find_conflicts(work, run)
    ids = samples["sample_id"].to_list()
    held = [(ids[first_row[a]], ids[first_row[b]]) for a, b in stars.held.tolist()]
    summary = {
        "rows": samples.height,
        "distinct_texts": len(corpus.unique),
        "held_back_pairs": int(stars.n_held),
        **contested,
        **repeated,
        **alike.summary,
    }
    return Found(decisions, conflicts, summary, held)


def _alike(corpus: Corpus, options: DedupOptions, pictures: Pictures | None) -> Alike:
    if options.on == "text" or pictures is None or options.image_match == "exact":
        return identical(len(corpus.image_ids))
    if options.image_match == "phash":
        return by_hash(corpus.image_ids, pictures, options.phash_distance)
    assert pictures.vectors is not None
    return by_vectors(corpus.image_ids, pictures.vectors, options.clip_threshold)


def _ranked(
    corpus: Corpus,
    options: DedupOptions,
    pictures: Pictures | None,
    samples: pl.DataFrame,
    scores: pl.DataFrame | None,
) -> np.ndarray:
    """Rows in order of preference, ties in input order."""
    import polars as pl

    columns = {"length": corpus.length, "order": -np.arange(len(corpus))}
    frame = pl.DataFrame(columns)
    if "resolution" in options.priorities:
        pixels = np.zeros(len(corpus.image_ids), dtype=np.int64)
        if pictures is not None:
            facts = facts_of(corpus.image_ids, pictures)
            pixels = (facts["width"] * facts["height"]).fill_null(0).to_numpy()
        total = np.r_[0, np.cumsum(pixels[corpus.images])]
        sums = total[corpus.images_at[1:]] - total[corpus.images_at[:-1]]
        frame = frame.with_columns(resolution=pl.Series(sums))
    if "score" in options.priorities:
        assert scores is not None
        marks = samples.select(target_id="sample_id").join(
            scores, on="target_id", how="left", maintain_order="left"
        )
        frame = frame.with_columns(score=marks["score"].fill_nan(None))
    names = list(dict.fromkeys([*options.priorities, "order"]))
    order = frame.with_row_index("row").sort(names, descending=True, nulls_last=True)
    return order["row"].to_numpy().astype(np.int64)


def _items(
    corpus: Corpus, alike: Alike, options: DedupOptions, ranked: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Items]:
    """Rows that are exactly the same made one item, items in order of preference.

    Returns:
        The preferred row of every item, the item of every row, the items.
    """
    import polars as pl

    keys = {}
    for seed in (1, 2):  # 128 bits together: equal keys mean equal rows
        roles = hash_lists(corpus.texts_at, corpus.roles, seed)
        texts = hash_lists(corpus.texts_at, corpus.texts, seed) ^ (roles << np.uint64(1))
        images = hash_lists(corpus.images_at, corpus.images, seed)
        if options.on == "image":
            texts = np.where(_without_image(corpus), np.arange(len(corpus)), -1)
        if options.on == "text":
            images = np.zeros(len(corpus))
        keys[f"text{seed}"], keys[f"image{seed}"] = texts, images
    frame = (
        pl.DataFrame(keys)
        .with_columns(row=pl.Series(np.arange(len(corpus))))
        .select(pl.all().gather(pl.Series(ranked)))
    )
    heads = frame.unique(list(keys), keep="first", maintain_order=True).with_row_index("item")
    members = frame.join(
        heads.drop("row"), on=list(keys), how="left", maintain_order="left", nulls_equal=True
    )
    item_of_row = np.empty(len(corpus), dtype=np.int64)
    item_of_row[members["row"].to_numpy()] = members["item"].to_numpy()
    first_row = heads["row"].to_numpy().astype(np.int64)
    return first_row, item_of_row, take_items(corpus, alike, options, first_row)


def _without_image(corpus: Corpus) -> np.ndarray:
    return np.asarray(np.diff(corpus.images_at) == 0)


def take_items(corpus: Corpus, alike: Alike, options: DedupOptions, rows: np.ndarray) -> Items:
    """Some rows as items: their texts and images, in groups outside which nothing matches."""
    from curate import _kernels_star as kernels

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
    return Items(texts_at, corpus.texts[places], kinds.astype(np.uint8), images_at, images, groups)


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
    long = (corpus.roles[last] == ASSISTANT) & (work.texts.words[answer] >= LONG_ANSWER)
    images = hash_lists(corpus.images_at, corpus.images, 6)[rows]
    frame = (
        pl.DataFrame({"item": items, "answer": answer, "images": images})
        .filter(pl.Series(long))
        .filter(pl.col("images").n_unique().over("answer") > 1)
    )
    figures = {
        "repeated_answers": frame["answer"].n_unique(),
        "repeated_answer_rows": frame.height,
    }
    cap = work.options.answer_cap
    if cap is None or frame.is_empty() or work.options.on != "sample":
        return capped, figures
    over = frame.with_columns(
        place=pl.int_range(pl.len()).over("answer"), head=pl.col("item").first().over("answer")
    ).filter(pl.col("place") >= cap)
    stands = np.arange(len(work.items))
    stands[over["item"].to_numpy()] = over["head"].to_numpy()
    capped = stands[work.kept] != work.kept
    work.kept = stands[work.kept]
    return capped, figures


def _decisions(work: Work, capped: np.ndarray, run: str) -> pl.DataFrame:
    """One row a sample."""
    import polars as pl

    corpus, options, stars = work.corpus, work.options, work.stars
    target = work.kept[work.item_of_row]
    row = np.arange(len(corpus))
    kept_row = work.first_row[target]
    same_text = _same(hash_lists(corpus.texts_at, corpus.texts, 1), row, kept_row)
    same_image = _same(hash_lists(corpus.images_at, corpus.images, 1), row, kept_row)
    frame = pl.DataFrame(
        {
            "kept": row == kept_row,
            "same_text": same_text | (options.on == "image"),
            "same_image": same_image | (options.on == "text"),
            "capped": capped[work.item_of_row],
            "text": stars.similarity[work.item_of_row],
            "image": stars.alike[work.item_of_row],
            "kept_row": kept_row,
        }
    )
    kept, text, image = pl.col("kept"), pl.col("same_text"), pl.col("same_image")
    level = pl.lit(options.image_match)
    ids = work.samples["sample_id"]
    return frame.select(
        ids,
        pl.lit(run).alias("run"),
        kept,
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
        pl.when(~kept).then(ids.gather(frame["kept_row"])).alias("kept_id"),
        pl.when(~kept & ~pl.col("capped"))
        .then(pl.col("image" if options.on == "image" else "text"))
        .alias("similarity"),
        ids.gather(frame["kept_row"]).alias("group_id"),
    )  # fmt: skip


def _same(keys: np.ndarray, row: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(keys[row] == keys[other])
