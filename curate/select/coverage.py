"""How well the selected rows cover all rows, compared with random rows."""

from __future__ import annotations

import numpy as np

from curate.near.vectors.base import unit
from curate.select.vectors import Vectors

_SAMPLE = 2048
_BATCH = 4096


def coverage(vectors: Vectors, kept: np.ndarray, seed: int, method: str) -> dict[str, float]:
    """Cosine of a row to the nearest selected row, and to the nearest of as many random rows.

    Args:
        vectors: Vectors of the rows.
        kept: [n] whether each row is selected.
        seed: Seed of the sample.
        method: Method of the selection.

    Returns:
        On a sample of rows: `mean` cosine, `low` (1 % of the rows are below), the same for random
        rows, and for facility location a lower bound of the fraction of the best coverage.
    """
    have = np.flatnonzero(vectors.of_row >= 0)
    generator = np.random.default_rng(seed)
    sample = np.sort(generator.choice(have, min(_SAMPLE, len(have)), replace=False))
    selected = have[kept[have]]
    if not len(selected):
        return {}
    random = generator.choice(have, len(selected), replace=False)
    dense = unit(vectors.matrix[vectors.of_row[sample]])
    out = {}
    for name, chosen in (("", selected), ("random_", random)):
        near = _nearest(dense, vectors, np.unique(vectors.of_row[chosen]))
        out[f"{name}mean"] = round(float(near.mean()), 4)
        out[f"{name}low"] = round(float(np.quantile(near, 0.01)), 4)
    if method == "facility-location":
        chosen = np.unique(vectors.of_row[selected])
        out["fraction_of_best"] = _fraction_of_best(dense, vectors, chosen, len(selected))
    return out | {"floor": round(vectors.floor, 4), "sample": len(sample)}


def _fraction_of_best(
    dense: np.ndarray, vectors: Vectors, chosen: np.ndarray, budget: int
) -> float:
    """Lower bound of the coverage, as a fraction of the best coverage of as many rows.

    Coverage is submodular: no set of `budget` rows covers more than the chosen rows together with
    the `budget` largest single gains.
    """

    def similarity(cosine: np.ndarray) -> np.ndarray:
        return np.asarray(np.maximum(cosine - vectors.floor, 0) / (1 - vectors.floor))

    covered = similarity(_nearest(dense, vectors, chosen))
    gains = []
    for start in range(0, len(vectors.matrix), _BATCH):
        others = similarity(dense @ unit(vectors.matrix[start : start + _BATCH]).T)
        gains.append(np.maximum(others - covered[:, None], 0).mean(axis=0))
    possible = float(np.sort(np.concatenate(gains))[::-1][:budget].sum())
    reached = float(covered.mean())
    return round(reached / max(min(1.0, reached + possible), 1e-9), 4)


def _nearest(dense: np.ndarray, vectors: Vectors, which: np.ndarray) -> np.ndarray:
    """[n] cosine of each of n unit vectors to the nearest of some vectors."""
    best = np.full(len(dense), -1.0, dtype=np.float32)
    for start in range(0, len(which), _BATCH):
        batch = unit(vectors.matrix[which[start : start + _BATCH]])
        np.maximum(best, (dense @ batch.T).max(axis=1), out=best)
    return best
