"""A folder of images with a table: `file_name` and a question or caption."""

from __future__ import annotations

from typing import Final

from curate.read import questions
from curate.read.formats.base import Format

FORMAT: Final = Format(
    name="folder",
    summary="an image folder with questions or captions",
    rows="as `qa`, with `file_name` or `image` in the table of an image folder",
    makes={"samples": questions.convert},
)
