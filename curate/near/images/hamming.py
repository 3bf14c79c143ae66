"""Near 64-bit hashes without comparing all: a multi-index whose memory does not depend on the hits.

Hashes are cut into segments. Of two hashes that differ in few bits, one segment differs in fewer,
so that only hashes that share a segment, but for so many bits, are looked at. How many segments are
best depends on the number of hashes and on how they crowd, which a sample tells. Bits that never
vary are left out, and the others are shuffled: neighbouring frequencies go together, and a segment
of them would tell little apart.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from curate.near.text.minhash import in_threads, n_threads

_SEGMENTS = (3, 4, 5, 8)
_SAMPLE = 1000
_ROOM, _ROWS = 1 << 21, 1 << 14
# Nanoseconds to look a segment up (tables beyond the caches take longer), and to look at a hash.
_LOOKUP, _FAR_LOOKUP, _NEAR_BITS, _SEEN = 3.0, 12.0, 16, 1.5


class HashIndex:
    """Distinct hashes by their segments."""

    def __init__(self, hashes: np.ndarray, distance: int) -> None:
        """Index hashes.

        Args:
            hashes: Distinct.
            distance: Most bits in which two that are near differ.
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
        """Whether each hash is near another."""
        from curate.near.kernels import image as kernels

        has = np.zeros(len(self._hashes), dtype=bool)  # threads only ever set

        def work(first: int, last: int) -> None:
            arguments = (*self._arguments, first, last, has)
            kernels.has_near_hash(*arguments)

        in_threads(work, len(has))
        return has

    def pairs(self, last: int | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Near pairs, the lower number first, some at a time.

        Args:
            last: Only pairs with one of the first `last` hashes; all if not given.
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
    """Pairs of distinct 64-bit hashes at most `distance` bits apart, without comparing all.

    Args:
        hashes: The hashes.
        distance: Most bits in which two differ.
        last: Only pairs with one of the first `last` hashes; all if not given.
    """
    found = list(HashIndex(hashes, distance).pairs(last))
    none = np.empty(0, dtype=np.int32)
    a, b = (np.concatenate(parts) for parts in zip((none, none), *found, strict=True))
    return a, b


def _shuffled(hashes: np.ndarray) -> tuple[np.ndarray, int]:
    """The bits that vary, in another order, the same for all; and how many they are."""
    varying = 0
    if len(hashes):
        varying = int(np.bitwise_or.reduce(hashes) & ~np.bitwise_and.reduce(hashes))
    order = [at for at in np.random.default_rng(0).permutation(64).tolist() if varying >> at & 1]
    out = np.zeros(len(hashes), dtype=np.uint64)
    for to, at in enumerate(order):
        out |= ((hashes >> np.uint64(at)) & np.uint64(1)) << np.uint64(to)
    return out, max(1, len(order))


def _patterns(bits: int, radius: int) -> list[int]:
    """Numbers of so many bits of which at most `radius` are set."""
    return [
        sum(1 << bit for bit in chosen)
        for size in range(radius + 1)
        for chosen in itertools.combinations(range(bits), size)
    ]


def _choose(hashes: np.ndarray, width: int, distance: int) -> tuple[int, float]:
    """Segments with which a search is cheapest, and the seconds it is expected to take."""
    n = len(hashes)
    some = hashes[np.random.default_rng(1).permutation(n)[:_SAMPLE]]
    best = (_SEGMENTS[-1], np.inf)
    for segments in _SEGMENTS:
        bits = -(-width // segments)
        if 1 << bits > max(16 * n, 1 << 16):
            continue  # tables larger than what is in them
        probes = len(_patterns(bits, distance // segments))
        lookup = _LOOKUP if bits <= _NEAR_BITS else _FAR_LOOKUP
        spent = 0.0
        for s in range(segments):
            mask = np.uint64((1 << bits) - 1)
            shift = np.uint64(s * bits)
            size = np.bincount(((hashes >> shift) & mask).astype(np.int64), minlength=1 << bits)
            crowd = size[((some >> shift) & mask).astype(np.int64)].mean() if n else 0.0
            spent += probes * (lookup + float(crowd) * _SEEN)
        if spent < best[1]:
            best = (segments, spent)
    return best[0], best[1] * n * 1e-9
