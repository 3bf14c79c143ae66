"""Choose the rows of each group, by scores, embeddings or at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from curate.select.blocks import in_blocks
from curate.select.greedy import Picks, k_center, proportional
from curate.select.quotas import Quota
from curate.select.settings import Settings
from curate.select.vectors import Vectors
from pairwright.commands.progress import Progress

if TYPE_CHECKING:
    import polars as pl


class Chooser:
    """Chooses rows of one group after another.

    Args:
        rows: `row`, `quality`, `tie`, `score` of all rows that may be selected.
        vectors: Vectors of the rows, if the method compares them.
        settings: Method, block size.
        weight: Weight of the quality against diversity.
    """

    def __init__(
        self, rows: pl.DataFrame, vectors: Vectors | None, settings: Settings, weight: float
    ) -> None:
        self._rows, self._vectors = rows, vectors
        self._settings, self._weight = settings, weight
        self._quality = _by_number(rows, "quality")
        self._tie = _by_number(rows, "tie").astype(np.int64)

    def choose(self, quotas: list[Quota]) -> pl.DataFrame:
        """Selected rows of all groups: `row`, `gain`."""
        import polars as pl

        found = [pl.DataFrame(schema={"row": pl.Int64, "gain": pl.Float64})]
        with Progress("selecting", sum(q.selected for q in quotas)) as progress:
            for quota in quotas:
                group = self._rows.filter(pl.col("target") == quota.name)
                if quota.selected and group.height:
                    picks = self._of_group(group, quota.selected, progress.advance)
                    assert len(picks.rows) == quota.selected == len(np.unique(picks.rows))
                    found.append(pl.DataFrame({"row": picks.rows, "gain": picks.gains}))
        return pl.concat(found)

    def _of_group(self, group: pl.DataFrame, budget: int, advance: Callable[[int], None]) -> Picks:
        """Rows of one group; rows without a vector get their part of the budget, by score."""
        vectors = self._vectors
        if vectors is None:
            return _without_vectors(group, budget, self._settings.method)
        has_vector = vectors.of_row[group["row"].to_numpy()] >= 0
        parts = [group.filter(has_vector), group.filter(~has_vector)]
        budgets = proportional(np.array([part.height for part in parts]), budget)
        points = vectors.points(parts[0], self._quality, self._tie)
        if self._settings.method == "k-center":
            chosen = k_center(points, int(budgets[0]), quality=self._weight, advance=advance)
        else:
            chosen = in_blocks(
                points, int(budgets[0]), block=self._settings.block, quality=self._weight,
                floor=vectors.floor, advance=advance,
            )  # fmt: skip
        other = _without_vectors(parts[1], int(budgets[1]), "quality")
        return Picks(
            np.concatenate([chosen.rows, other.rows]).astype(np.int64),
            np.concatenate([chosen.gains, other.gains]),
        )


def _by_number(rows: pl.DataFrame, column: str) -> np.ndarray:
    """A column by row number; 0 for missing rows."""
    numbers = rows["row"].to_numpy()
    out = np.zeros(int(numbers.max(initial=-1)) + 1)
    out[numbers] = rows[column].to_numpy()
    return out


def _without_vectors(rows: pl.DataFrame, budget: int, method: str) -> Picks:
    """The rows with the best scores (`quality`), or random rows; ties by seed."""
    if method == "quality":
        chosen = rows.sort("quality", "tie", descending=[True, False]).head(budget)
        scores = chosen["score"].cast(float).fill_null(float("nan")).to_numpy()
        return Picks(chosen["row"].to_numpy(), scores)
    chosen = rows.sort("tie").head(budget)
    return Picks(chosen["row"].to_numpy(), np.full(chosen.height, np.nan))
