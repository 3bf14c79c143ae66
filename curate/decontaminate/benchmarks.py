"""Benchmarks to compare with: datasets, or sources that `curate ingest` reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from curate.decontaminate.options import DecontaminateOptions
from pairwright.commands.command import call
from pairwright.commands.progress import say
from pairwright.dataset.ids import config_hash
from pairwright.dataset.store import FILE_NAME, Dataset
from pairwright.errors import DataError, NotFoundError, UsageError

if TYPE_CHECKING:
    import polars as pl

_COLUMNS = ("sample_id", "image_ids", "messages", "reference", "source_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A benchmark in memory.

    Attributes:
        name: Its name in decisions.
        dataset: The dataset that contains its images and embeddings.
        rows: `sample_id`, `image_ids`, `messages`, `reference`, `source_id`; `no_image` for rows
            that name an image which is not available.
        fingerprint: Hash of its content.
        n_invalid: Rows that could not be read.
    """

    name: str
    dataset: Dataset
    rows: pl.DataFrame
    fingerprint: str
    n_invalid: int = 0

    def facts(self) -> dict[str, Any]:
        """Numbers for the report."""
        images = self.rows["image_ids"].explode().drop_nulls()
        return {
            "rows": self.rows.height,
            "images": images.n_unique(),
            "rows_without_image": int(self.rows["no_image"].sum()),
            "invalid_rows": self.n_invalid,
        }


@contextmanager
def open_benchmarks(options: DecontaminateOptions) -> Iterator[list[Benchmark]]:
    """Read the benchmarks; sources are read into temporary datasets, which are deleted at the end.

    Raises:
        Error: If a benchmark cannot be read or has no rows.
    """
    with ExitStack() as stack:
        found: list[Benchmark] = []
        for text in options.against:
            if (Path(text) / FILE_NAME).is_file():
                one = _of_dataset(Dataset(Path(text)), options)
            else:
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="pairwright-bench-")))
                one = _of_source(text, options, folder)
            if one.name in {other.name for other in found}:
                msg = f"--against {text}: two benchmarks have the name {one.name}; give each once"
                raise UsageError(msg)
            found.append(one)
        yield found


def _of_dataset(dataset: Dataset, options: DecontaminateOptions) -> Benchmark:
    """All samples of a dataset, including those that its decisions drop."""
    import polars as pl

    rows = dataset.union("samples").select(_COLUMNS).collect()
    if rows.is_empty():
        msg = f"{dataset.path}: the benchmark has no samples"
        raise DataError(msg)
    kinds = ("samples", "images", *(("embeddings",) if options.clip_threshold else ()))
    parts = [m.fingerprint for kind in kinds for m in dataset.runs(kind)]
    return Benchmark(
        name=dataset.name,
        dataset=dataset,
        rows=rows.with_columns(pl.lit(value=False).alias("no_image")),
        fingerprint=config_hash(parts),
    )


def _of_source(text: str, options: DecontaminateOptions, folder: Path) -> Benchmark:
    """The rows of a source; rows whose images are not available are read as text only."""
    import polars as pl

    from curate.read.sources.find import find_source

    name, split = _split_of(text)
    try:
        source = find_source(name, split)
    except NotFoundError as error:
        msg = f"--against {text}: neither a dataset folder nor a source that `curate ingest` reads"
        raise NotFoundError(msg) from error
    say(f"reading the benchmark {text}")
    common: dict[str, Any] = {
        "source": name, "split": split, "source_name": source.name, "as_": "samples",
        "image_folder": options.image_folder,
    }  # fmt: skip

    def read(where: Path, **more: Any) -> tuple[Dataset, pl.DataFrame, dict[str, int]]:
        outcome = call("curate ingest", output=where, **common, **more)
        dataset = Dataset(where)
        rows = dataset.union("samples").select(_COLUMNS).collect()
        common["format"] = outcome.summary["format"]
        return dataset, rows, dict(outcome.summary["reject_reasons"])

    dataset, with_images, reasons = read(folder / "with-images", link=True)
    rows = with_images.with_columns(pl.lit(value=False).alias("no_image"))
    if reasons:
        # Rows whose image is missing or malformed still have texts.
        _, others, reasons = read(folder / "texts", images=False)
        others = others.join(with_images, on="sample_id", how="anti", maintain_order="left")
        rows = pl.concat([rows, others.with_columns(pl.lit(value=True).alias("no_image"))])
    if rows.is_empty():
        why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        msg = (
            f"--against {text}: no row could be read ({why or 'it is empty'}); run `curate ingest "
            f"{name} -o bench/`, which has options for the fields, then give --against bench/"
        )
        raise DataError(msg)
    return Benchmark(
        name=source.name,
        dataset=dataset,
        rows=rows,
        fingerprint=config_hash([file.fingerprint() for file in source.files]),
        n_invalid=sum(reasons.values()),
    )


def _split_of(text: str) -> tuple[str, str | None]:
    """A source, and the split after its colon."""
    name, colon, split = text.rpartition(":")
    if colon and name and not Path(text).exists() and "/" not in split:
        return name, split
    return text, None
