"""The rows of the installed package easy-vqa (MIT)."""

from __future__ import annotations

from typing import Final

from curate.read import questions
from curate.read.formats.base import Format

FORMAT: Final = Format(
    name="easy-vqa",
    summary="easy-vqa",
    rows="the source `easy-vqa`: `image`, `question`, `answer`",
    makes={"samples": questions.convert},
    source="easy-vqa",
)
