"""`curate dedup`: samples that say the same about the same image go, contradictions are kept.

A sample is images and a conversation. A question near another on the same image with a near answer
is a double; with a different answer both stay and become a row of the conflicts table; a different
question is nothing at all. A sample goes only if it matches a sample that stays, directly and
exactly verified; chains of likeness never delete anything.

Samples are read some at a time and known by hashes; shingles, band keys and buckets lie in nameless
files of the dataset's disk, so memory grows by some 200 bytes a row.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from curate.dedup import report
from curate.dedup.options import DedupOptions
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions, as_config
from pairwright.commands.progress import Progress, say
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.scores import mean_marks

if TYPE_CHECKING:
    import polars as pl

    from curate.dedup.decide import Found
    from curate.near.images.matching import Pictures
    from pairwright.dataset.manifest import Manifest

STEP = "dedup"
_COLUMNS = ("sample_id", "image_ids", "messages", "meta")
_PART_ROWS = 500_000


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a dedup reads.

    Attributes:
        name: Name of the run.
        samples: Runs that the samples come from.
        images: Runs of images, where they are wanted.
        embeddings: Run of embeddings, if wanted.
        scores: Run of scores, if wanted.
        base: Run whose decisions stay, if it is extended.
        later: Decisions whose dropped rows shall not stand for others.
        others: Datasets to compare with.
    """

    name: str
    samples: list[Manifest]
    images: list[Manifest]
    embeddings: Manifest | None
    scores: Manifest | None
    base: Manifest | None = None
    later: list[Manifest] = field(default_factory=list)
    others: list[Dataset] = field(default_factory=list)

    def inputs(self) -> list[Manifest]:
        """Runs to pin."""
        found = (self.embeddings, self.scores, self.base)
        return [*self.samples, *self.images, *(one for one in found if one is not None)]

    def fingerprints(self) -> dict[str, str]:
        """What other datasets held, and what later runs dropped.

        Later runs are no inputs: this run still stands before them, and they are made again on it.
        """
        later = {f"later:{one.ref}": one.fingerprint for one in self.later}
        return later | {
            f"against:{other.path.name}/{one.ref}": one.fingerprint
            for other in self.others
            for one in other.sample_inputs()
        }


def dedup(dataset: Dataset, options: DedupOptions, run: RunOptions) -> Outcome:
    """Write one decision a current sample, and the conflicts.

    Raises:
        Error: If the dataset has no samples, or a run that the options need is missing.
    """
    plan = _plan(dataset, options, run)
    if plan.base is not None and not _has_new(dataset, plan):
        return Outcome(
            message=f"nothing to do: {plan.base.ref} decides every sample already",
            table=plan.base.ref, rows=plan.base.rows, summary=dict(plan.base.summary),
        )  # fmt: skip
    if run.dry_run:
        started = time.monotonic()
        found = _find(dataset, options, run, plan)
        summary = {**found.summary, "seconds": round(time.monotonic() - started, 2)}
        text = report.text(summary, options, plan.name, report.examples(found, options))
        return Outcome(message=f"dry run, nothing written\n{text}", summary=summary)
    settings: dict[str, Any] = {
        "step": STEP,
        "config": _config(options, run),
        "inputs": plan.inputs(),
        "fingerprints": plan.fingerprints(),
        "replace": run.replace,
        "resumable": False,
        "rejects": False,
        "part_rows": _PART_ROWS,
    }
    with (
        dataset.write("decisions", plan.name, **settings) as decisions,
        dataset.write("conflicts", plan.name, **settings) as conflicts,
    ):
        if decisions.is_complete:
            text = report.text(decisions.summary, options, plan.name, [])
            return Outcome(
                message=f"nothing to do: decisions/{plan.name} is finished\n{text}",
                table=f"decisions/{plan.name}", rows=decisions.n_rows, summary=decisions.summary,
            )  # fmt: skip
        started = time.monotonic()
        found = _find(dataset, options, run, plan)
        if not conflicts.is_complete:
            for frame in _known(dataset, plan, "conflicts", plan.name):
                conflicts.add(frame)
            for frame in found.conflicted():
                conflicts.add(frame)
        for frame in _known(dataset, plan, "decisions", plan.name):
            decisions.add(frame)
        for frame in found.decided():
            decisions.add(frame)
        seconds = round(time.monotonic() - started, 2)
        decisions.summary.update({**found.summary, "seconds": seconds})
        total = decisions.n_rows
    text = report.text(decisions.summary, options, plan.name, report.examples(found, options))
    if plan.base is not None:
        dataset.use(f"decisions/{plan.name}")
        dataset.use(f"conflicts/{plan.name}")
        text += f"\n{plan.base.ref} and these new rows are now decisions/{plan.name}, in force"
    return Outcome(
        message=text, table=f"decisions/{plan.name}", rows=total, summary=decisions.summary
    )


def _config(options: DedupOptions, run: RunOptions) -> dict[str, Any]:
    config = as_config(options)
    for name in ("show", "extend"):  # changes what is printed only; the base is an input
        del config[name]
    config["against"] = [str(one) for one in options.against]
    return {**config, "limit": run.limit}


def _plan(dataset: Dataset, options: DedupOptions, run: RunOptions) -> _Plan:
    base = _base(dataset, options, run) if options.extend else None
    name = run.run or (_next_name(dataset) if base else STEP)
    ref = f"decisions/{name}"
    samples = dataset.need_samples(for_run=RunKey(STEP, ref))
    sees_images = options.on != "text" and options.image_match != "exact"
    wants_images = sees_images or "resolution" in options.priorities
    images = [one for one in dataset.runs("images") if one.is_complete] if wants_images else []
    embeddings = scores = None
    if sees_images and options.image_match == "clip":
        embeddings = dataset.pick("embeddings", options.embeddings, steps={"embed"})
        if embeddings is None:
            msg = "--image-match clip needs embeddings: run `curate embed` first"
            raise UsageError(msg)
    if "score" in options.priorities:
        scores = dataset.pick("scores", options.scores, steps={"score"})
        if scores is None:
            msg = "--keep score needs scores: run `judge score` first, or leave score out of --keep"
            raise UsageError(msg)
    later = []
    if options.rescue:
        upstream = {one.ref for one in samples}
        found = dataset.active("decisions").values()
        later = [one for one in found if one.step != STEP and one.ref not in upstream]
        if not later:
            msg = "--rescue: no filter or selection in force came after this dedup; there is nothing to rescue from"
            raise UsageError(msg)
    others = [Dataset(path) for path in options.against]
    return _Plan(name, samples, images, embeddings, scores, base, later, others)


def _base(dataset: Dataset, options: DedupOptions, run: RunOptions) -> Manifest:
    """The run that is to be extended."""
    found = dataset.active("decisions").get(STEP)
    if found is None:
        msg = "--extend: there is no finished dedup to extend; run `curate dedup` first"
        raise UsageError(msg)
    mine, theirs = _config(options, run), found.config
    differing = [
        f"{key} {theirs.get(key)!r}, not {value!r}"
        for key, value in mine.items()
        if theirs.get(key, value) != value
    ]
    if differing:
        msg = f"--extend: {found.ref} was made with {'; '.join(differing)}; use the same options, or dedup anew under another --run"
        raise UsageError(msg)
    if run.run == found.run:
        msg = (
            f"--extend --run {run.run}: that is the run to be extended; give another name, or none"
        )
        raise UsageError(msg)
    return found


def _next_name(dataset: Dataset) -> str:
    """`dedup-2`, or the next number without a finished run; an unfinished one is taken up."""
    number = 2
    while (one := dataset.manifest("decisions", f"{STEP}-{number}")) and one.is_complete:
        number += 1
    return f"{STEP}-{number}"


def _batches(dataset: Dataset, plan: _Plan, limit: int | None) -> Iterator[pl.DataFrame]:
    """Samples to decide on, some at a time; with a base, those it knows not."""
    known = None
    if plan.base is not None:
        known = dataset.scan(plan.base).select("sample_id").collect()
    left = limit
    for batch in dataset.current_batches(_COLUMNS, for_run=RunKey(STEP, f"decisions/{plan.name}")):
        frame = batch
        if known is not None:
            frame = frame.join(known, on="sample_id", how="anti", maintain_order="left")
        if left is not None:
            frame = frame.head(left)
            left -= frame.height
        if frame.height:
            yield frame
        if left == 0:
            return


def _has_new(dataset: Dataset, plan: _Plan) -> bool:
    return next(_batches(dataset, plan, None), None) is not None


def _anchors(
    dataset: Dataset, plan: _Plan, columns: Sequence[str] = _COLUMNS
) -> Iterator[pl.DataFrame]:
    """Samples that stand already: those that the base keeps, and those of other datasets."""
    import polars as pl

    if plan.base is not None:
        kept = dataset.scan(plan.base).filter("kept").select("sample_id").collect()
        for batch in dataset.current_batches(
            columns, for_run=RunKey(STEP, f"decisions/{plan.name}")
        ):
            yield batch.join(kept, on="sample_id", how="semi", maintain_order="left")
    for other in plan.others:
        for batch in other.current_batches(columns):
            yield batch.with_columns(sample_id=pl.format("{}:{}", pl.lit(other.name), "sample_id"))


def _known(dataset: Dataset, plan: _Plan, kind: str, name: str) -> Iterator[pl.DataFrame]:
    """Rows that the base has, under the new run's name."""
    import polars as pl

    manifest = None if plan.base is None else dataset.manifest(kind, plan.base.run)
    if manifest is not None and manifest.is_complete:
        frame = dataset.scan(manifest).with_columns(run=pl.lit(name))
        yield from frame.collect().iter_slices(_PART_ROWS)


def _find(dataset: Dataset, options: DedupOptions, run: RunOptions, plan: _Plan) -> Found:
    """Read what is needed and decide."""
    import polars as pl

    from curate.dedup.decide import find_duplicates
    from curate.dedup.rank import Preference
    from curate.near.items import Samples
    from curate.near.kernels.jit import is_cold
    from curate.near.spill import Spill

    if is_cold():
        say("first run on this machine: compiling, some 15 s")
    n_anchors = sum(frame.height for frame in _anchors(dataset, plan, ("sample_id",)))
    total = sum(one.rows for one in plan.samples if one.kind == "samples") + n_anchors

    def batches() -> Iterator[pl.DataFrame]:
        with Progress("reading samples", total, unit="samples") as progress:
            for source in (_anchors(dataset, plan), _batches(dataset, plan, run.limit)):
                for frame in source:
                    yield frame
                    progress.advance(frame.height)

    last = None
    if plan.later:
        dropped = [dataset.scan(one).filter(~pl.col("kept")) for one in plan.later]
        last = pl.concat([one.select("sample_id") for one in dropped]).unique().collect()
    return find_duplicates(
        Samples(batches, n_anchors),
        options=options,
        pictures=_pictures(dataset, plan) if plan.images else None,
        preference=Preference(_scores(dataset, plan.scores), last),
        run=plan.name,
        spill=Spill(dataset.path),
    )


def _pictures(dataset: Dataset, plan: _Plan) -> Pictures:
    import polars as pl

    from curate.near.images.matching import Pictures
    from pairwright.images import ImageReader

    datasets = [dataset, *plan.others]
    readers: list[ImageReader] = []

    def reader_of(image_id: str) -> ImageReader:
        if not readers:  # indexing all images is spared where no candidate is to be read
            readers.extend(ImageReader(one) for one in datasets)
        return next((one for one in readers if image_id in one), readers[0])

    facts = pl.concat(
        [
            one.union("images").select("image_id", "width", "height", "phash").collect()
            for one in datasets
        ]
    )
    vectors = None
    if plan.embeddings is not None:
        found = [dataset.scan(plan.embeddings)]
        for other in plan.others:
            theirs = other.manifest("embeddings", plan.embeddings.run)
            if theirs is None or not theirs.is_complete:
                msg = f"{other.path}: no {plan.embeddings.ref}; run `curate embed {other.path}` with the same model"
                raise UsageError(msg)
            found.append(other.scan(theirs))
        vectors = pl.concat([one.filter(pl.col("kind") == "image").collect() for one in found])
    return Pictures(
        facts,
        lambda image_id: reader_of(image_id).read(image_id),
        order=lambda image_id: reader_of(image_id).sort_key(image_id),
        vectors=vectors,
    )


def _scores(dataset: Dataset, manifest: Manifest | None) -> pl.DataFrame | None:
    """Mean mark of every sample over criteria, judges and draws."""
    if manifest is None:
        return None
    marks = mean_marks(dataset.scan(manifest), kind="sample")
    return marks.rename({"mark": "score"}).collect(engine="streaming")
