"""Facility location of many points: blocks of near ones, and one order of gains over all.

The matrix of all likenesses does not fit into memory, so likeness counts within blocks only. Blocks
hold points that are near each other (clusters), so that little of it is lost; with random blocks
each would choose its own stand-in for what another has covered.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from curate.select.greedy import Picks, Points, facility_location, unit

_ROWS = 32_768
_ROUNDS, _SAMPLE = 6, 256
# Times its share of the budget that a block's order of choice is made for at first.
_AHEAD = 4


def in_blocks(
    points: Points, budget: int, *, block: int, quality: float = 0.0, floor: float = 0.0,
    advance: Callable[[int], None] = lambda rows: None,
) -> Picks:  # fmt: skip
    """`facility_location`, exact up to a number of points, in blocks of near points above.

    Gains of blocks are of one scale, and what is chosen are the largest of all: the greedy choice
    for the objective in which points of different blocks are not alike.

    Args:
        points: The points.
        budget: Rows to choose.
        block: Most points of a block.
        quality: Weight of the marks.
        floor: Cosine that counts as no likeness.
        advance: Is told of rows that have been chosen.
    """
    parts = near_blocks(points, block)
    total = len(points.rows)
    budget = min(budget, total)
    if len(parts) < 2:
        found = facility_location(points, budget, quality=quality, floor=floor)
        advance(budget)
        return found
    sizes = np.array([np.diff(points.at)[part].sum() for part in parts])
    limits = np.minimum(sizes, np.minimum(budget, _AHEAD * (budget * sizes // total + 16)))
    picks: list[Picks | None] = [None] * len(parts)
    told = 0
    while True:
        for number, part in enumerate(parts):
            if picks[number] is None:
                picks[number] = facility_location(
                    points.take(part), int(limits[number]), quality=quality, floor=floor,
                    of=(total, budget),
                )  # fmt: skip
                now = min(budget, told + budget // len(parts))
                advance(now - told)
                told = now
        known = [p for p in picks if p is not None]
        rows, gains, chosen = _largest(known, budget)
        used = np.bincount(chosen, minlength=len(parts))
        short = np.flatnonzero((used == limits) & (limits < np.minimum(sizes, budget)))
        if not len(short):
            advance(budget - told)
            return Picks(rows, gains)
        for number in short:  # it may have more to give
            limits[number] = min(sizes[number], budget, _AHEAD * limits[number])
            picks[number] = None


def _largest(picks: list[Picks], budget: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the largest gains, what they gain, and from which of the lists each is."""
    rows = np.concatenate([p.rows for p in picks])
    # Within a list gains never grow but for rounding; what comes later must not be taken first.
    gains = np.concatenate([np.minimum.accumulate(p.gains) for p in picks])
    source = np.repeat(np.arange(len(picks)), [len(p.rows) for p in picks])
    order = np.lexsort((np.arange(len(rows)), -gains))[:budget]
    return rows[order], gains[order], source[order]


def near_blocks(points: Points, block: int) -> list[np.ndarray]:
    """Points in blocks of at most `block` that are near each other.

    By k-means in seeded order, so that the order of the points does not matter; clusters that are
    too large are parted again, small ones share a block.
    """
    waiting, pieces = [np.argsort(points.tie, kind="stable")], []
    while waiting:
        part = waiting.pop()
        if len(part) <= block:
            pieces.append(part)
            continue
        n_parts = -(-2 * len(part) // block)
        label = _clusters(points, part, n_parts)
        some = [part[label == c] for c in range(n_parts)]
        some = [piece for piece in some if len(piece)]
        # Equal vectors, or nearly: any parting will do.
        waiting += some if len(some) > 1 else [part[k::n_parts] for k in range(n_parts)]
    pieces.sort(key=lambda piece: (-len(piece), int(points.tie[piece[0]])))
    blocks: list[list[np.ndarray]] = []
    room: list[int] = []
    for piece in pieces:
        place = next((k for k, left in enumerate(room) if left >= len(piece)), None)
        if place is None:
            blocks.append([piece])
            room.append(block - len(piece))
        else:
            blocks[place].append(piece)
            room[place] -= len(piece)
    return [np.concatenate(some) for some in blocks]


def _clusters(points: Points, part: np.ndarray, n: int) -> np.ndarray:
    """Number of each point's cluster: spherical k-means on a sample, the rest assigned."""
    sample = points.dense(part[: _SAMPLE * n])
    centres = sample[:n].copy()
    for _ in range(_ROUNDS):
        label = _nearest(sample, centres)
        sums = np.zeros_like(centres)
        np.add.at(sums, label, sample)
        alive = np.any(sums, axis=1)
        centres[alive] = unit(sums[alive])
    return np.concatenate(
        [
            _nearest(points.dense(part[start : start + _ROWS]), centres)
            for start in range(0, len(part), _ROWS)
        ]
    )


def _nearest(dense: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [(dense[s : s + _ROWS] @ centres.T).argmax(axis=1) for s in range(0, len(dense), _ROWS)]
    )
