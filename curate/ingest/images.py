"""Images of the dataset: which ones it has, and keeping those that other sources need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.ingest.plan import STEP
from pairwright.commands.progress import say
from pairwright.dataset.store import Dataset

if TYPE_CHECKING:
    from pairwright.dataset.manifest import Manifest


def known_images(dataset: Dataset, run: str) -> set[str]:
    """Ids of images in complete runs other than `run`."""
    found: set[str] = set()
    for manifest in dataset.runs("images"):
        if manifest.is_complete and manifest.run != run:
            found |= _ids(dataset, manifest)
    return found


def _ids(dataset: Dataset, manifest: Manifest) -> set[str]:
    return set(dataset.scan(manifest).select("image_id").collect()["image_id"])


def carry_images(dataset: Dataset, run: str) -> None:
    """Before a source is replaced, keep its images that samples of other sources refer to.

    An image is stored once, by the first source that has it; replacing that source must not remove
    it from the others.
    """
    import polars as pl

    old = dataset.manifest("images", run)
    if old is None or not old.rows:
        return
    used: set[str] = set()
    for manifest in dataset.runs("samples"):
        if manifest.run != run:
            ids = dataset.scan(manifest).select(pl.col("image_ids").list.explode().unique())
            used |= set(ids.collect()["image_ids"].drop_nulls())
    needed = (_ids(dataset, old) & used) - known_images(dataset, run)
    if not needed:
        return
    taken = {manifest.run for manifest in dataset.runs("images")}
    name = next(
        n for n in (f"{run[:90]}.kept-{i}" for i in range(len(taken) + 1)) if n not in taken
    )
    with dataset.write("images", name, step=STEP, config={"of": run}, rejects=False) as writer:
        for part in old.parts:
            path = dataset.path / "images" / run / part.name
            rows = pl.scan_parquet(path, glob=False).filter(pl.col("image_id").is_in(list(needed)))
            writer.add(rows.collect())
    say(f"images/{name}: {len(needed):,} images of {run} that other sources use are kept")
