"""Comparisons as scores: the expected win rate of a response against the sample's others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from judge.compare.report import outcomes
from judge.pairwise.prompt import ComparePrompt
from pairwright.dataset.ids import stable_id
from pairwright.dataset.store import Dataset

if TYPE_CHECKING:
    import polars as pl

_SAMPLES = 20_000


def write_scores(dataset: Dataset, run: str, prompt: ComparePrompt) -> str:
    """Write `scores/RUN` of a finished run of comparisons, and return a line about it.

    It is written again each time: it follows from the comparisons, no model is asked.
    """
    manifest = dataset.pick("comparisons", run)
    assert manifest is not None
    config = {"comparisons": run, "rubric": prompt.name, "label_range": [0.0, 1.0]}
    with dataset.write(
        "scores", run, step="compare", config=config, inputs=[manifest], replace=True, rejects=False
    ) as writer:
        rows = outcomes(dataset.scan(manifest))
        ids = rows.select("sample_id").unique().sort("sample_id").collect(engine="streaming")
        for some in ids.iter_slices(_SAMPLES):
            frame = rows.join(some.lazy(), on="sample_id", how="semi").collect(engine="streaming")
            writer.add(list(_scores(frame)))
        writer.summary.update({"label_range": [0.0, 1.0], "scores": writer.n_rows})
    return f"scores/{run}: {writer.n_rows:,} scores from these comparisons"


def _scores(frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    groups = frame.sort("comparison_id").group_by(
        "sample_id", "criterion", "by", maintain_order=True
    )
    for _, rows in groups:
        yield from _group_scores(rows)


def _group_scores(rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    import numpy as np

    from judge.pairwise.strength import bradley_terry, win_rates

    ids = sorted({*rows["a"], *rows["b"]})
    index = {one: number for number, one in enumerate(ids)}
    counts = rows.select("win_a", "win_b", "tie").to_numpy()
    fit = bradley_terry(
        len(ids),
        np.array([index[one] for one in rows["a"]]),
        np.array([index[one] for one in rows["b"]]),
        counts,
        ties=bool(counts[:, 2].sum() > 0),
    )
    first = rows.row(0, named=True)
    for one, rate in zip(ids, win_rates(fit), strict=True):
        own = rows.filter((rows["a"] == one) | (rows["b"] == one))
        yield {
            "target_id": one,
            "rubric": first["rubric"],
            "criterion": first["criterion"],
            "judge": first["by"],
            "repeat": 0,
            "target_kind": "sample" if one == first["sample_id"] else "response",
            "score": float(rate),
            "label_mass": own["label_mass"].min(),
            "read_from": first["read_from"],
            "rubric_hash": first["rubric_hash"],
            "prompt_hash": stable_id(*own["prompt_hash"].sort()),
        }
