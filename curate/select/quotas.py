"""Quotas: how many rows of each group are selected, also if groups have fewer than requested."""

from __future__ import annotations

import math
from dataclasses import dataclass

from curate.select.plan import REST, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """The number of rows to select from one group.

    Attributes:
        name: Pattern of the target.
        available: Rows in the group.
        requested: Rows that the plan requests.
        selected: Rows to select.
    """

    name: str
    available: int
    requested: int
    selected: int


def allocate(plan: Plan, available: dict[str, int], total: int) -> list[Quota]:
    """Distribute a total over the targets of a plan.

    No group gets more rows than it has. Rows that it lacks are taken from groups with a fraction
    that have rows left, in proportion to their fractions, if the plan allows it. A group with a
    number of rows never gets more than that number.

    Args:
        plan: The plan.
        available: Rows of each target, and of the rest.
        total: Rows to select.
    """
    targets = {t.pattern: t for t in plan.targets}
    requested = {name: target.requested(total) for name, target in targets.items()}
    left = total - sum(requested.values())
    if plan.rest and REST in available:
        requested[REST] = max(0.0, left)
    flexible = {n for n in requested if n == REST or targets[n].fraction is not None}
    limit = {
        n: float(min(available.get(n, 0), targets[n].upper_bound if n in targets else math.inf))
        for n in requested
    }
    rows = {n: min(requested[n], limit[n]) for n in requested}
    excess = sum(rows.values()) - total
    if excess > 0:  # numbers and bounds request more than the total
        rows = {n: size * total / (total + excess) for n, size in rows.items()}
    if plan.redistribute:
        _fill(rows, limit, {n: requested[n] for n in flexible if requested[n] > 1e-6}, total)
    whole = _round(rows, limit, min(total, math.floor(sum(rows.values()) + 0.5 + 1e-9)))
    return [
        Quota(
            name=n, available=available.get(n, 0), requested=round(requested[n]), selected=whole[n]
        )
        for n in requested
    ]


def _fill(
    rows: dict[str, float], limit: dict[str, float], weights: dict[str, float], total: int
) -> None:
    """Add rows to groups below their limit, by weight, until the total or all limits are reached."""
    while True:
        left = total - sum(rows.values())
        room = {n: w for n, w in weights.items() if limit[n] - rows[n] > 1e-9}
        if left < 1e-9 or not room:
            return
        step = min(left / sum(room.values()), *((limit[n] - rows[n]) / w for n, w in room.items()))
        for name, weight in room.items():
            rows[name] += step * weight


def _round(rows: dict[str, float], limit: dict[str, float], total: int) -> dict[str, int]:
    """Whole numbers with the same sum: largest remainders first, then by name."""
    whole = {name: math.floor(size + 1e-9) for name, size in rows.items()}
    order = sorted(rows, key=lambda n: (whole[n] - rows[n], n))
    for name in order:
        if sum(whole.values()) >= total:
            break
        if rows[name] - whole[name] > 1e-9 and whole[name] < limit[name]:
            whole[name] += 1
    return whole
