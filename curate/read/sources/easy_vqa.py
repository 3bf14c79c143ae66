"""easy-vqa (MIT): an installed package with 5,000 images and about ten questions each."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

from curate.read.rows import RawRow
from pairwright.errors import DataError, MissingExtraError, UsageError

SPLITS = ("train", "test")


def folder(split: str | None) -> Path:
    """Folder of a split in the installed package.

    Raises:
        MissingExtraError: If the package is not installed.
        UsageError: If there is no such split.
    """
    if split not in (None, *SPLITS):
        msg = f"easy-vqa has the splits {' and '.join(SPLITS)}, not {split!r}"
        raise UsageError(msg)
    spec = importlib.util.find_spec("easy_vqa")
    if spec is None or spec.origin is None:
        raise MissingExtraError("easy-vqa", "demo")
    return Path(spec.origin).parent / "data" / (split or "train")


def read_rows(path: Path) -> Iterator[RawRow]:
    """Questions of a split, as rows with the columns id, image, question and answer.

    Raises:
        DataError: If the file is not the one of the package.
    """
    split = path.parent.name
    try:
        questions = json.loads(path.read_text(encoding="utf-8"))
        for number, (question, answer, image) in enumerate(questions):
            row = {
                "id": f"{split}/{number}",
                "image": f"{image}.png",
                "question": question,
                "answer": answer,
                "license": "mit",
            }
            yield RawRow(number + 1, row)
    except (ValueError, TypeError) as error:
        msg = f"{path}: not the file of easy-vqa ({error})"
        raise DataError(msg) from error
