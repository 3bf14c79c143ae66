"""Options of `curate ingest`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pairwright.commands.options import option
from pairwright.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions:
    """Options of `curate ingest`."""

    source: str = option(
        help="JSON, JSON lines, CSV, Parquet, Arrow or WebDataset (tar) file, compressed or not; a "
        "folder of such shards, of a Hub repository, of save_to_disk, or of images with a metadata "
        "file; a glob; easy-vqa; with --fetch-urls an http(s) address",
        positional=True,
    )
    output: Path | None = option(
        None,
        short="-o",
        help="dataset folder, made if new (default: $PAIRWRIGHT_DATA, the dataset around the "
        "working directory, or ./data)",
    )
    format: str = option("auto", help="format of the rows")
    as_: (
        Literal["samples", "pairs", "feedback", "responses", "comparisons", "scores", "claims"]
        | None
    ) = option(
        None,
        help="table to write; samples are written too if the rows contain them, else the rows must "
        "be about samples of the dataset (default: detected from the rows)",
    )
    image_folder: Path | None = option(
        None, help="folder of the images; none outside of it is read (default: the source's folder)"
    )
    image_pattern: str | None = option(
        None,
        help="file name of an image whose row has only an id, such as 'COCO_train2014_{:012d}.jpg'",
    )
    fetch_urls: bool = option(
        False, help="fetch images that are http(s) addresses, and the source if it is one"
    )
    allow_private_urls: bool = option(
        False, help="with --fetch-urls: allow loopback and private addresses too"
    )
    source_name: str | None = option(
        None, help="name of the source, part of all ids (default: from its path)"
    )
    license: str | None = option(None, help="license of rows that name none", aliases=("licence",))
    split: str | None = option(
        None,
        help="split to take of a source with several; else the split of rows that name none",
    )
    subset: str | None = option(
        None, help="configuration to take of a Hub repository with several in its README"
    )
    link: bool = option(False, help="store the paths of image files instead of their bytes")
    images: bool = option(True, help="--no-images reads rows as text, whatever images they name")
    id: str | None = option(None, help="field of the row's id")
    question: str | None = option(None, help="field of the question")
    answer: str | None = option(None, help="field of the answer")
    image: str | None = option(None, help="field of the image or images")
    reference: str | None = option(
        None, help="field of the reference answer; for evaluation sets it may be the answer's"
    )
    prompt: str = option("Describe the image.", help="question of rows with a caption only")
    match: str | None = option(
        None,
        help="responses and labels: field that names the sample (default: sample_id, "
        "question_id or id)",
    )
    match_source: str | None = option(
        None, help="responses and labels: match samples of this source only"
    )
    model: str | None = option(None, help="responses: model of rows that name none")
    by: str | None = option(
        None,
        help="labels: annotator of rows that name none (default: human; for verdicts the source's name)",
    )
    inverted: bool = option(
        False,
        help="claims: a 1 in the source means that a claim is NOT supported (check its legend)",
    )
    max_text: int = option(1_000_000, help="max characters of a text")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.max_text < 1:
            msg = f"--max-text must be at least 1, got {self.max_text}"
            raise UsageError(msg)
        if self.allow_private_urls and not self.fetch_urls:
            msg = "--allow-private-urls needs --fetch-urls"
            raise UsageError(msg)
        if self.image_pattern is not None and "{" not in self.image_pattern:
            msg = f"--image-pattern {self.image_pattern!r} has no {{}} for the id"
            raise UsageError(msg)
        if self.link and not self.images:
            msg = "--link and --no-images exclude each other"
            raise UsageError(msg)
