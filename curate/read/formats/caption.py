"""Images with captions.

The caption files of SAIL-VL are not public (its paper, arXiv 2501.05952, releases the models), so
such sets are read by what they all have: an image or its address, and a caption.
"""

from __future__ import annotations

from typing import Any, Final

from curate.read import questions
from curate.read.fields import ANSWER, CAPTION, IMAGE, QUESTION, Naming, has
from curate.read.formats.base import Format
from curate.read.rows import Draft


def detect(row: dict[str, Any]) -> str | None:
    """Why a row is an image with a caption, if it is."""
    image, text = has(row, (*IMAGE, "url")), has(row, (*CAPTION, "captions"))
    if image is None or text is None or has(row, QUESTION) or has(row, ANSWER):
        return None
    return f"have {image} and {text}, and no question"


def convert(row: dict[str, Any], naming: Naming) -> Draft:
    """Make a draft of a caption; `--prompt` is its question.

    The address of an image may be in `url`. The first of several `captions` counts.

    Raises:
        RowError: If the row is not of that form.
    """
    several = row.get("captions")
    if not has(row, CAPTION) and isinstance(several, list) and several:
        row = {**row, "caption": several[0]}
    if naming.image is None and not has(row, IMAGE) and row.get("url"):
        row = {**{k: v for k, v in row.items() if k != "url"}, "image": row["url"]}
    return questions.convert(row, naming)


FORMAT: Final = Format(
    name="caption",
    summary="images with captions",
    rows=(
        "an image or its address (`url`) and `caption`, `captions` (the first counts), `recaption`, "
        "`detailed_caption`, `description` or `text`; `--prompt` is the question"
    ),
    makes={"samples": convert},
    detect=detect,
)
