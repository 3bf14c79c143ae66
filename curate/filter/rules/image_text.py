"""Answers that do not fit their image, by the cosine of one CLIP model's vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.filter.found import Found, below
from curate.filter.rows import WORD, Rows
from curate.filter.rules.base import Inputs, Need, Reason, Rule
from curate.filter.rules.checks import check_counts, check_fractions
from pairwright.commands.options import option
from pairwright.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset

_CHUNK = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTextOptions:
    """How well an answer must fit its image."""

    min_clip_score: float | None = option(
        None, help="min cosine of an image and the answer, of `curate embed --text`"
    )
    drop_clip_fraction: float | None = option(
        None,
        help="fraction of the rows, those with the lowest cosines, that is removed",
        aliases=("drop_clip_share",),
    )
    embeddings: str | None = option(
        None, help="run of embeddings with texts (default: the active one)"
    )
    clip_words: int = option(3, help="answers of fewer words are not measured")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_counts(self, "clip_words")
        check_fractions(self, "drop_clip_fraction")
        if self.min_clip_score is not None and self.drop_clip_fraction is not None:
            msg = "--min-clip-score and --drop-clip-fraction exclude each other"
            raise UsageError(msg)


def find(rows: Rows, options: ImageTextOptions, inputs: Inputs) -> Iterator[Found]:
    """Rows none of whose answers fits any of their images."""
    import numpy as np

    (run,) = inputs.runs["embeddings"]
    values = cosines(rows, options.clip_words, inputs.dataset.scan(run).collect())
    if options.min_clip_score is not None:
        threshold, rule = options.min_clip_score, f"cosine below {options.min_clip_score:g}"
        removes = below(values, threshold)
    else:
        fraction = options.drop_clip_fraction or 0.0
        given = values.drop_nulls()
        count = int(fraction * len(given))
        removes = np.zeros(len(rows), dtype=bool)
        removes[values.arg_sort(nulls_last=True).to_numpy()[:count]] = True
        threshold = float(given.sort()[count]) if count < len(given) else float("inf")
        rule = f"cosine among the lowest {100 * fraction:g} %"
    yield Found("image_text", rule, values, removes, threshold=threshold, removes_low=True,
                unit="cosine of image and answer", of_images=True)  # fmt: skip


def cosines(rows: Rows, min_words: int, vectors: pl.DataFrame) -> pl.Series:
    """Best cosine of any image and any answer of so many words, null where one is missing.

    Args:
        rows: Samples.
        min_words: Answers of fewer words are not measured.
        vectors: `item_id`, `kind`, `vector` of one model.
    """
    import numpy as np
    import polars as pl

    pairs = _pairs(rows, min_words, vectors)
    matrix = vectors["vector"].to_numpy() if vectors.height else np.zeros((0, 1))
    values = np.empty(pairs.height)
    images, texts = pairs["image"].to_numpy(), pairs["words"].to_numpy()
    for start in range(0, pairs.height, _CHUNK):
        some = slice(start, start + _CHUNK)
        left = matrix[images[some]].astype(np.float32)
        right = matrix[texts[some]].astype(np.float32)
        values[some] = np.einsum("ij,ij->i", left, right)
    return rows.spread(pairs.with_columns(cosine=pl.Series(values)), "cosine", "max")


def _pairs(rows: Rows, min_words: int, vectors: pl.DataFrame) -> pl.DataFrame:
    """`row`, and the row numbers of the vectors of an image and an answer of it."""
    import polars as pl

    from pairwright.dataset.ids import text_id

    texts = rows.answers.filter(pl.col("text").str.count_matches(WORD) >= min_words)
    texts = texts.select("row", "text").unique(maintain_order=True)
    distinct = texts["text"].unique(maintain_order=True)
    ids = pl.DataFrame({"text": distinct, "text_id": [text_id(t) for t in distinct.to_list()]},
                       schema={"text": pl.String, "text_id": pl.String})  # fmt: skip
    texts = texts.join(ids, on="text", how="left", maintain_order="left")
    links = rows.samples.select("image_ids").with_row_index("row").explode("image_ids")
    numbers = vectors.with_row_index("number").select("item_id", "kind", "number")
    of_images = numbers.filter(pl.col("kind") == "image").select("item_id", image="number")
    of_texts = numbers.filter(pl.col("kind") == "text").select("item_id", words="number")
    return (
        links.join(of_images, left_on="image_ids", right_on="item_id")
        .join(texts.join(of_texts, left_on="text_id", right_on="item_id"), on="row")
        .select("row", "image", "words")
    )


def _pick(dataset: Dataset, options: ImageTextOptions) -> Sequence[Manifest]:
    """The run of embeddings with vectors of images and texts.

    Raises:
        UsageError: If the named run has none, or several could be meant.
    """
    if options.embeddings is not None:
        named = dataset.pick("embeddings", options.embeddings)
        assert named is not None
        if not _has_texts(dataset, named):
            msg = f"{named.ref} has no vectors of images and texts: make one with `curate embed --text`"
            raise UsageError(msg)
        return [named]
    complete = [m for m in dataset.runs("embeddings") if m.is_complete and _has_texts(dataset, m)]
    active = {run.ref for run in dataset.active("embeddings").values()}
    chosen = [run for run in complete if run.ref in active]
    chosen = chosen if len(chosen) == 1 else complete
    if len(chosen) > 1:
        names = ", ".join(sorted(m.run for m in chosen))
        msg = f"several runs of embeddings have texts ({names}): name one with --embeddings RUN"
        raise UsageError(msg)
    return chosen


def _has_texts(dataset: Dataset, run: Manifest) -> bool:
    import polars as pl

    kinds = dataset.scan(run).select(pl.col("kind").unique()).collect()["kind"]
    return {"image", "text"} <= set(kinds.to_list())


RULE = Rule(
    name="image_text",
    reasons=(
        Reason(
            name="image_text",
            words="text that does not fit the image",
            options=("min_clip_score", "drop_clip_fraction"),
            elsewhere="DJ `image_text_similarity_filter` (0.1)",
        ),
    ),
    options=ImageTextOptions,
    find=find,
    needs=(
        Need(
            name="embeddings",
            what="embeddings of images and texts",
            command="curate embed --text",
            pick=_pick,
        ),
    ),
)
