"""`curate dedup`: remove duplicates, keep and list conflicting answers.

A sample is images and a conversation. Two samples with similar questions on the same image are
duplicates if their answers are similar too. If the answers differ, both samples are kept and become
a row of the conflicts table. A sample is removed only if it matches a kept sample directly, which
is verified exactly; a chain of similar samples never removes anything.

Samples are read in batches and known by hashes. Shingles, band keys and buckets lie in unnamed
files on the disk of the dataset, so memory grows by some 200 bytes per row.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from curate.dedup import report
from curate.dedup.options import DedupOptions
from curate.dedup.plan import PART_ROWS, STEP, Plan, config_of, make_plan
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions, current_config
from pairwright.commands.progress import Progress, say
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.scores import mean_scores

if TYPE_CHECKING:
    import polars as pl

    from curate.dedup.decide import Found
    from curate.near.images.matching import ImageSource
    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.writer import RunWriter


def dedup(dataset: Dataset, options: DedupOptions, run: RunOptions) -> Outcome:
    """Write one decision per current sample, and the conflicts.

    Raises:
        Error: If the dataset has no samples, or a run that the options need is missing.
    """
    plan = make_plan(dataset, options, run)
    if plan.base is not None and not plan.has_new():
        return Outcome(
            message=f"nothing to do: {plan.base.ref} decides all samples already",
            table=plan.base.ref, rows=plan.base.rows, summary=dict(plan.base.summary),
        )  # fmt: skip
    if run.dry_run:
        found, summary = _find(plan, options, run.limit)
        text = report.text(summary, options, None, found)
        return Outcome(message=f"dry run, nothing written\n{text}", summary=summary)
    settings: dict[str, Any] = {
        "step": STEP,
        "config": config_of(options, run),
        "current_config": partial(current_config, DedupOptions),
        "inputs": plan.inputs(),
        "fingerprints": plan.fingerprints(),
        "replace": run.replace,
        "resumable": False,
        "rejects": False,
        "part_rows": PART_ROWS,
    }
    with (
        dataset.write("decisions", plan.name, **settings) as decisions,
        dataset.write("conflicts", plan.name, **settings) as conflicts,
    ):
        if decisions.is_complete:
            text = report.text(decisions.summary, options, plan.name)
            message = f"nothing to do: {plan.key.ref} is finished\n{text}"
            return _outcome(plan, decisions, message)
        found, summary = _find(plan, options, run.limit)
        _write(plan, found, decisions, conflicts)
        decisions.summary.update(summary)
    text = report.text(summary, options, plan.name, found)
    if plan.base is not None:
        dataset.use(plan.key.ref)
        dataset.use(f"conflicts/{plan.name}")
        text += f"\nactive now: {plan.key.ref} ({plan.base.ref} and the new samples)"
    return _outcome(plan, decisions, text)


def _outcome(plan: Plan, decisions: RunWriter, message: str) -> Outcome:
    return Outcome(
        message=f"{message}\nnext: `judge score` or `curate select`",
        table=plan.key.ref, rows=decisions.n_rows, summary=decisions.summary,
    )  # fmt: skip


def _write(plan: Plan, found: Found, decisions: RunWriter, conflicts: RunWriter) -> None:
    """Write the rows of the base, if any, and the new rows."""
    if not conflicts.is_complete:
        for frame in plan.base_rows("conflicts"):
            conflicts.add(frame)
        for frame in found.conflict_frames():
            conflicts.add(frame)
    for frame in plan.base_rows("decisions"):
        decisions.add(frame)
    for frame in found.decision_frames():
        decisions.add(frame)


def _find(plan: Plan, options: DedupOptions, limit: int | None) -> tuple[Found, dict[str, Any]]:
    """Read what the plan names and decide; returns the result and the summary of the run."""
    import polars as pl

    from curate.dedup.corpus import SampleSource
    from curate.dedup.decide import find_duplicates
    from curate.dedup.rank import Preference
    from curate.near.kernels.jit import is_cold
    from curate.near.spill import Spill

    started = time.monotonic()
    if is_cold():
        say("first run on this machine: compiling takes some 15 s")
    n_existing = sum(frame.height for frame in plan.existing_samples(("sample_id",)))
    total = sum(one.rows for one in plan.samples if one.kind == "samples") + n_existing

    def batches() -> Iterator[pl.DataFrame]:
        with Progress("reading samples", total, unit="samples") as progress:
            for source in (plan.existing_samples(), plan.new_samples(limit)):
                for frame in source:
                    yield frame
                    progress.advance(frame.height)

    last = None
    if plan.later:
        dropped = [plan.dataset.scan(one).filter(~pl.col("kept")) for one in plan.later]
        last = pl.concat([one.select("sample_id") for one in dropped]).unique().collect()
    found = find_duplicates(
        SampleSource(batches, n_existing),
        options=options,
        images=_images(plan) if plan.images else None,
        preference=Preference(_scores(plan.dataset, plan.scores), last),
        run=plan.name,
        spill=Spill(plan.dataset.path),
    )
    return found, {**found.summary, "seconds": round(time.monotonic() - started, 2)}


def _images(plan: Plan) -> ImageSource:
    """Access to the images of this dataset and of the others."""
    import polars as pl

    from curate.near.images.matching import ImageSource
    from pairwright.images import ImageReader

    datasets = [plan.dataset, *plan.others]
    readers: list[ImageReader] = []

    def reader_of(image_id: str) -> ImageReader:
        if not readers:  # made when the first candidate is read: each indexes all images
            readers.extend(ImageReader(one) for one in datasets)
        return next((one for one in readers if image_id in one), readers[0])

    columns = ("image_id", "width", "height", "phash")
    facts = pl.concat([one.union("images").select(columns).collect() for one in datasets])
    return ImageSource(
        facts,
        lambda image_id: reader_of(image_id).read(image_id),
        order=lambda image_id: reader_of(image_id).sort_key(image_id),
        vectors=_vectors(plan, plan.embeddings) if plan.embeddings is not None else None,
    )


def _vectors(plan: Plan, embeddings: Manifest) -> pl.DataFrame:
    """Embeddings of the images of all datasets, by the same model."""
    import polars as pl

    found = [plan.dataset.scan(embeddings)]
    for other in plan.others:
        theirs = other.manifest("embeddings", embeddings.run)
        if theirs is None or not theirs.is_complete:
            msg = f"{other.path}: no {embeddings.ref}; run `curate embed {other.path}` with the same model"
            raise UsageError(msg)
        found.append(other.scan(theirs))
    return pl.concat([one.filter(pl.col("kind") == "image").collect() for one in found])


def _scores(dataset: Dataset, manifest: Manifest | None) -> pl.DataFrame | None:
    """Mean score of each sample over criteria, judges and repeats."""
    if manifest is None:
        return None
    means = mean_scores(dataset.scan(manifest), kind="sample")
    return means.collect(engine="streaming")
