"""Near 64-bit hashes by multi-index hashing; its memory does not depend on the number of pairs.

Hashes are split into segments. If two hashes differ in few bits, one of their segments differs in
fewer, so only hashes that share a segment, except for that many bits, are compared. The best number
of segments depends on the number of hashes and on how they cluster, which a sample shows. Bits that
never vary are removed, and the others are shuffled: bits of neighboring frequencies are correlated,
and a segment of them would distinguish little.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from curate.near.threads import in_threads, n_threads

_SEGMENTS = (3, 4, 5, 8)
_SAMPLE = 1000
_ROOM, _ROWS = 1 << 21, 1 << 14
# Nanoseconds per lookup of a segment, per lookup in a table larger than the caches (more than
# `_CACHED_BITS` bits), and per comparison of two hashes.
_LOOKUP, _FAR_LOOKUP, _CACHED_BITS, _COMPARISON = 3.0, 12.0, 16, 1.5


class HashIndex:
    """An index of distinct hashes by their segments."""

    def __init__(self, hashes: np.ndarray, distance: int) -> None:
        """Build the index.

        Args:
            hashes: [n] distinct 64-bit hashes.
            distance: Max bits in which two near hashes differ.
        """
        from curate.near.kernels import image as kernels

        self._hashes, width = _shuffled(hashes)
        self.segments, self.seconds = _choose(self._hashes, width, distance)
        bits, radius = -(-width // self.segments), distance // self.segments
        starts = np.zeros((self.segments, (1 << bits) + 1), dtype=np.int32)
        order = np.empty((self.segments, len(hashes)), dtype=np.int32)
        kernels.index_segments(self._hashes, bits, starts, order)
        probes = np.array(_patterns(bits, radius), dtype=np.int64)
        self._arguments: Any = (
            self._hashes, bits, starts, order, probes, radius, distance,
        )  # fmt: skip

    def has_near(self) -> np.ndarray:
        """[n] whether each hash is near another one."""
        from curate.near.kernels import image as kernels

        has = np.zeros(len(self._hashes), dtype=bool)  # threads only set entries

        def work(first: int, last: int) -> None:
            arguments = (*self._arguments, first, last, has)
            kernels.has_near_hash(*arguments)

        in_threads(work, len(has))
        return has

    def pairs(self, last: int | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the near pairs in batches, the lower number first.

        Args:
            last: Only pairs with one of the first `last` hashes; all pairs by default.
        """
        from curate.near.kernels import image as kernels

        room = max(_ROOM, len(self._hashes))

        def work(first: int, end: int) -> tuple[np.ndarray, np.ndarray, int]:
            a, b = np.empty((2, room), dtype=np.int32)
            arguments = (*self._arguments, first, end, a, b)
            n, reached = kernels.near_hashes(*arguments)
            return a[:n].copy(), b[:n].copy(), reached

        last = len(self._hashes) if last is None else last
        jobs = deque((k, min(k + _ROWS, last)) for k in range(0, last, _ROWS))
        with ThreadPoolExecutor(n_threads()) as pool:
            running: deque[tuple[int, Future[tuple[np.ndarray, np.ndarray, int]]]] = deque()
            while jobs or running:
                while jobs and len(running) <= n_threads():
                    first, end = jobs.popleft()
                    running.append((end, pool.submit(work, first, end)))
                end, future = running.popleft()
                a, b, reached = future.result()
                if reached < end:
                    jobs.appendleft((reached, end))
                yield a, b


def hamming_pairs(
    hashes: np.ndarray, distance: int, last: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of distinct 64-bit hashes that differ in at most `distance` bits.

    Args:
        hashes: [n] the hashes.
        distance: Max bits in which two hashes differ.
        last: Only pairs with one of the first `last` hashes; all pairs by default.

    Returns:
        Lower and higher number of each pair.
    """
    found = list(HashIndex(hashes, distance).pairs(last))
    none = np.empty(0, dtype=np.int32)
    a, b = (np.concatenate(parts) for parts in zip((none, none), *found, strict=True))
    return a, b


def _shuffled(hashes: np.ndarray) -> tuple[np.ndarray, int]:
    """Hashes of the bits that vary, in a fixed random order, and the number of these bits."""
    varying = 0
    if len(hashes):
        varying = int(np.bitwise_or.reduce(hashes) & ~np.bitwise_and.reduce(hashes))
    order = [bit for bit in np.random.default_rng(0).permutation(64).tolist() if varying >> bit & 1]
    out = np.zeros(len(hashes), dtype=np.uint64)
    for to, bit in enumerate(order):
        out |= ((hashes >> np.uint64(bit)) & np.uint64(1)) << np.uint64(to)
    return out, max(1, len(order))


def _patterns(bits: int, radius: int) -> list[int]:
    """Numbers of `bits` bits of which at most `radius` are set."""
    return [
        sum(1 << bit for bit in chosen)
        for size in range(radius + 1)
        for chosen in itertools.combinations(range(bits), size)
    ]


def _choose(hashes: np.ndarray, width: int, distance: int) -> tuple[int, float]:
    """The number of segments with the lowest cost, and the CPU seconds that it is expected to take."""
    n = len(hashes)
    some = hashes[np.random.default_rng(1).permutation(n)[:_SAMPLE]]
    best = (_SEGMENTS[-1], np.inf)
    for segments in _SEGMENTS:
        bits = -(-width // segments)
        if 1 << bits > max(16 * n, 1 << 16):
            continue  # the tables would be larger than their content
        probes = len(_patterns(bits, distance // segments))
        lookup = _LOOKUP if bits <= _CACHED_BITS else _FAR_LOOKUP
        spent = 0.0
        for s in range(segments):
            mask = np.uint64((1 << bits) - 1)
            shift = np.uint64(s * bits)
            size = np.bincount(((hashes >> shift) & mask).astype(np.int64), minlength=1 << bits)
            bucket = size[((some >> shift) & mask).astype(np.int64)].mean() if n else 0.0
            spent += probes * (lookup + float(bucket) * _COMPARISON)
        if spent < best[1]:
            best = (segments, spent)
    return best[0], best[1] * n * 1e-9
