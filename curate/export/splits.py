"""Train and test splits that share no image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import xxhash


class TestDraw:
    """Draws groups of rows for the test split.

    Rows that share an image, directly or through other rows, go together; a row without images
    stands alone. A group's place depends on nothing but its ids and the seed, so it keeps it when
    rows are added elsewhere. Rows are shown twice before they are placed: first their images, then
    the rows; no more is remembered than the images of rows that have several.
    """

    __test__ = False  # for pytest, which takes the name for its own

    def __init__(self, share: float, seed: int) -> None:
        """Prepare.

        Args:
            share: Share of groups that shall be test rows.
            seed: Seed of the draw.
        """
        self._share, self._seed = share, seed
        self._parent: dict[str, str] = {}
        self._least: tuple[int, str] | None = None
        self._most: tuple[int, str] | None = None

    def link(self, images: Iterable[Sequence[str]]) -> None:
        """See which images belong together."""
        for ids in images:
            for other in ids[1:]:
                a, b = self._root(ids[0]), self._root(other)
                # The least id stands for the group, whatever the order of the rows.
                if a != b:
                    self._parent[max(a, b)] = min(a, b)

    def look(self, row_ids: Iterable[str], images: Iterable[Sequence[str]]) -> None:
        """See the rows, so that neither split of a small set stays empty."""
        for row_id, ids in zip(row_ids, images, strict=True):
            group = self._group(row_id, ids)
            drawn = (self._draw(group), group)
            self._least = drawn if self._least is None else min(self._least, drawn)
            self._most = drawn if self._most is None else max(self._most, drawn)

    def is_test(self, row_id: str, ids: Sequence[str]) -> bool:
        """Whether a row is of the test split."""
        group = self._group(row_id, ids)
        drawn = (self._draw(group), group)
        if self._least != self._most and drawn in (self._least, self._most):
            return drawn == self._least
        return drawn[0] < self._share * 2**64

    def _group(self, row_id: str, ids: Sequence[str]) -> str:
        return self._root(ids[0]) if ids else f"row {row_id}"

    def _draw(self, group: str) -> int:
        return xxhash.xxh3_64_intdigest(group.encode(), seed=self._seed)

    def _root(self, name: str) -> str:
        parent = self._parent
        while (above := parent.get(name, name)) != name:
            parent[name] = parent.get(above, above)
            name = above
        return name
