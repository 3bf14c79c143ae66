"""Folders that are made under a hidden name and appear complete, or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pairwright.errors import DataError, UsageError


@contextmanager
def scratch(parent: Path, name: str) -> Iterator[Path]:
    """A new hidden folder in `parent` that is deleted after the block, whatever happens in it.

    What a killed run left under the same name is deleted first. A running process has a lock on
    its folder, which the kernel releases when it ends.

    Raises:
        UsageError: If nothing can be written there.
    """
    prefix = f".{name}.tmp-"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for old in parent.iterdir():
            if old.name.startswith(prefix):
                _remove_if_dead(old)
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
    except OSError as error:
        msg = f"{parent}: cannot write there ({error.strerror or error}); choose another folder"
        raise UsageError(msg) from error
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _remove_if_dead(folder: Path) -> None:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(handle)


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A folder that replaces `out` when the block ends without an error, and is deleted otherwise.

    Raises:
        UsageError: If `out` cannot be written, or something else made it meanwhile.
        DataError: If the disk is full or fails.
    """
    out = out.absolute()
    was_there = out.exists()
    with scratch(out.parent, out.name) as outer:
        folder = outer / out.name
        folder.mkdir()
        try:
            yield folder
            if out.exists() and not was_there:
                msg = f"{out} was made by something else meanwhile; choose another folder"
                raise UsageError(msg)
            if was_there:
                out.rename(outer / f"{out.name}.old")
            folder.rename(out)
        except OSError as error:
            msg = f"{out}: cannot be written ({error}); nothing of it was kept"
            raise DataError(msg) from error
