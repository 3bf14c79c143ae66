"""Which images of a dataset count as the same, by the level that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from curate._star import ImageSide

if TYPE_CHECKING:
    import polars as pl

_BLOCK = 2048


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
    from curate import _kernels_star as kernels

    return Alike(ImageSide(mode=kernels.IMAGES_PAIRS), np.arange(n, dtype=np.int32))


def by_hash(ids: pl.Series, pictures: Pictures, distance: int) -> Alike:
    """Images are the same if their hashes are near and their pixels agree."""
    from curate import _kernels_image as image_kernels
    from curate import _kernels_star as kernels
    from curate.phash import same_pictures

    hashes = facts_of(ids, pictures)["phash"]
    known = np.flatnonzero(hashes.is_not_null().to_numpy()).astype(np.int32)
    names = ids.gather(known).to_list()
    found = same_pictures(
        hashes.gather(known).to_numpy(),
        lambda number: pictures.read(names[number]),
        distance=distance,
        order=lambda number: pictures.order(names[number]),
    )
    a, b = known[found.a].astype(np.uint64), known[found.b].astype(np.uint64)
    keys = (a << np.uint64(32)) | b
    order = np.argsort(keys)
    side = ImageSide(mode=kernels.IMAGES_PAIRS, keys=keys[order], values=found.similarity[order])
    component = image_kernels.components(len(ids), known[found.a], known[found.b])
    summary = {
        "images": len(ids),
        "near_hash_images": found.n_near_hash,
        "compared_pairs": found.n_compared,
        "same_picture_pairs": len(found.a),
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


def by_vectors(ids: pl.Series, vectors: pl.DataFrame, threshold: float) -> Alike:
    """Images are the same if the cosine of their embeddings reaches the threshold."""
    from curate import _kernels_star as kernels

    found = ids.rename("item_id").to_frame().with_row_index("number").join(
        vectors.select("item_id", "vector"), on="item_id", how="inner", maintain_order="left"
    )  # fmt: skip
    matrix = np.zeros((len(ids), 1), dtype=np.float32)
    if found.height:
        rows = vector_matrix(found["vector"])
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        matrix = np.zeros((len(ids), rows.shape[1]), dtype=np.float32)
        matrix[found["number"].to_numpy()] = rows
    component, pairs, touched = cosine_components(matrix, threshold)
    side = ImageSide(mode=kernels.IMAGES_VECTORS, vectors=matrix, threshold=threshold)
    summary = {
        "images": len(ids),
        "images_without_embedding": len(ids) - found.height,
        "clip_like_images": touched,
        "clip_like_pairs": pairs,
    }
    return Alike(side, component, summary)


def vector_matrix(vectors: pl.Series) -> np.ndarray:
    """Vectors as rows of 32-bit floats."""
    import polars as pl

    width = len(vectors[0])
    return np.array(vectors.cast(pl.Array(pl.Float32, width)).to_numpy(), dtype=np.float32)


def cosine_components(vectors: np.ndarray, threshold: float) -> tuple[np.ndarray, int, int]:
    """Connected components of vectors whose cosine reaches a threshold.

    Exact: a blocked product of all pairs, of which nothing is kept but the links.

    Returns:
        Lowest number of each vector's component, number of pairs, and of vectors in a pair.
    """
    n, pairs = len(vectors), 0
    component: np.ndarray = np.arange(n, dtype=np.int32)
    touched = np.zeros(n, dtype=bool)
    for first in range(0, n, _BLOCK):
        for second in range(first, n, _BLOCK):
            near = vectors[first : first + _BLOCK] @ vectors[second : second + _BLOCK].T
            # Links may be too many, never too few: the order of additions moves a product a bit.
            a, b = np.nonzero(near >= threshold - 1e-4)
            sure = (near[a, b] >= threshold) & (b + second > a + first)
            a, b = a + first, b + second
            pairs += int(sure.sum())
            touched[a[sure]] = touched[b[sure]] = True
            links = np.unique((component[a].astype(np.int64) << 32) | component[b])
            links = links[(links >> 32) != (links & 0xFFFFFFFF)]
            if len(links):
                component = _join(component, links)
    return component, pairs, int(touched.sum())


def _join(component: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Components after more links, given as pairs of component numbers in one word."""
    from curate import _kernels_image as kernels

    a, b = (links >> 32).astype(np.int32), (links & 0xFFFFFFFF).astype(np.int32)
    roots: np.ndarray = kernels.components(len(component), a, b)
    joined: np.ndarray = roots[component]
    return joined
