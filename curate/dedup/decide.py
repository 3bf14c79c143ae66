"""Find duplicates and conflicting answers among samples; works without a dataset.

The stages:

1. `read_corpus` numbers the texts and images of all samples.
2. `match_images` decides which images count as the same.
3. `rank` sorts the samples by preference.
4. `merge_rows` makes one item of the samples that are exactly equal.
5. `choose_representatives` keeps an item unless it matches a kept one.
6. `cap_answers` drops further rows with a repeated long answer, if requested.
7. `find_conflicts` pairs kept samples that answer the same question differently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.dedup.conflicts import find_conflicts
from curate.dedup.corpus import Corpus, SampleSource, read_corpus
from curate.dedup.decisions import count_rows, decision_frames, reason_frames
from curate.dedup.items import merge_rows
from curate.dedup.options import DedupOptions
from curate.dedup.rank import Preference, rank
from curate.dedup.repeated import cap_answers
from curate.dedup.state import DedupState
from curate.near.images.matching import (
    ImageMatches,
    ImageSource,
    match_copies,
    match_embeddings,
    match_identical,
)
from curate.near.items import SameImages
from curate.near.representatives import choose_representatives
from curate.near.spill import Spill

if TYPE_CHECKING:
    import polars as pl

# Pairs kept as distinct that the summary names for the report.
_MAX_EXAMPLES = 100


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a dedup.

    Attributes:
        samples: The samples, to read some of them again.
        decision_frames: Yields rows of the decisions table: one per sample (existing samples
            excepted), in input order.
        reason_frames: Yields the same with row numbers: `row`, `kept_row`, `kept`, `reason`,
            `similarity`.
        conflict_frames: Yields rows of the conflicts table.
        summary: Numbers for the report.
        distinct: [m, 2] pairs of rows that reach the threshold but differ in wording: kept as
            distinct.
    """

    samples: SampleSource
    decision_frames: Callable[[], Iterator[pl.DataFrame]]
    reason_frames: Callable[[], Iterator[pl.DataFrame]]
    conflict_frames: Callable[[], Iterator[pl.DataFrame]]
    summary: dict[str, Any]
    distinct: np.ndarray = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))

    @property
    def decisions(self) -> pl.DataFrame:
        """All decisions."""
        import polars as pl

        return pl.concat(self.decision_frames())

    @property
    def conflicts(self) -> pl.DataFrame:
        """All conflicts."""
        import polars as pl

        return pl.concat(self.conflict_frames())


def find_duplicates(
    samples: pl.DataFrame | SampleSource,
    *,
    options: DedupOptions,
    images: ImageSource | None = None,
    preference: Preference | None = None,
    run: str = "dedup",
    spill: Spill | None = None,
) -> Found:
    """Decide which samples are kept: in order of preference, each that matches no kept sample.

    Args:
        samples: `sample_id`, `image_ids`, `messages`.
        options: What counts as a duplicate, and which of several duplicates is kept.
        images: Access to the images; without it images are compared by their ids only.
        preference: Scores and samples of low preference.
        run: Name of the run, written into each row.
        spill: Where large arrays are stored; in memory by default.

    Returns:
        Exactly one decision per sample. Each removed sample names a kept (or existing) sample that
        it matches directly, with the exact similarity.
    """
    source = samples if isinstance(samples, SampleSource) else SampleSource.of(samples)
    spill = spill or Spill()
    corpus = read_corpus(
        source, spill=spill, wording=options.word_check and options.on == "sample",
        shingles=options.on != "image",
    )  # fmt: skip
    matches = match_images(corpus, options, images)
    first_row, item_of_row, items = merge_rows(
        corpus, matches.component, options, rank(corpus, options, images, preference)
    )
    same = matches.same if options.on != "text" else SameImages()
    found = choose_representatives(
        items, corpus.features, same,
        threshold=options.threshold, num_perm=options.num_perm, spill=spill,
    )  # fmt: skip
    state = DedupState(
        samples=source, corpus=corpus, images=matches, options=options, first_row=first_row,
        item_of_row=item_of_row, items=items, found=found, kept=found.kept,
        capped=np.zeros(len(items), dtype=bool), spill=spill,
    )  # fmt: skip
    kept, capped, repeated = cap_answers(state)
    state = replace(state, kept=kept, capped=capped)
    conflict_frames, conflicts = find_conflicts(state, run)
    return Found(
        source,
        decision_frames=lambda: decision_frames(state, run),
        reason_frames=lambda: reason_frames(state),
        conflict_frames=conflict_frames,
        summary=_summary(state, conflicts | repeated),
        distinct=first_row[found.distinct.astype(np.int64)],
    )


def match_images(corpus: Corpus, options: DedupOptions, images: ImageSource | None) -> ImageMatches:
    """Which images count as the same, as `--image-match` says."""
    if options.on == "text" or images is None or options.image_match == "exact":
        return match_identical(len(corpus.image_ids))
    if options.image_match == "phash":
        return match_copies(corpus.image_ids, images, options.phash_distance)
    assert images.vectors is not None
    return match_embeddings(
        corpus.image_ids, images.vectors, options.clip_threshold,
        index=options.image_index, read=images.read,
    )  # fmt: skip


def _summary(state: DedupState, counts: dict[str, int]) -> dict[str, Any]:
    """Numbers for the report and the manifest."""
    corpus = state.corpus
    n_kept, reasons = count_rows(state)
    pairs = state.first_row[state.found.distinct[:_MAX_EXAMPLES].astype(np.int64)]
    ids = corpus.sample_ids.gather(pairs.reshape(-1)).to_list()
    return {
        "rows": len(corpus) - corpus.n_existing,
        "compared_with": corpus.n_existing,
        "distinct_texts": corpus.n_texts,
        "distinct_pairs": int(state.found.n_distinct),
        "distinct_pair_examples": [ids[k : k + 2] for k in range(0, len(ids), 2)],
        **counts,
        **state.images.summary,
        "kept": n_kept,
        "removed": sum(reasons.values()),
        "removed_by_reason": reasons,
    }
