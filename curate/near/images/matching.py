"""Which images count as the same: by their bytes, by confirmed copies, or by embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.near.items import SameImages
from curate.near.vectors.base import unit, vector_matrix
from pairwright.commands.progress import say

if TYPE_CHECKING:
    import polars as pl

    from curate.near.vectors.base import NearPairs, Search
    from curate.near.vectors.search import Index

# Above this number of near pairs the pairs are not listed; cosines are computed when needed.
MAX_PAIRS = 20_000_000
# Cosines for which the report prints the number of pairs.
LEVELS = (0.95, 0.97, 0.98, 0.99, 0.995)
_ROWS, _SAMPLE, _CHECKED = 8192, 1000, 100


@dataclass(frozen=True, slots=True)
class ImageSource:
    """Access to the images of a dataset.

    Attributes:
        facts: `image_id`, `width`, `height`, `phash` of the images.
        read: Returns the bytes of an image by id.
        order: Sort key of ids in the order that is cheapest to read.
        vectors: `item_id` and unit `vector` of the images; needed for embeddings only.
    """

    facts: pl.DataFrame
    read: Callable[[str], bytes]
    order: Callable[[str], Any] = lambda image_id: image_id
    vectors: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class ImageMatches:
    """Which of n images count as the same.

    Attributes:
        same: Pairs of images, as the matching of items reads them.
        component: [n] lowest number of the images that are linked to each image, directly or
            through others.
        summary: Numbers for the report.
    """

    same: SameImages
    component: np.ndarray
    summary: dict[str, Any] = field(default_factory=dict)


def match_identical(n: int) -> ImageMatches:
    """Images are the same if their bytes are equal: each of n numbers matches itself only."""
    from curate.near.kernels import matching as kernels

    return ImageMatches(SameImages(mode=kernels.IMAGES_PAIRS), np.arange(n, dtype=np.int32))


def match_copies(ids: pl.Series, images: ImageSource, distance: int) -> ImageMatches:
    """Images are the same if their perceptual hashes are near and their pixels agree.

    Args:
        ids: [n] image ids by number.
        images: Access to the images.
        distance: Max bits in which the hashes of candidates differ.
    """
    from curate.near.images.copies import find_copies
    from curate.near.kernels import image as image_kernels
    from curate.near.kernels import matching as kernels

    facts = facts_of(ids, images)
    hashes = facts["phash"]
    known = np.flatnonzero(hashes.is_not_null().to_numpy()).astype(np.int32)
    # In a crowd of similar images each is compared with the largest ones, which are likely kept.
    pixels = (facts["width"] * facts["height"]).fill_null(0).to_numpy()[known]
    known = known[np.argsort(-pixels, kind="stable")]
    names = ids.gather(known)
    found = find_copies(
        hashes.gather(known).to_numpy(),
        lambda number: images.read(names[number]),
        distance=distance,
        order=lambda number: images.order(names[number]),
    )
    one, other = known[found.a], known[found.b]
    keys = _keys(np.minimum(one, other), np.maximum(one, other))
    order = np.argsort(keys)
    same = SameImages(mode=kernels.IMAGES_PAIRS, keys=keys[order], values=found.similarity[order])
    component = image_kernels.components(len(ids), one, other)
    summary = {
        "images": len(ids),
        "near_hash_images": found.n_near_hash,
        "compared_pairs": found.n_compared,
        "copy_pairs": len(found.a),
        "crowded_images": found.n_crowded,
        "unreadable_images": len(found.unreadable),
    }
    return ImageMatches(same, component, summary)


def _keys(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[p] keys of pairs of image numbers, as `SameImages` has them."""
    return np.asarray((low.astype(np.uint64) << np.uint64(32)) | high.astype(np.uint64))


def facts_of(ids: pl.Series, images: ImageSource) -> pl.DataFrame:
    """Width, height and hash of images by number; null for images without facts."""
    import polars as pl

    facts = images.facts.unique("image_id", keep="first")
    return ids.rename("image_id").to_frame().join(
        facts.select("image_id", pl.col("width", "height").cast(pl.Int64), "phash"),
        on="image_id", how="left", maintain_order="left",
    )  # fmt: skip


def match_embeddings(
    ids: pl.Series,
    vectors: pl.DataFrame,
    threshold: float,
    *,
    index: Index = "auto",
    read: Callable[[str], bytes] | None = None,
) -> ImageMatches:
    """Images are the same if the cosine of their embeddings reaches the threshold.

    Args:
        ids: [n] image ids by number.
        vectors: `item_id` and `vector`.
        threshold: Min cosine.
        index: How pairs are searched, see `curate.near.vectors.search`.
        read: Returns the bytes of an image by id, to count the copies in a sample of the pairs.
    """
    from curate.near.kernels import matching as kernels
    from curate.near.threads import n_threads
    from curate.near.vectors.search import plan

    numbers, rows = _numbered(ids, vectors)
    search = plan(rows, threshold, index=index)
    if search.cost.n:
        say(search.cost.words(n_threads()))
    component, pairs, summary = _near_images(search, numbers, len(ids))
    summary |= _random_cosines(rows)
    if pairs is None:
        matrix = np.zeros((len(ids), rows.shape[1]), dtype=np.float32)
        matrix[numbers] = unit(_finite(rows))
        same = SameImages(mode=kernels.IMAGES_VECTORS, vectors=matrix, threshold=threshold)
        return ImageMatches(same, component, summary)
    summary["clip_pairs_at"] = {
        f"{level:g}": int((pairs.cosine >= level).sum()) for level in LEVELS if level > threshold
    }
    if read is not None:
        summary |= _count_copies(pairs.a, pairs.b, ids, read)
    keys = _keys(pairs.a, pairs.b)
    same = SameImages(mode=kernels.IMAGES_PAIRS, keys=keys, values=pairs.cosine)
    return ImageMatches(same, component, summary)


def _near_images(
    search: Search, numbers: np.ndarray, n: int
) -> tuple[np.ndarray, NearPairs | None, dict[str, Any]]:
    """Run a search.

    Args:
        search: Search among the vectors of the images.
        numbers: Image number of each vector.
        n: Number of images.

    Returns:
        [n] components of linked images; the pairs of image numbers, or None if they are more than
        `MAX_PAIRS`; numbers for the report.
    """
    from curate.near.kernels import image as kernels
    from curate.near.vectors.base import NearPairs, in_order

    component: np.ndarray = np.arange(n, dtype=np.int32)
    has_near = np.zeros(n, dtype=bool)
    listed: list[NearPairs] | None = [] if search.cost.n_near <= MAX_PAIRS else None
    n_pairs = 0
    for found in search.pairs(listed is not None):
        a, b = numbers[found.a], numbers[found.b]
        kernels.unite(component, a, b)
        has_near[a] = has_near[b] = True
        n_pairs += len(a)
        if listed is not None:
            listed.append(NearPairs(a, b, found.cosine))
        if n_pairs > MAX_PAIRS:
            listed = None
    kernels.flatten(component)
    summary: dict[str, Any] = {
        "images": n,
        "images_without_embedding": n - search.cost.n,
        "clip_near_images": int(has_near.sum()),
        "clip_near_pairs": n_pairs,
        "clip_search": search.cost.method,
    }
    if recall := search.recall():
        summary |= {"clip_recall": recall.rate, "clip_recall_of": recall.wanted}
    return component, None if listed is None else in_order(listed), summary


def _count_copies(
    a: np.ndarray, b: np.ndarray, ids: pl.Series, read: Callable[[str], bytes]
) -> dict[str, int]:
    """Count the copies in a sample of pairs: similar images need not be copies."""
    from curate.near.images.pixels import copy_similarity
    from pairwright.images import ImageError, open_image

    checked = copies = 0
    for k in np.random.default_rng(4).permutation(len(a))[:_CHECKED].tolist():
        try:
            one, other = (open_image(read(ids[int(i)])) for i in (a[k], b[k]))
        except ImageError:
            continue
        checked += 1
        copies += copy_similarity(one, other) >= 0
    return {"clip_pairs_checked": checked, "clip_pairs_copies": copies}


def _numbered(ids: pl.Series, vectors: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """[m] numbers of the images that have a vector, and their [m, width] vectors."""
    positions = vectors.select("item_id").with_row_index("position")
    found = ids.rename("item_id").to_frame().with_row_index("number").join(
        positions.unique("item_id", keep="first"), on="item_id", how="inner", maintain_order="left"
    )  # fmt: skip
    known = vectors["vector"].drop_nulls()
    width = len(known[0]) if len(known) else 1
    rows = np.empty((found.height, width), dtype=np.float32)
    for first in range(0, found.height, _ROWS):  # in batches: one copy of all in memory
        part = found["position"][first : first + _ROWS]
        rows[first : first + _ROWS] = vector_matrix(vectors["vector"].gather(part), width)
    return found["number"].to_numpy().astype(np.int32), rows


def _finite(rows: np.ndarray) -> np.ndarray:
    return np.asarray(np.nan_to_num(rows, posinf=0, neginf=0))


def _random_cosines(rows: np.ndarray) -> dict[str, float]:
    """Median and 99th percentile of the cosine of two random images of the set."""
    sample = np.random.default_rng(3).permutation(len(rows))[:_SAMPLE]
    units = unit(_finite(rows[sample]))
    cosines = (units @ units.T)[np.triu_indices(len(units), 1)]
    if not len(cosines):
        return {}
    median, high = np.percentile(cosines, [50, 99]).round(4).tolist()
    return {"clip_random_median": median, "clip_random_p99": high}
