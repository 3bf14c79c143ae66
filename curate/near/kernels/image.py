"""Compiled loops over images: near perceptual hashes, and the differences between two images."""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.near.kernels.jit import jit

GRID = 8
# Mean colors of copies usually differ by less than this.
CLOSE = 4
# Logarithms of the aspect ratios of copies differ by less; sizes of thumbnails are rounded.
ASPECT = 0.1


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
        cursor = starts[s].copy()
        for i in range(hashes.size):
            key = _segment(hashes[i], s, bits)
            order[s, cursor[key]] = i
            cursor[key] += 1


@jit
def near_hashes(
    hashes: Any, bits: int, starts: Any, order: Any, probes: Any, radius: int, distance: int,
    first: int, last: int, out_a: Any, out_b: Any,
) -> Any:  # fmt: skip
    """Pairs of a hash from `first` to `last` and a later hash, at most `distance` bits apart.

    Multi-index hashing: one of m segments differs in at most distance / m bits, so only hashes that
    share a segment, except for the bits in `probes`, are compared.

    Args:
        hashes: Distinct hashes.
        bits: Bits per segment.
        starts: From `index_segments`.
        order: From `index_segments`.
        probes: Patterns of at most `radius` bits of a segment.
        radius: Max bits in which one segment differs.
        distance: Max bits in which the hashes differ.
        first: First hash.
        last: One past the last hash.
        out_a: Receives the lower number of each pair; room for as many pairs as hashes.
        out_b: Receives the higher number.

    Returns:
        Number of pairs, and the hash at which to continue: `last`, or the first that did not fit.
    """
    n = 0
    for i in range(first, last):
        before = n
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
                    if n == out_a.size:
                        return before, i
                    out_a[n], out_b[n] = i, j
                    n += 1
    return n, last


@jit
def has_near_hash(
    hashes: Any, bits: int, starts: Any, order: Any, probes: Any, radius: int, distance: int,
    first: int, last: int, has: Any,
) -> None:  # fmt: skip
    """Set `has` for the hashes that are near another one; arguments as for `near_hashes`."""
    for i in range(first, last):
        for s in range(starts.shape[0]):
            if has[i]:
                break
            mine = _segment(hashes[i], s, bits)
            for probe in probes:
                key = mine ^ probe
                if has[i] or key + 1 >= starts.shape[1]:
                    continue
                for k in range(starts[s, key], starts[s, key + 1]):
                    j = order[s, k]
                    if j != i and _ones(hashes[i] ^ hashes[j]) <= distance:
                        has[i] = has[j] = True
                        break


@jit
def _found_before(difference: Any, segment: int, bits: int, radius: int) -> bool:
    for s in range(segment):  # noqa: SIM110 - compiled code has no generators
        if _ones(np.uint64(_segment(difference, s, bits))) <= radius:
            return True
    return False


@jit
def _grid_distance(grids: Any, a: int, b: int, limits: Any) -> int:
    """0 if two grids agree closely, 1 if they may be grids of copies, 2 if they differ more."""
    distance = 0
    for k in range(grids.shape[1]):
        d = abs(np.int64(grids[a, k]) - np.int64(grids[b, k]))
        if d > CLOSE:
            if d > limits[k % 3]:
                return 2
            distance = 1
    return distance


@jit
def _first_of(shades: Any, members: Any, low: int, high: int, shade: int) -> int:
    """First position from `low` to `high` whose image has at least this shade."""
    while low < high:
        middle = (low + high) // 2
        if shades[members[middle]] < shade:
            low = middle + 1
        else:
            high = middle
    return low


@jit
def likely_pairs(
    pair_a: Any, pair_b: Any, starts: Any, members: Any, thumbnails: Any, counts: Any,
    partners: Any, truncated: Any,
) -> None:  # fmt: skip
    """For each image, the images of lower number with a near hash and similar mean colors.

    Args:
        pair_a: First bucket of each pair of buckets; a bucket pairs with itself for images that
            share a hash.
        pair_b: Second bucket of each pair.
        starts: Offsets of the buckets' images in `members`.
        members: Images of all buckets, within a bucket by shade and number.
        thumbnails: Shade of each image (class of lightness; the shades of copies differ by at most
            1), row of each image in the grids (-1 if it cannot be read), grids of mean colors,
            logarithm of width / height of each image, and max difference per channel of the grids.
        counts: Partners per row so far: those whose grids agree closely, and others.
        partners: Partners of lowest number of each row, of both kinds, sorted.
        truncated: Set for images that have more partners.
    """
    for p in range(pair_a.size):
        own, other = pair_a[p], pair_b[p]
        for _ in range(1 if own == other else 2):
            for k in range(starts[own], starts[own + 1]):
                _partners_of(
                    members[k], starts[other], starts[other + 1], members, thumbnails, counts,
                    partners, truncated,
                )  # fmt: skip
            own, other = other, own


@jit
def _partners_of(
    i: int, low: int, high: int, members: Any, thumbnails: Any, counts: Any, partners: Any,
    truncated: Any,
) -> None:  # fmt: skip
    """Partners of one image among the images of lower number in a bucket."""
    shades, rows, grids, aspects, limits = thumbnails
    row, room = rows[i], partners.shape[2]
    if row < 0:
        return
    shade = np.int64(shades[i])
    for near in range(shade - 1, shade + 2):
        position = _first_of(shades, members, low, high, near)
        while position < high:
            j = members[position]
            position += 1
            if shades[j] != near or j >= i:
                break
            if counts[row, 0] == room and j > partners[row, 0, room - 1]:
                truncated[i] = True
                break
            if not abs(aspects[i] - aspects[j]) <= ASPECT:
                continue
            kind = _grid_distance(grids, row, rows[j], limits)
            if kind < 2 and not _put(partners[row, kind], counts[row], kind, j):
                truncated[i] = True


@jit
def _put(lowest: Any, counts: Any, kind: int, value: int) -> bool:
    """Insert a value into the sorted lowest values; false if there is no room for all values."""
    n, room = counts[kind], lowest.size
    fits: bool = n < room
    if not fits and value > lowest[room - 1]:
        return False
    position = min(n, room - 1)
    while position > 0 and lowest[position - 1] > value:
        lowest[position] = lowest[position - 1]
        position -= 1
    lowest[position] = value
    counts[kind] = min(n + 1, room)
    return fits


@jit
def difference(a: Any, b: Any, limits: Any, out: Any) -> bool:
    """Measure how much two images of one size differ, after slight smoothing.

    Args:
        a: [height, width, 3] YCbCr.
        b: [height, width, 3] YCbCr.
        limits: [6] max of each of the first six numbers; the loop stops once one is exceeded.
        out: [7] receives the absolute medians of the three channels, the largest mean absolute
            difference of lightness in 4 x 4 and in 8 x 8 fields, that of color in 16 x 16 fields,
            and the mean absolute difference of all pixels.

    Returns:
        Whether all numbers are within the limits.
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
        for k in (channel, 3, 4, 5):
            if out[k] > limits[k]:
                return False
    out[6] = total / (3 * height * width)
    return True


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
    """Largest mean of complete size x size fields; the last field in a row overlaps."""
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
    """[n] lowest number in the connected component of each of n nodes; edges are (a, b)."""
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
    """Set each parent to the lowest number of its component."""
    for x in range(parent.size):
        parent[x] = parent[parent[x]]
