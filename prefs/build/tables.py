"""The tables that a method reads: which runs, and what to do where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pairwright.errors import UsageError
from prefs.methods.base import Inputs

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset
    from prefs.methods.base import Method, Need


def find_runs(dataset: Dataset, method: Method, options: Any) -> dict[str, Manifest]:
    """The runs that a method reads, by table.

    Args:
        dataset: The dataset.
        method: The method.
        options: Options of the command; a field named after a table chooses a run of it.

    Raises:
        UsageError: If one is missing; the message names the command that makes it.
    """
    needs = _first_that_exists(dataset, method, options)
    runs: dict[str, Manifest] = {}
    for need in needs:
        found = _find(dataset, need, options)
        if found is not None:
            runs[need.table] = found
        elif not need.optional:
            msg = f"--method {method.name} needs {need.table}, and there are none: {need.how}"
            raise UsageError(msg)
    return runs


def _first_that_exists(dataset: Dataset, method: Method, options: Any) -> Sequence[Need]:
    """The first set of tables whose first table exists, else the last set."""
    for needs in method.needs[:-1]:
        if _find(dataset, needs[0], options) is not None:
            return needs
    return method.needs[-1]


def _find(dataset: Dataset, need: Need, options: Any) -> Manifest | None:
    named = getattr(options, need.table)
    if named is not None or not need.steps:
        return dataset.pick(need.table, named)
    found = (dataset.pick(need.table, steps=(step,)) for step in need.steps)
    return next((run for run in found if run is not None), None)


def read(dataset: Dataset, runs: dict[str, Manifest], limit: int | None) -> Inputs:
    """What the method is given."""
    return Inputs(
        tables={table: dataset.scan(run) for table, run in runs.items()},
        runs=runs,
        samples=dataset.union("samples"),
        current=dataset.current_samples(),
        contestable=_contestable(dataset),
        limit=limit,
    )


def _contestable(dataset: Dataset) -> pl.LazyFrame:
    """Current samples, and those that were dropped for their score only."""
    import polars as pl

    frame = dataset.union("samples")
    for run in dataset.active("decisions").values():
        by_score = pl.col("reason").str.contains("score")
        dropped = dataset.scan(run).filter(~pl.col("kept") & ~by_score).select("sample_id")
        frame = frame.join(dropped, on="sample_id", how="anti", maintain_order="left")
    return frame
