"""Compiled loops that find near pairs in products of vectors and compute their exact cosines."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.near.kernels.jit import jit, jit_sums

# Long enough for a loop of vector code: a short one is unrolled and slower.
_STRIDE = 256


@jit
def reaching(products: Any, width: int, limit: Any, diagonal: bool, a: Any, b: Any) -> int:
    """Find the products of a block that reach a limit.

    Args:
        products: Products of two blocks of vectors, row by row.
        width: Products per row.
        limit: Min product.
        diagonal: Whether the blocks are the same; then only the upper triangle counts.
        a: Receives row numbers; as long as `products`.
        b: Receives column numbers.

    Returns:
        Number of products found.
    """
    n = 0
    for block in range(products.size // _STRIDE):
        some = False
        for k in range(_STRIDE):  # without a branch, so that it compiles to vector code
            some |= products[block * _STRIDE + k] >= limit
        if some:
            first = block * _STRIDE
            n = _take(products, first, first + _STRIDE, width, limit, diagonal, a, b, n)
    rest = products.size - products.size % _STRIDE
    return _take(products, rest, products.size, width, limit, diagonal, a, b, n)


@jit
def _take(
    products: Any, first: int, last: int, width: int, limit: Any, diagonal: bool,
    a: Any, b: Any, n: int,
) -> int:  # fmt: skip
    for k in range(first, last):
        if products[k] >= limit:
            i = k // width
            j = k - i * width
            if j > i or not diagonal:
                a[n], b[n] = i, j
                n += 1
    return n


@jit
def sieve(
    products: Any, lead: Any, middle: Any, first: int, second: int, limit: Any, a: Any, b: Any
) -> int:
    """Move pairs to the front whose bound with more coordinates reaches a limit.

    Args:
        products: Products of the leading coordinates of two blocks, last column included.
        lead: Leading coordinates of all vectors; the last column is the norm of the rest.
        middle: Further coordinates; the last column is the norm of what then remains.
        first: First vector of the first block.
        second: First vector of the second block.
        limit: Min product.
        a: Row numbers of pairs, changed in place.
        b: Column numbers of pairs, changed in place.

    Returns:
        Number of pairs that reach the limit.
    """
    n, end = 0, lead.shape[1] - 1
    for k in range(a.size):
        i, j = a[k], b[k]
        known = products[i, j] - lead[first + i, end] * lead[second + j, end]
        if known + _dot32(middle, first + i, second + j) >= limit:
            a[n], b[n] = i, j
            n += 1
    return n


@jit
def measure(
    rows: Any, norms: Any, first: int, second: int, threshold: float, a: Any, b: Any, out: Any
) -> int:
    """Compute cosines of pairs in 64-bit floats; move those that reach a threshold to the front.

    The order of additions depends on the width only, so a pair always has the same cosine.

    Args:
        rows: [n, width] vectors.
        norms: [n] their norms.
        first: Added to `a`.
        second: Added to `b`.
        threshold: Min cosine.
        a: First numbers of pairs, changed in place.
        b: Second numbers of pairs, changed in place.
        out: Receives the cosines.

    Returns:
        Number of pairs that reach the threshold.
    """
    n = 0
    for k in range(a.size):
        i, j = a[k] + first, b[k] + second
        value = _dot64(rows, i, j) / (norms[i] * norms[j])
        if value >= threshold:
            a[n], b[n], out[n] = i, j, min(max(value, -1.0), 1.0)
            n += 1
    return n


@jit_sums
def _dot32(rows: Any, i: int, j: int) -> Any:
    total = np.float32(0.0)
    for k in range(rows.shape[1]):
        total += rows[i, k] * rows[j, k]
    return total


@jit_sums
def _dot64(rows: Any, i: int, j: int) -> float:
    total = 0.0
    for k in range(rows.shape[1]):
        total += np.float64(rows[i, k]) * np.float64(rows[j, k])
    return total
