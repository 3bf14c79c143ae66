"""Which checkpoint to resume from.

The trainer's saves are not atomic: a folder counts once the trainer has reported that it is done,
which leaves an empty file `complete` inside.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

FOLDER = "checkpoints"
_DONE = "complete"
_NAME = re.compile(r"checkpoint-(\d+)")


def set_complete(folder: Path, step: int) -> None:
    """Record that the checkpoint of a step is complete."""
    (folder / f"checkpoint-{step}" / _DONE).touch()


def newest_complete(folder: Path) -> Path | None:
    """The newest complete checkpoint; incomplete ones are removed."""
    best: tuple[int, Path] | None = None
    for path in folder.glob("checkpoint-*") if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        if not (path / _DONE).is_file():
            shutil.rmtree(path)
        elif best is None or int(match[1]) > best[0]:
            best = int(match[1]), path
    return None if best is None else best[1]
