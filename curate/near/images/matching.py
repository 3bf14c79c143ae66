"""Which images of a dataset count as the same, by the level that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.near.star import ImageSide
from pairwright.commands.progress import say

if TYPE_CHECKING:
    import polars as pl

    from curate.near.vectors.search import Index

# Above so many near pairs they are not listed but compared again when asked for.
MOST_PAIRS = 20_000_000
# Cosines at which the report says how many pairs are left.
LEVELS = (0.95, 0.97, 0.98, 0.99, 0.995)
_ROWS, _SAMPLE, _LOOKED_AT = 8192, 1000, 100


@dataclass(frozen=True, slots=True)
class Pictures:
    """What is known of images.

    Attributes:
        facts: `image_id`, `width`, `height`, `phash` of images.
        read: Gives the bytes of an image by id.
        order: Sort key of ids in which reading is cheapest.
        vectors: `item_id` and unit `vector` of images; only for matching by embeddings.
    """

    facts: pl.DataFrame
    read: Callable[[str], bytes]
    order: Callable[[str], Any] = lambda image_id: image_id
    vectors: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Alike:
    """Images that count as the same.

    Attributes:
        side: For the matching of items.
        component: Lowest number of the images that are linked to each, directly or through others.
        summary: Figures for people.
    """

    side: ImageSide
    component: np.ndarray
    summary: dict[str, Any] = field(default_factory=dict)


def identical(n: int) -> Alike:
    """Images are the same if their bytes are."""
    from curate.near.kernels import star as kernels

    return Alike(ImageSide(mode=kernels.IMAGES_PAIRS), np.arange(n, dtype=np.int32))


def by_hash(ids: pl.Series, pictures: Pictures, distance: int) -> Alike:
    """Images are the same if their hashes are near and their pixels agree."""
    from curate.near.images.phash import same_pictures
    from curate.near.kernels import image as image_kernels
    from curate.near.kernels import star as kernels

    facts = facts_of(ids, pictures)
    hashes = facts["phash"]
    known = np.flatnonzero(hashes.is_not_null().to_numpy()).astype(np.int32)
    # In a crowd of like images each is compared with the largest ones, which are likely to stay.
    pixels = (facts["width"] * facts["height"]).fill_null(0).to_numpy()[known]
    known = known[np.argsort(-pixels, kind="stable")]
    names = ids.gather(known)
    found = same_pictures(
        hashes.gather(known).to_numpy(),
        lambda number: pictures.read(names[number]),
        distance=distance,
        order=lambda number: pictures.order(names[number]),
    )
    one, other = known[found.a], known[found.b]
    a, b = np.minimum(one, other).astype(np.uint64), np.maximum(one, other).astype(np.uint64)
    keys = (a << np.uint64(32)) | b
    order = np.argsort(keys)
    side = ImageSide(mode=kernels.IMAGES_PAIRS, keys=keys[order], values=found.similarity[order])
    component = image_kernels.components(len(ids), one, other)
    summary = {
        "images": len(ids),
        "near_hash_images": found.n_near_hash,
        "compared_pairs": found.n_compared,
        "same_picture_pairs": len(found.a),
        "crowded_images": found.n_crowded,
        "unreadable_images": len(found.unreadable),
    }
    return Alike(side, component, summary)


def facts_of(ids: pl.Series, pictures: Pictures) -> pl.DataFrame:
    """Width, height and hash of images by number, null where the images table lacks one."""
    import polars as pl

    facts = pictures.facts.unique("image_id", keep="first")
    return ids.rename("image_id").to_frame().join(
        facts.select("image_id", pl.col("width", "height").cast(pl.Int64), "phash"),
        on="image_id", how="left", maintain_order="left",
    )  # fmt: skip


def by_vectors(
    ids: pl.Series,
    vectors: pl.DataFrame,
    threshold: float,
    *,
    index: Index = "auto",
    read: Callable[[str], bytes] | None = None,
) -> Alike:
    """Images are the same if the cosine of their embeddings reaches the threshold.

    Args:
        ids: Images by number.
        vectors: `item_id` and `vector`.
        threshold: Least cosine.
        index: How pairs are searched, see `curate.near.vectors.search`.
        read: Gives the bytes of an image by id, to say how many of some pairs are copies.
    """
    from curate.near.kernels import image as kernels
    from curate.near.kernels import star as star_kernels
    from curate.near.text.minhash import n_threads
    from curate.near.vectors.search import NearPairs, in_order, plan

    numbers, rows = _numbered(ids, vectors)
    search = plan(rows, threshold, index=index)
    cost = search.cost
    if cost.n:
        say(cost.words(n_threads()))
    component: np.ndarray = np.arange(len(ids), dtype=np.int32)
    touched = np.zeros(len(ids), dtype=bool)
    kept: list[NearPairs] | None = [] if cost.n_near <= MOST_PAIRS else None
    n_pairs = 0
    for found in search.pairs(kept is not None):
        a, b = numbers[found.a], numbers[found.b]
        kernels.unite(component, a, b)
        touched[a] = touched[b] = True
        n_pairs += len(a)
        if kept is not None:
            kept.append(NearPairs(a, b, found.cosine))
        if n_pairs > MOST_PAIRS:
            kept = None
    kernels.flatten(component)
    recall = search.recall()
    summary: dict[str, Any] = {
        "images": len(ids),
        "images_without_embedding": len(ids) - cost.n,
        "clip_like_images": int(touched.sum()),
        "clip_like_pairs": n_pairs,
        "clip_search": cost.method,
        **(
            {} if recall is None else {"clip_recall": recall.share, "clip_recall_of": recall.wanted}
        ),
        **_spread(rows),
    }
    if kept is None:
        matrix = np.zeros((len(ids), rows.shape[1]), dtype=np.float32)
        matrix[numbers] = _unit(rows)
        side = ImageSide(mode=star_kernels.IMAGES_VECTORS, vectors=matrix, threshold=threshold)
        return Alike(side, component, summary)
    pairs = in_order(kept)
    keys = (pairs.a.astype(np.uint64) << np.uint64(32)) | pairs.b.astype(np.uint64)
    summary["clip_pairs_at"] = {
        f"{level:g}": int((pairs.cosine >= level).sum()) for level in LEVELS if level > threshold
    }
    if read is not None:
        summary |= _copies_among(pairs.a, pairs.b, ids, read)
    side = ImageSide(mode=star_kernels.IMAGES_PAIRS, keys=keys, values=pairs.cosine)
    return Alike(side, component, summary)


def _copies_among(
    a: np.ndarray, b: np.ndarray, ids: pl.Series, read: Callable[[str], bytes]
) -> dict[str, int]:
    """How many of some pairs are copies by their pixels: likeness is not sameness."""
    from curate.near.images.phash import same_picture
    from pairwright.images import ImageError, open_image

    looked = same = 0
    for k in np.random.default_rng(4).permutation(len(a))[:_LOOKED_AT].tolist():
        try:
            one, other = (open_image(read(ids[int(i)])) for i in (a[k], b[k]))
        except ImageError:
            continue
        looked += 1
        same += same_picture(one, other) >= 0
    return {"clip_pairs_looked_at": looked, "clip_pairs_copies": same}


def _numbered(ids: pl.Series, vectors: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the images that have a vector, and these vectors, copied some at a time."""
    places = vectors.select("item_id").with_row_index("place").unique("item_id", keep="first")
    found = ids.rename("item_id").to_frame().with_row_index("number").join(
        places, on="item_id", how="inner", maintain_order="left"
    )  # fmt: skip
    known = vectors["vector"].drop_nulls()
    width = len(known[0]) if len(known) else 1
    rows = np.empty((found.height, width), dtype=np.float32)
    for first in range(0, found.height, _ROWS):
        part = found["place"][first : first + _ROWS]
        rows[first : first + _ROWS] = vector_matrix(vectors["vector"].gather(part), width)
    return found["number"].to_numpy().astype(np.int32), rows


def vector_matrix(vectors: pl.Series, width: int | None = None) -> np.ndarray:
    """Vectors as rows of 32-bit floats, not-a-number where there is none."""
    import polars as pl

    width = len(vectors[0]) if width is None else width
    return np.array(vectors.cast(pl.Array(pl.Float32, width)).to_numpy(), dtype=np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = np.nan_to_num(rows, posinf=0, neginf=0)
    norms: np.ndarray = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: np.ndarray = rows / np.maximum(norms, 1e-12)
    return unit


def _spread(rows: np.ndarray) -> dict[str, float]:
    """How alike two images of the set are that were drawn at random."""
    some = np.random.default_rng(3).permutation(len(rows))[:_SAMPLE]
    units = _unit(rows[some])
    cosines = (units @ units.T)[np.triu_indices(len(units), 1)]
    if not len(cosines):
        return {}
    middle, high = np.percentile(cosines, [50, 99]).round(4).tolist()
    return {"clip_random_median": middle, "clip_random_p99": high}
