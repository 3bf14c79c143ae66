"""Compiled loops that pick near pairs out of products of vectors, and measure them exactly."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.near.kernels.jit import jit, jit_sums

# Long enough for a loop of vector code: a short one is unrolled and slower.
_STRIDE = 256


@jit
def reaching(products: Any, width: int, limit: Any, diagonal: bool, a: Any, b: Any) -> int:
    """Places of a block of products that reach a limit.

    Args:
        products: Products of two blocks of vectors, row after row.
        width: Products in a row.
        limit: Least product.
        diagonal: Whether the blocks are the same; then only places right of the diagonal count.
        a: Gets row numbers, must be as long as `products`.
        b: Gets column numbers.

    Returns:
        Number of places.
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
    """Move pairs whose bound with more coordinates reaches a limit to the front.

    Args:
        products: Products of the lead coordinates of two blocks, their last column included.
        lead: Lead coordinates of all vectors; the last column is the length of the rest.
        middle: Further coordinates; the last column is the length of what is left then.
        first: Where the first block starts.
        second: Where the second block starts.
        limit: Least product.
        a: Row numbers of pairs, changed in place.
        b: Column numbers of pairs, changed in place.

    Returns:
        Number of pairs that reach it.
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
    """Cosines in 64-bit floats of the vectors as given; pairs that reach a threshold go to the front.

    The order of additions depends on nothing but the width, so that a pair has one cosine.

    Args:
        rows: Vectors.
        norms: Their lengths.
        first: Is added to `a`.
        second: Is added to `b`.
        threshold: Least cosine.
        a: First numbers of pairs, changed in place.
        b: Second numbers of pairs, changed in place.
        out: Gets the cosines.

    Returns:
        Number of pairs that reach it.
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
