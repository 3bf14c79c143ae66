"""`judge calibrate`: copies scores and adds calibrated ones. No model is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from judge.calibration.options import CalibrateOptions
from judge.measures.calibration import Calibration, load_calibration
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.ids import content_hash
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest

_ROWS = 50_000


def calibrate(dataset: Dataset, options: CalibrateOptions, run: RunOptions) -> Outcome:
    """Copy a run of scores with the column `calibrated` filled.

    Raises:
        UsageError: If there are no scores, or the calibration belongs to another judge or rubric.
    """
    calibration = load_calibration(options.calibration)
    source = dataset.pick("scores", options.scores)
    if source is None:
        msg = "the dataset has no scores to calibrate: make some with `judge score`"
        raise UsageError(msg)
    _check(dataset, source, calibration)
    name = run.run or f"{source.run}-calibrated"
    if name == source.run:
        msg = f"--run {name}: this is the run that is read; choose another name"
        raise UsageError(msg)
    if run.dry_run:
        rows = min(source.rows, run.limit or source.rows)
        message = f"dry run, nothing written: scores/{name} would contain {rows:,} scores"
        return Outcome(message=message, summary={"rows": rows})
    # The same step: a calibrated run is an alternative to the raw one, not another kind of scores.
    with dataset.write(
        "scores",
        name,
        step=source.step,
        config={**source.config, "calibration_of": source.ref, "limit": run.limit},
        inputs=[source],
        fingerprints={"calibration": content_hash(options.calibration.read_bytes())},
        replace=run.replace,
        resumable=False,
        rejects=False,
    ) as writer:
        done = writer.is_complete
        if not done:
            frame = dataset.scan(source)
            total = min(source.rows, run.limit or source.rows)
            for start in range(0, total, _ROWS):
                some = frame.slice(start, min(_ROWS, total - start)).collect()
                writer.add(_calibrated(some, calibration))
            writer.summary["calibrated"] = total
    return Outcome(
        message=f"{'nothing to do: ' if done else ''}scores/{name}: {writer.n_rows:,} calibrated scores; "
        f"`pairwright use scores/{name}` makes them the active run",
        table=f"scores/{name}",
        rows=writer.n_rows,
        summary=writer.summary,
    )


def _check(dataset: Dataset, source: Manifest, calibration: Calibration) -> None:
    keys = ("judge", "rubric_hash", "criterion")
    found = dataset.scan(source).select(keys).unique().sort(keys).collect(engine="streaming")
    for judge, rubric_hash, criterion in found.iter_rows():
        try:
            calibration.need(judge, rubric_hash, criterion)
        except UsageError as error:
            msg = f"{source.ref}: {error}"
            raise UsageError(msg) from error


def _calibrated(rows: pl.DataFrame, calibration: Calibration) -> pl.DataFrame:
    """The rows in their order, each score calibrated by its own curve."""
    import polars as pl

    out = []
    keys = ("judge", "rubric_hash", "criterion")
    for key, some in rows.with_row_index("row").group_by(keys, maintain_order=True):
        judge, rubric_hash, criterion = map(str, key)
        calibrated = calibration.apply(judge, rubric_hash, criterion, some["score"])
        out.append(some.with_columns(calibrated.alias("calibrated")))
    return pl.concat(out).sort("row").drop("row") if out else rows
