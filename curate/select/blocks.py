"""Facility location of many points: in blocks of near points, with one order of gains over all.

The matrix of all similarities does not fit into memory, so similarity counts within blocks only.
Blocks contain points that are near each other (clusters), so that little is lost. Random blocks
would each select a representative for what another block has covered already.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from curate.near.vectors.base import unit
from curate.select.greedy import Picks, Points, facility_location

_BATCH = 32_768
_ROUNDS, _SAMPLE = 6, 256
# A block first selects this many times its proportional part of the budget.
_AHEAD = 4


def in_blocks(
    points: Points, budget: int, *, block: int, quality: float = 0.0, floor: float = 0.0,
    advance: Callable[[int], None] = lambda rows: None,
) -> Picks:  # fmt: skip
    """`facility_location`: exact up to `block` points, in blocks of near points above.

    The gains of all blocks have one scale, and the largest gains are selected. This is the greedy
    choice for the objective in which points of different blocks have similarity 0.

    Args:
        points: The points.
        budget: Rows to select.
        block: Max points of a block.
        quality: Weight of the quality.
        floor: Cosine that counts as similarity 0.
        advance: Called with the number of rows selected since the last call.
    """
    if not len(points):
        return Picks(np.empty(0, dtype=np.int64), np.empty(0))
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
    reported = 0
    while True:
        for number, part in enumerate(parts):
            if picks[number] is None:
                picks[number] = facility_location(
                    points.take(part), int(limits[number]), quality=quality, floor=floor,
                    of=(total, budget),
                )  # fmt: skip
                now = min(budget, reported + budget // len(parts))
                advance(now - reported)
                reported = now
        known = [p for p in picks if p is not None]
        rows, gains, chosen = _largest(known, budget)
        used = np.bincount(chosen, minlength=len(parts))
        short = np.flatnonzero((used == limits) & (limits < np.minimum(sizes, budget)))
        if not len(short):
            advance(budget - reported)
            return Picks(rows, gains)
        for number in short:  # the block may have more rows with large gains
            limits[number] = min(sizes[number], budget, _AHEAD * limits[number])
            picks[number] = None


def _largest(picks: list[Picks], budget: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows with the largest gains, their gains, and the number of the list of each."""
    rows = np.concatenate([p.rows for p in picks])
    # Within a list gains never grow, except for rounding; a later row must not come first.
    gains = np.concatenate([np.minimum.accumulate(p.gains) for p in picks])
    source = np.repeat(np.arange(len(picks)), [len(p.rows) for p in picks])
    order = np.lexsort((np.arange(len(rows)), -gains))[:budget]
    return rows[order], gains[order], source[order]


def near_blocks(points: Points, block: int) -> list[np.ndarray]:
    """Split points into blocks of at most `block` points that are near each other.

    The clusters are made by k-means in seeded order, so that the order of the points does not
    matter. Clusters that are too large are split again; small clusters share a block.
    """
    pending, pieces = [np.argsort(points.tie, kind="stable")], []
    while pending:
        part = pending.pop()
        if len(part) <= block:
            pieces.append(part)
            continue
        n_parts = -(-2 * len(part) // block)
        label = _clusters(points, part, n_parts)
        some = [part[label == c] for c in range(n_parts)]
        some = [piece for piece in some if len(piece)]
        # Nearly equal vectors may be split in any way.
        pending += some if len(some) > 1 else [part[k::n_parts] for k in range(n_parts)]
    pieces.sort(key=lambda piece: (-len(piece), int(points.tie[piece[0]])))
    blocks: list[list[np.ndarray]] = []
    room: list[int] = []
    for piece in pieces:
        target = next((k for k, left in enumerate(room) if left >= len(piece)), None)
        if target is None:
            blocks.append([piece])
            room.append(block - len(piece))
        else:
            blocks[target].append(piece)
            room[target] -= len(piece)
    return [np.concatenate(some) for some in blocks]


def _clusters(points: Points, part: np.ndarray, n: int) -> np.ndarray:
    """Cluster of each point of a part: spherical k-means on a sample, then the nearest center."""
    sample = points.dense(part[: _SAMPLE * n])
    centers = sample[:n].copy()
    for _ in range(_ROUNDS):
        label = _nearest(sample, centers)
        sums = np.zeros_like(centers)
        np.add.at(sums, label, sample)
        has_members = np.any(sums, axis=1)
        centers[has_members] = unit(sums[has_members])
    return np.concatenate(
        [
            _nearest(points.dense(part[start : start + _BATCH]), centers)
            for start in range(0, len(part), _BATCH)
        ]
    )


def _nearest(dense: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """[n] number of the nearest center of each of n unit vectors."""
    return np.concatenate(
        [(dense[s : s + _BATCH] @ centers.T).argmax(axis=1) for s in range(0, len(dense), _BATCH)]
    )
