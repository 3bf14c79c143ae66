"""`curate dedup`: samples that say the same about the same image go, contradictions are kept.

A sample is images and a conversation. A question near another on the same image with a near answer
is a double; with a different answer both stay and become a row of the conflicts table; a different
question is nothing at all. A sample goes only if it matches a sample that stays, directly and
exactly verified; chains of likeness never delete anything.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curate import _dedup_report as report
from curate.options import DedupOptions
from pairwright.command import Outcome
from pairwright.errors import UsageError
from pairwright.options import RunOptions, as_config
from pairwright.progress import say
from pairwright.store import Dataset

if TYPE_CHECKING:
    import polars as pl

    from curate._alike import Pictures
    from curate._decide import Found
    from pairwright.manifest import Manifest

VERB = "dedup"


@dataclass(frozen=True, slots=True)
class _Sources:
    """Runs that a dedup reads."""

    samples: list[Manifest]
    images: list[Manifest]
    embeddings: Manifest | None
    scores: Manifest | None

    def all(self) -> list[Manifest]:
        return [
            *self.samples,
            *self.images,
            *(one for one in (self.embeddings, self.scores) if one is not None),
        ]


def dedup(dataset: Dataset, options: DedupOptions, run: RunOptions) -> Outcome:
    """Write one decision a current sample, and the conflicts.

    Raises:
        PairwrightError: If the dataset has no samples, or a run that the options need is missing.
    """
    name = run.run or VERB
    sources = _sources(dataset, options, f"decisions/{name}")
    if run.dry_run:
        started = time.monotonic()
        samples, found = _find(dataset, options, run, sources, name)
        summary = _summary(found, started)
        shown = report.examples(samples, found, options)
        text = report.text(summary, options, name, shown)
        return Outcome(message=f"dry run, nothing written\n{text}", summary=summary)
    settings: dict[str, Any] = {
        "verb": VERB,
        "config": _config(options, run),
        "inputs": sources.all(),
        "replace": run.replace,
        "resumable": False,
        "rejects": False,
    }
    with (
        dataset.write("decisions", name, **settings) as decisions,
        dataset.write("conflicts", name, **settings) as conflicts,
    ):
        if decisions.is_complete:
            text = report.text(decisions.summary, options, name, [])
            return Outcome(
                message=f"nothing to do: decisions/{name} is finished\n{text}",
                table=f"decisions/{name}",
                rows=decisions.n_rows,
                summary=decisions.summary,
            )
        started = time.monotonic()
        samples, found = _find(dataset, options, run, sources, name)
        if not conflicts.is_complete:
            conflicts.add(found.conflicts)
        decisions.add(found.decisions)
        decisions.summary.update(_summary(found, started))
    shown = report.examples(samples, found, options)
    return Outcome(
        message=report.text(decisions.summary, options, name, shown),
        table=f"decisions/{name}",
        rows=decisions.n_rows,
        summary=decisions.summary,
    )


def _config(options: DedupOptions, run: RunOptions) -> dict[str, Any]:
    config = as_config(options)
    del config["show"]  # changes what is printed only
    return {**config, "limit": run.limit}


def _sources(dataset: Dataset, options: DedupOptions, ref: str) -> _Sources:
    samples = dataset.sample_inputs(before=ref)
    if not any(one.kind == "samples" for one in samples):
        msg = (
            f"{dataset.path}: no samples yet; read some with `curate ingest SRC -o {dataset.path}`"
        )
        raise UsageError(msg)
    sees_images = options.on != "text" and options.image_match != "exact"
    wants_images = sees_images or "resolution" in options.priorities
    images = [one for one in dataset.runs("images") if one.is_complete] if wants_images else []
    embeddings = scores = None
    if sees_images and options.image_match == "clip":
        embeddings = dataset.pick("embeddings", options.embeddings, verbs={"embed"})
        if embeddings is None:
            msg = "--image-match clip needs embeddings: run `curate embed` first"
            raise UsageError(msg)
    if "score" in options.priorities:
        scores = dataset.pick("scores", options.scores, verbs={"score"})
        if scores is None:
            msg = "--keep score needs scores: run `judge score` first, or leave score out of --keep"
            raise UsageError(msg)
    return _Sources(samples, images, embeddings, scores)


def _find(
    dataset: Dataset, options: DedupOptions, run: RunOptions, sources: _Sources, name: str
) -> tuple[pl.DataFrame, Found]:
    """Read what is needed, decide, and check that every sample is decided once."""
    from curate._decide import find_duplicates
    from curate._jit import is_cold

    if is_cold():
        say("first run on this machine: compiling, some 15 s")
    frame = dataset.current_samples(before=f"decisions/{name}")
    frame = frame.select("sample_id", "image_ids", "messages")
    samples = (frame.head(run.limit) if run.limit else frame).collect()
    found = find_duplicates(
        samples,
        options=options,
        pictures=_pictures(dataset, sources) if sources.images else None,
        scores=_scores(dataset, sources.scores),
        run=name,
    )
    decided = found.decisions["sample_id"]
    assert decided.n_unique() == len(decided) == samples.height, "one decision a sample"
    return samples, found


def _pictures(dataset: Dataset, sources: _Sources) -> Pictures:
    import polars as pl

    from curate._alike import Pictures
    from pairwright.images import ImageReader

    readers: list[ImageReader] = []

    def reader() -> ImageReader:
        if not readers:  # indexing all images is spared where no candidate is to be read
            readers.append(ImageReader(dataset))
        return readers[0]

    facts = dataset.union("images").select("image_id", "width", "height", "phash").collect()
    vectors = None
    if sources.embeddings is not None:
        vectors = dataset.scan(sources.embeddings).filter(pl.col("kind") == "image").collect()
    return Pictures(
        facts,
        lambda image_id: reader().read(image_id),
        order=lambda image_id: reader().sort_key(image_id),
        vectors=vectors,
    )


def _scores(dataset: Dataset, manifest: Manifest | None) -> pl.DataFrame | None:
    """Mean mark of every sample over criteria and draws."""
    import polars as pl

    if manifest is None:
        return None
    return (
        dataset.scan(manifest)
        .filter(pl.col("target_kind") == "sample")
        .group_by("target_id", maintain_order=True)
        .agg(pl.col("score").mean())
        .collect()
    )


def _summary(found: Found, started: float) -> dict[str, Any]:
    counts = found.decisions.filter(~found.decisions["kept"])["reason"].value_counts()
    removed = dict(sorted(zip(counts["reason"], counts["count"], strict=True)))
    return {
        **found.summary,
        "kept": int(found.decisions["kept"].sum()),
        "removed": sum(removed.values()),
        "removed_by_reason": removed,
        "conflicts": found.conflicts.height,
        "conflicting_questions": found.conflicts["group_id"].n_unique(),
        "seconds": round(time.monotonic() - started, 2),
    }
