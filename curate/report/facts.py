"""What became of every sample: one narrow frame that all counts start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.report.words import duplicate_words, reason_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset

KEPT = -1  # `step` of a sample that no decision drops


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An active decisions run, and what it was the first to drop.

    Attributes:
        manifest: The run.
        reasons: Dropped rows by reason, most first.
        undecided: Samples that it has no row for, because they were ingested later.
        images: Whether the dataset has images.
    """

    manifest: Manifest
    reasons: list[tuple[str, int]]
    undecided: int
    images: bool

    def words(self, reason: str) -> str:
        """A reason of this run in plain words."""
        if self.manifest.step == "dedup":
            on = str(self.manifest.config.get("on"))
            return duplicate_words(reason, on, images=self.images)
        return _rule_words(self.manifest, reason) or reason_words(reason)

    @property
    def dropped(self) -> int:
        """Rows that it was the first to drop."""
        return sum(rows for _, rows in self.reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Every sample once.

    Attributes:
        frame: `sample_id`, `ingest` (number of the samples run), `row` (in that run), `source`,
            `step` (number of the decisions run that dropped it, or `KEPT`).
        samples: The runs that `ingest` counts.
        steps: The decisions runs that `step` counts, in the order they were made.
    """

    frame: pl.DataFrame
    samples: list[Manifest]
    steps: list[Step]

    @property
    def read(self) -> int:
        """Distinct samples."""
        return self.frame.height

    @property
    def kept(self) -> int:
        """Samples that no step drops."""
        return int((self.frame["step"] == KEPT).sum())


def _rule_words(run: Manifest, reason: str) -> str | None:
    """What a rule of `curate filter` calls its reason, in the summary of its run."""
    rules = run.summary.get("filters")
    if not isinstance(rules, dict):
        return None
    words: dict[str, str] = {}
    for rule in rules.values():
        words |= rule.get("words", {})
    return words.get(reason)


def steps_in_order(dataset: Dataset) -> list[Manifest]:
    """Active decisions runs, each after those that it was built on."""
    found = list(dataset.active("decisions").values())
    refs = {one.ref for one in found}

    def key(one: Manifest) -> tuple[int, str, str]:
        depth = sum(entry["table"] in refs for entry in one.inputs)
        return depth, one.started_at, one.run

    return sorted(found, key=key)


def read_facts(dataset: Dataset, limit: int | None = None) -> Facts:
    """Read ids, sources and decisions; no text, no image.

    Args:
        dataset: The dataset.
        limit: Take the first samples only.
    """
    import polars as pl

    samples = [one for one in dataset.runs("samples") if one.is_complete]
    frame = _ids(dataset, samples)
    frame = frame.head(limit) if limit else frame
    steps = []
    images = any(one.rows for one in dataset.runs("images"))
    for number, manifest in enumerate(steps_in_order(dataset)):
        rows = dataset.scan(manifest).select("sample_id", "kept", "reason").collect()
        joined = frame.join(rows, on="sample_id", how="left", maintain_order="left")
        undropped = joined["step"] == KEPT
        gone = undropped & ~joined["kept"].fill_null(value=True)
        counts = (
            joined.filter(gone)["reason"]
            .value_counts()
            .sort("count", "reason", descending=[True, False])
        )
        steps.append(
            Step(
                manifest=manifest,
                reasons=list(
                    zip(counts["reason"].to_list(), counts["count"].to_list(), strict=True)
                ),
                undecided=int((undropped & joined["kept"].is_null()).sum()),
                images=images,
            )
        )
        step = pl.when(gone).then(pl.lit(number, pl.Int16)).otherwise(pl.col("step"))
        frame = frame.with_columns(step.alias("step"))
    return Facts(frame=frame, samples=samples, steps=steps)


def _ids(dataset: Dataset, samples: list[Manifest]) -> pl.DataFrame:
    import polars as pl

    parts = [
        dataset.scan(one)
        .select("sample_id", pl.col("source").cast(pl.Categorical))
        .with_row_index("row")
        .with_columns(
            pl.lit(number, pl.UInt16).alias("ingest"), pl.lit(KEPT, pl.Int16).alias("step")
        )
        for number, one in enumerate(samples)
    ]
    if not parts:
        schema = {
            "row": pl.UInt32, "sample_id": pl.String, "source": pl.Categorical,
            "ingest": pl.UInt16, "step": pl.Int16,
        }  # fmt: skip
        return pl.DataFrame(schema=schema)
    frame = pl.concat(parts).collect()
    if len(parts) > 1:
        frame = frame.unique("sample_id", keep="first", maintain_order=True)
    return frame


def sample_parts(
    dataset: Dataset, facts: Facts, columns: list[str]
) -> Iterator[tuple[pl.DataFrame, int]]:
    """Samples a part at a time with the column `kept`, and how many rows were read so far.

    A sample that two ingests hold is given once.
    """
    import polars as pl

    done = 0
    for number, manifest in enumerate(facts.samples):
        mine = facts.frame.filter(pl.col("ingest") == number).select(
            "row", (pl.col("step") == KEPT).alias("kept")
        )
        start = at = 0
        for part in manifest.parts:
            stop = at + int(mine["row"].slice(at).search_sorted(start + part.rows))
            if stop > at:
                wanted = mine.slice(at, stop - at)
                frame = dataset.read_part(manifest, part, columns)
                if wanted.height < frame.height:
                    frame = frame[wanted["row"] - start]
                done += frame.height
                yield frame.with_columns(wanted["kept"]), done
            start, at = start + part.rows, stop
