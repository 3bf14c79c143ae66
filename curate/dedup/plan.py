"""What a dedup reads: runs of this dataset, the run that it extends, other datasets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from curate.dedup.options import DedupOptions
from pairwright.commands.options import RunOptions, as_config, current_config
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from pairwright.dataset.manifest import Manifest

STEP = "dedup"
PART_ROWS = 500_000
_COLUMNS = ("sample_id", "image_ids", "messages", "meta")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a dedup reads.

    Attributes:
        dataset: The dataset.
        key: The run that is made.
        samples: Runs that define the current samples.
        images: Runs of images, if images are compared.
        embeddings: Run of embeddings, if needed.
        scores: Run of scores, if needed.
        base: The run that is extended, if any.
        later: Later decisions, whose dropped samples are the last choice (`--promote`).
        others: Other datasets to compare with (`--against`).
    """

    dataset: Dataset
    key: RunKey
    samples: list[Manifest]
    images: list[Manifest]
    embeddings: Manifest | None
    scores: Manifest | None
    base: Manifest | None = None
    later: list[Manifest] = field(default_factory=list)
    others: list[Dataset] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the run that is made."""
        return self.key.ref.partition("/")[2]

    def inputs(self) -> list[Manifest]:
        """Runs to pin as inputs."""
        found = (self.embeddings, self.scores, self.base)
        return [*self.samples, *self.images, *(one for one in found if one is not None)]

    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of other datasets and of later decisions.

        Later decisions are not inputs: they are made again on the new run.
        """
        later = {f"later:{one.ref}": one.fingerprint for one in self.later}
        return later | {
            f"against:{other.path.name}/{one.ref}": one.fingerprint
            for other in self.others
            for one in other.sample_inputs()
        }

    def new_samples(self, limit: int | None = None) -> Iterator[pl.DataFrame]:
        """Yield the samples to decide in batches: all, or those that the base does not decide."""
        decided = None
        if self.base is not None:
            decided = self.dataset.scan(self.base).select("sample_id").collect()
        left = limit
        for batch in self.dataset.current_batches(_COLUMNS, for_run=self.key):
            frame = batch
            if decided is not None:
                frame = frame.join(decided, on="sample_id", how="anti", maintain_order="left")
            if left is not None:
                frame = frame.head(left)
                left -= frame.height
            if frame.height:
                yield frame
            if left == 0:
                return

    def has_new(self) -> bool:
        """Whether there is a sample to decide."""
        return next(self.new_samples(), None) is not None

    def existing_samples(self, columns: Sequence[str] = _COLUMNS) -> Iterator[pl.DataFrame]:
        """Yield the samples that are kept already: by the base, and in other datasets."""
        import polars as pl

        if self.base is not None:
            kept = self.dataset.scan(self.base).filter("kept").select("sample_id").collect()
            for batch in self.dataset.current_batches(columns, for_run=self.key):
                yield batch.join(kept, on="sample_id", how="semi", maintain_order="left")
        for other in self.others:
            for batch in other.current_batches(columns):
                sample_id = pl.format("{}:{}", pl.lit(other.name), "sample_id")
                yield batch.with_columns(sample_id=sample_id)

    def base_rows(self, kind: str) -> Iterator[pl.DataFrame]:
        """Yield the rows of the base in a table, with the name of the new run."""
        import polars as pl

        manifest = None if self.base is None else self.dataset.manifest(kind, self.base.run)
        if manifest is not None and manifest.is_complete:
            frame = self.dataset.scan(manifest).with_columns(run=pl.lit(self.name))
            yield from frame.collect().iter_slices(PART_ROWS)


def make_plan(dataset: Dataset, options: DedupOptions, run: RunOptions) -> Plan:
    """Find what a dedup reads.

    Raises:
        Error: If the dataset has no samples, or a run that the options need is missing.
    """
    base = _base(dataset, options, run) if options.extend else None
    name = run.run or (_next_name(dataset) if base else STEP)
    key = RunKey(STEP, f"decisions/{name}")
    samples = dataset.need_samples(for_run=key)
    compares_images = options.on != "text" and options.image_match != "exact"
    needs_images = compares_images or "resolution" in options.priorities
    images = [one for one in dataset.runs("images") if one.is_complete] if needs_images else []
    embeddings = scores = None
    if compares_images and options.image_match == "clip":
        embeddings = dataset.pick("embeddings", options.embeddings, steps={"embed"})
        if embeddings is None:
            msg = "--image-match clip needs embeddings: run `curate embed` first"
            raise UsageError(msg)
    if "score" in options.priorities:
        scores = dataset.pick("scores", options.scores, steps={"score"})
        if scores is None:
            msg = "--keep score needs scores: run `judge score` first, or remove score from --keep"
            raise UsageError(msg)
    later = _later(dataset, samples) if options.promote else []
    others = [_other(dataset, path) for path in options.against]
    return Plan(dataset, key, samples, images, embeddings, scores, base, later, others)


def _other(dataset: Dataset, path: Path) -> Dataset:
    """A dataset to compare with.

    Raises:
        UsageError: If it is the dataset itself, of which every row would be removed.
    """
    other = Dataset(path)
    if other.path.samefile(dataset.path):
        msg = f"--against {path}: this is the dataset itself; name another one"
        raise UsageError(msg)
    return other


def config_of(options: DedupOptions, run: RunOptions) -> dict[str, Any]:
    """The options that decide on the result."""
    config = as_config(options)
    for name in ("show", "extend"):  # only what is printed; the base is an input
        del config[name]
    config["against"] = [str(one) for one in options.against]
    return {**config, "limit": run.limit}


def _later(dataset: Dataset, samples: list[Manifest]) -> list[Manifest]:
    """Active decisions of other steps that were made after this dedup."""
    upstream = {one.ref for one in samples}
    active = dataset.active("decisions").values()
    later = [one for one in active if one.step != STEP and one.ref not in upstream]
    if not later:
        msg = "--promote: no active filter or selection came after this dedup, so there is nothing to promote"
        raise UsageError(msg)
    return later


def _base(dataset: Dataset, options: DedupOptions, run: RunOptions) -> Manifest:
    """The run to extend; it must have the same options."""
    found = dataset.active("decisions").get(STEP)
    if found is None:
        msg = "--extend: there is no finished dedup to extend; run `curate dedup` first"
        raise UsageError(msg)
    mine, theirs = config_of(options, run), current_config(DedupOptions, found.config)
    differing = [
        f"{key} {theirs.get(key)!r}, not {value!r}"
        for key, value in mine.items()
        if theirs.get(key, value) != value
    ]
    if differing:
        msg = f"--extend: {found.ref} was made with {'; '.join(differing)}; use the same options, or dedup again under another --run"
        raise UsageError(msg)
    if run.run == found.run:
        msg = f"--extend --run {run.run}: this is the run to extend; give another name, or none"
        raise UsageError(msg)
    return found


def _next_name(dataset: Dataset) -> str:
    """`dedup-2`, or the first number without a finished run; an unfinished run is resumed."""
    number = 2
    while (one := dataset.manifest("decisions", f"{STEP}-{number}")) and one.is_complete:
        number += 1
    return f"{STEP}-{number}"
