"""Train and test splits that have no image in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import xxhash


class TestSplit:
    """Samples groups of rows for the test split.

    Rows with an image in common, directly or through other rows, are one group; a row without
    images is a group. The split of a group depends on its ids and the seed alone, so it does not
    change when other rows are added. Rows are read twice before they are assigned: first their
    images, then the rows. Only the images of rows that have several are kept in memory.
    """

    __test__ = False  # for pytest, which takes the name for its own

    def __init__(self, fraction: float, seed: int) -> None:
        """Prepare.

        Args:
            fraction: Fraction of the groups for the test split.
            seed: Seed of the sampling.
        """
        self._fraction, self._seed = fraction, seed
        self._parent: dict[str, str] = {}
        self._least: tuple[int, str] | None = None
        self._most: tuple[int, str] | None = None

    def link(self, images: Iterable[Sequence[str]]) -> None:
        """Note which images belong together."""
        for ids in images:
            for other in ids[1:]:
                a, b = self._root(ids[0]), self._root(other)
                # The smallest id represents the group, whatever the order of the rows.
                if a != b:
                    self._parent[max(a, b)] = min(a, b)

    def look(self, row_ids: Iterable[str], images: Iterable[Sequence[str]]) -> None:
        """Note the rows, so that neither split of a small set is empty."""
        for row_id, ids in zip(row_ids, images, strict=True):
            group = self._group(row_id, ids)
            number = (self._number(group), group)
            self._least = number if self._least is None else min(self._least, number)
            self._most = number if self._most is None else max(self._most, number)

    def is_test(self, row_id: str, ids: Sequence[str]) -> bool:
        """Whether a row is of the test split."""
        group = self._group(row_id, ids)
        number = (self._number(group), group)
        if self._least != self._most and number in (self._least, self._most):
            return number == self._least
        return number[0] < self._fraction * 2**64

    def _group(self, row_id: str, ids: Sequence[str]) -> str:
        return self._root(ids[0]) if ids else f"row {row_id}"

    def _number(self, group: str) -> int:
        return xxhash.xxh3_64_intdigest(group.encode(), seed=self._seed)

    def _root(self, name: str) -> str:
        parent = self._parent
        while (above := parent.get(name, name)) != name:
            parent[name] = parent.get(above, above)
            name = above
        return name
