"""Filter of answers that do not fit their image, by the cosine of one CLIP model's vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curate.filter.found import Found, Rows, low
from curate.filter.options import FilterOptions
from curate.filter.rules.texts import WORD
from pairwright.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset

_CHUNK = 50_000


def pick(dataset: Dataset, named: str | None) -> Manifest:
    """The run of embeddings with vectors of images and texts.

    Raises:
        UsageError: If there is none, or several could be meant.
    """
    import polars as pl

    def has_texts(manifest: Manifest) -> bool:
        kinds = dataset.scan(manifest).select(pl.col("kind").unique()).collect()["kind"]
        return {"image", "text"} <= set(kinds.to_list())

    if named is not None:
        manifest = dataset.pick("embeddings", named)
        assert manifest is not None
        if not has_texts(manifest):
            msg = f"{manifest.ref} has no vectors of images and texts: make one with `curate embed --text`"
            raise UsageError(msg)
        return manifest
    complete = [m for m in dataset.runs("embeddings") if m.is_complete and has_texts(m)]
    forced = [
        m for m in complete if m.run in {x.run for x in dataset.active("embeddings").values()}
    ]
    chosen = forced if len(forced) == 1 else complete
    if not chosen:
        msg = "no embeddings of images and texts: run `curate embed --text` first"
        raise UsageError(msg)
    if len(chosen) > 1:
        names = ", ".join(sorted(m.run for m in chosen))
        msg = f"several runs of embeddings have texts ({names}): name one with --embeddings RUN"
        raise UsageError(msg)
    return chosen[0]


def image_text(rows: Rows, options: FilterOptions, vectors: pl.DataFrame) -> Found:
    """Rows none of whose answers fits any of their images.

    Args:
        rows: Samples.
        options: The least cosine, or the share with the lowest that goes.
        vectors: `item_id`, `kind`, `vector` of one model.
    """
    values = scores(rows, options.clip_words, vectors)
    if options.min_clip_score is not None:
        cut, rule = options.min_clip_score, f"cosine below {options.min_clip_score:g}"
        removes = low(values, cut)
    else:
        assert options.drop_clip_share is not None
        given = values.drop_nulls()
        count = int(options.drop_clip_share * len(given))
        order = values.arg_sort(nulls_last=True).to_numpy()[:count]
        removes = np.zeros(len(rows), dtype=bool)
        removes[order] = True
        cut = float(given.sort()[count]) if count < len(given) else float("inf")
        rule = f"cosine among the lowest {100 * options.drop_clip_share:g} %"
    return Found("image_text", rule, values, removes, cut=cut, low_goes=True,
                 unit="cosine of image and answer")  # fmt: skip


def scores(rows: Rows, least_words: int, vectors: pl.DataFrame) -> pl.Series:
    """Best cosine of any image and any answer of so many words, null where one is missing."""
    import polars as pl

    from pairwright.dataset.ids import text_id

    texts = rows.answers.filter(pl.col("text").str.count_matches(WORD) >= least_words)
    texts = texts.select("row", "text").unique(maintain_order=True)
    distinct = texts["text"].unique(maintain_order=True)
    ids = pl.DataFrame({"text": distinct, "text_id": [text_id(t) for t in distinct.to_list()]},
                       schema={"text": pl.String, "text_id": pl.String})  # fmt: skip
    texts = texts.join(ids, on="text", how="left", maintain_order="left")
    links = rows.samples.select("image_ids").with_row_index("row").explode("image_ids")
    places = vectors.with_row_index("place").select("item_id", "kind", "place")
    image_places = places.filter(pl.col("kind") == "image").select("item_id", image="place")
    text_places = places.filter(pl.col("kind") == "text").select("item_id", words="place")
    pairs = (
        links.join(image_places, left_on="image_ids", right_on="item_id")
        .join(texts.join(text_places, left_on="text_id", right_on="item_id"), on="row")
        .select("row", "image", "words")
    )
    matrix = vectors["vector"].to_numpy() if vectors.height else np.zeros((0, 1))
    cosines = np.empty(pairs.height)
    a, b = pairs["image"].to_numpy(), pairs["words"].to_numpy()
    for start in range(0, pairs.height, _CHUNK):
        some = slice(start, start + _CHUNK)
        left, right = matrix[a[some]].astype(np.float32), matrix[b[some]].astype(np.float32)
        cosines[some] = np.einsum("ij,ij->i", left, right)
    return rows.spread(pairs.with_columns(cosine=pl.Series(cosines)), "cosine", "max")
