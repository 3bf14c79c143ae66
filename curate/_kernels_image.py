"""Compiled loops over images: near perceptual hashes, and what differs between two pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate._jit import jit

GRID = 4


@jit
def _ones(value: Any) -> Any:
    value -= (value >> np.uint64(1)) & np.uint64(0x5555555555555555)
    value = (value & np.uint64(0x3333333333333333)) + (
        (value >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    value = (value + (value >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((value * np.uint64(0x0101010101010101)) >> np.uint64(56))


@jit
def _segment(value: Any, number: int, bits: int) -> Any:
    return np.int64((value >> np.uint64(number * bits)) & np.uint64((1 << bits) - 1))


@jit
def index_segments(hashes: Any, bits: int, starts: Any, order: Any) -> None:
    """Sort the hashes by each of their segments (counting sort)."""
    for s in range(starts.shape[0]):
        for value in hashes:
            starts[s, _segment(value, s, bits) + 1] += 1
        for k in range(1, starts.shape[1]):
            starts[s, k] += starts[s, k - 1]
        place = starts[s].copy()
        for i in range(hashes.size):
            key = _segment(hashes[i], s, bits)
            order[s, place[key]] = i
            place[key] += 1


@jit
def near_hashes(
    hashes: Any, bits: int, starts: Any, order: Any, probes: Any, radius: int, distance: int,
    first: int, last: int, has: Any, out_a: Any, out_b: Any,
) -> int:  # fmt: skip
    """Pairs of hashes at most `distance` bits apart, those of numbers `first` to `last`.

    Multi-index: of m segments one differs in at most distance / m bits, so that only hashes that
    share a segment, up to `probes`, are looked at.

    Args:
        hashes: Distinct hashes.
        bits: Bits a segment.
        starts: From `index_segments`.
        order: From `index_segments`.
        probes: Patterns of at most `radius` bits of a segment.
        radius: Bits in which one segment may differ.
        distance: Bits in which the hashes may differ.
        first: First hash whose pairs with later ones are wanted.
        last: One past the last.
        has: Is set for hashes that are in a pair.
        out_a: Gets pairs; with size 0 they are only counted.
        out_b: Gets pairs.
    """
    n = 0
    for i in range(first, last):
        for s in range(starts.shape[0]):
            mine = _segment(hashes[i], s, bits)
            for probe in probes:
                key = mine ^ probe
                if key + 1 >= starts.shape[1]:
                    continue
                for k in range(starts[s, key], starts[s, key + 1]):
                    j = order[s, k]
                    if j <= i or _ones(hashes[i] ^ hashes[j]) > distance:
                        continue
                    if _found_before(hashes[i] ^ hashes[j], s, bits, radius):
                        continue
                    has[i] = has[j] = True
                    if out_a.size:
                        out_a[n], out_b[n] = i, j
                    n += 1
    return n


@jit
def _found_before(difference: Any, segment: int, bits: int, radius: int) -> bool:
    for s in range(segment):  # noqa: SIM110 - compiled code has no generators
        if _ones(np.uint64(_segment(difference, s, bits))) <= radius:
            return True
    return False


@jit
def _similar_grids(a: Any, b: Any, most: Any) -> bool:
    for k in range(a.size):
        d = np.int64(a[k]) - np.int64(b[k])
        if d > most[k % 3] or -d > most[k % 3]:
            return False
    return True


@jit
def likely_pairs(
    pair_a: Any, pair_b: Any, starts: Any, members: Any, grids: Any, aspects: Any, most: Any,
    out_a: Any, out_b: Any,
) -> int:  # fmt: skip
    """Pairs of images with near hashes whose coarse colours agree.

    Args:
        pair_a: Distinct hash of each pair; a hash with itself for images that share it.
        pair_b: The other.
        starts: Where each distinct hash's images start in `members`.
        members: Images, hash after hash.
        grids: Mean colours of 4 x 4 fields of each image.
        aspects: Logarithm of width / height of each image; NaN where it cannot be read.
        most: Difference of each channel that is allowed.
        out_a: Gets pairs, the lower number first; with size 0 they are only counted.
        out_b: Gets pairs.
    """
    n = 0
    for p in range(pair_a.size):
        for x in range(starts[pair_a[p]], starts[pair_a[p] + 1]):
            i = members[x]
            low = x + 1 if pair_a[p] == pair_b[p] else starts[pair_b[p]]
            for y in range(low, starts[pair_b[p] + 1]):
                j = members[y]
                if not abs(aspects[i] - aspects[j]) <= 0.05:
                    continue
                if not _similar_grids(grids[i], grids[j], most):
                    continue
                if out_a.size:
                    out_a[n], out_b[n] = min(i, j), max(i, j)
                n += 1
    return n


@jit
def difference(a: Any, b: Any, out: Any) -> None:
    """How much two pictures of one size differ, after slight smoothing.

    Args:
        a: YCbCr, height x width x 3.
        b: YCbCr, of the same shape.
        out: Gets the absolute medians of the three channels, the largest mean absolute difference
            of lightness in 4 x 4 and in 8 x 8 fields, that of colour in 16 x 16 fields, and the
            mean absolute difference of all.
    """
    height, width = a.shape[0], a.shape[1]
    smooth = np.empty((height, width), dtype=np.float32)
    total = 0.0
    out[3] = out[4] = out[5] = 0.0
    for channel in range(3):
        histogram = np.zeros(511, dtype=np.int64)
        for y in range(height):
            up, down = max(y - 1, 0), min(y + 1, height - 1)
            for x in range(width):
                left, right = max(x - 1, 0), min(x + 1, width - 1)
                value = 4 * _d(a, b, y, x, channel)
                value += 2 * (_d(a, b, up, x, channel) + _d(a, b, down, x, channel))
                value += 2 * (_d(a, b, y, left, channel) + _d(a, b, y, right, channel))
                value += _d(a, b, up, left, channel) + _d(a, b, up, right, channel)
                value += _d(a, b, down, left, channel) + _d(a, b, down, right, channel)
                smooth[y, x] = abs(value) / 16.0
                total += abs(value) / 16.0
                histogram[_d(a, b, y, x, channel) + 255] += 1
        out[channel] = abs(_median(histogram, height * width) - 255)
        if channel == 0:
            out[3], out[4] = _worst_field(smooth, 4), _worst_field(smooth, 8)
        else:
            out[5] = max(out[5], _worst_field(smooth, 16))
    out[6] = total / (3 * height * width)


@jit
def _d(a: Any, b: Any, y: int, x: int, channel: int) -> Any:
    return np.int64(a[y, x, channel]) - np.int64(b[y, x, channel])


@jit
def _median(histogram: Any, n: int) -> int:
    passed = 0
    for value in range(histogram.size):
        passed += histogram[value]
        if 2 * passed >= n:
            return value
    return 0


@jit
def _worst_field(values: Any, size: int) -> float:
    """Largest mean of whole size x size fields; the last field in a row overlaps."""
    height, width = values.shape
    rows, columns = min(size, height), min(size, width)
    worst = 0.0
    for y0 in range(0, height, rows):
        top = min(y0, height - rows)
        for x0 in range(0, width, columns):
            left = min(x0, width - columns)
            total = 0.0
            for y in range(top, top + rows):
                for x in range(left, left + columns):
                    total += values[y, x]
            worst = max(worst, total / (rows * columns))
    return worst


@jit
def components(n: int, a: Any, b: Any) -> Any:
    """Lowest number of each one's connected component."""
    parent = np.arange(n, dtype=np.int32)
    unite(parent, a, b)
    flatten(parent)
    return parent


@jit
def unite(parent: Any, a: Any, b: Any) -> None:
    """Join the components of pairs; `parent` starts as 0, 1, 2, ... and is changed in place."""
    for k in range(a.size):
        x, y = a[k], b[k]
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        while parent[y] != y:
            parent[y] = parent[parent[y]]
            y = parent[y]
        parent[max(x, y)] = min(x, y)


@jit
def flatten(parent: Any) -> None:
    """Let every parent be the lowest number of its component."""
    for x in range(parent.size):
        parent[x] = parent[parent[x]]


@jit
def hash_lists(at: Any, values: Any, seed: Any, out: Any) -> None:
    """64-bit hash of every list of numbers, order and length included."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    for i in range(out.size):
        h = seed ^ (np.uint64(at[i + 1] - at[i]) * golden)
        for k in range(at[i], at[i + 1]):
            h = (h ^ np.uint64(values[k])) * np.uint64(0xBF58476D1CE4E5B9)
            h ^= h >> np.uint64(29)
            h = h * np.uint64(0x94D049BB133111EB) + golden
            h ^= h >> np.uint64(32)
        out[i] = h
