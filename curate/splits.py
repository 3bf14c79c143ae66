"""Train and test splits that share no image."""

from __future__ import annotations

from collections.abc import Sequence

import xxhash


def draw_test_rows(
    row_ids: Sequence[str], images: Sequence[Sequence[str]], share: float, seed: int
) -> list[bool]:
    """Which rows belong to the test split.

    Rows that share an image, directly or through other rows, go together; a row without images
    stands alone. A group's place depends on nothing but its ids and the seed, so it keeps it when
    rows are added elsewhere.

    Args:
        row_ids: Id of every row.
        images: Image ids of every row.
        share: Share of groups that shall be test rows.
        seed: Seed of the draw.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for ids in images:
        for other in ids[1:]:
            a, b = root(ids[0]), root(other)
            # The least id stands for the group, whatever the order of the rows.
            parent[max(a, b)] = min(a, b)
    groups = [root(i[0]) if i else f"row {r}" for r, i in zip(row_ids, images, strict=True)]
    draws = {g: xxhash.xxh3_64_intdigest(g.encode(), seed=seed) / 2**64 for g in groups}
    test = {group for group, draw in draws.items() if draw < share}
    if share and len(draws) > 1:
        # Small sets: neither split may be empty.
        test = test or {min(draws, key=lambda g: draws[g])}
        if len(test) == len(draws):
            test.discard(max(draws, key=lambda g: draws[g]))
    return [group in test for group in groups]
