"""Options of `curate ingest`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pairwright.errors import UsageError
from pairwright.options import option


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions:
    """Options of `curate ingest`."""

    source: str = option(
        help="JSON, JSON lines, Parquet or CSV file, a folder of Parquet shards or of images with "
        "a metadata file, a glob, or easy-vqa",
        positional=True,
    )
    output: Path | None = option(
        None,
        short="-o",
        help="dataset folder, made if new (default: $PAIRWRIGHT_DATA, the dataset around the "
        "working directory, or ./data)",
    )
    format: Literal[
        "auto", "llava", "messages", "qa", "folder", "easy-vqa", "trl-preference", "rlhf-v"
    ] = option("auto", help="format of the rows; auto tells it by their fields and says so")
    as_: Literal["samples", "pairs", "feedback", "responses", "comparisons"] | None = option(
        None,
        help="table to write; pairs and feedback also write the samples they are about (default: "
        "pairs for preference rows, else samples)",
    )
    image_folder: Path | None = option(
        None, help="folder of the images, the only one they are read from (default: SRC's)"
    )
    source_name: str | None = option(
        None, help="name of the source, part of all ids (default: from SRC)"
    )
    licence: str | None = option(None, help="licence of rows that name none")
    split: str | None = option(
        None, help="split to take of easy-vqa or Hub shards; else the split of rows that name none"
    )
    link: bool = option(False, help="record the paths of image files instead of their bytes")
    images: bool = option(True, help="--no-images takes rows as text, whatever images they name")
    id: str | None = option(None, help="field of the row's id")
    question: str | None = option(None, help="field of the question")
    answer: str | None = option(None, help="field of the answer")
    image: str | None = option(None, help="field of the image or images")
    reference: str | None = option(
        None, help="field of the reference answer; may be the answer's, for evaluation sets"
    )
    prompt: str = option("Describe the image.", help="question of rows with a caption only")
    match: str | None = option(
        None,
        help="responses, comparisons: field that names the sample (default: sample_id, "
        "question_id or id)",
    )
    match_source: str | None = option(
        None, help="responses, comparisons, feedback: match samples of this source only"
    )
    model: str | None = option(None, help="responses: model of rows that name none")
    max_text: int = option(1_000_000, help="characters that a text may have")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.max_text < 1:
            msg = f"--max-text must be at least 1, got {self.max_text}"
            raise UsageError(msg)
        if self.link and not self.images:
            msg = "--link and --no-images exclude each other"
            raise UsageError(msg)
