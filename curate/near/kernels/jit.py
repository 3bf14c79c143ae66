"""Compiled loops, cached where the user may write.

numba caches beside the source by default, which fails for read-only installs; and it does not
notice when a function that another file calls has changed, so the folder is named after the
content of all kernel files.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba  # noqa: TID253 - only kernel modules import this one, and functions import those
import xxhash

F = TypeVar("F", bound=Callable[..., Any])


def _private_folder(path: Path) -> bool:
    """Whether the folder exists (or could be made), is ours and nobody else may write to it.

    Cached machine code is executed, so a folder that others can fill is not used.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        facts = path.stat()
    except OSError:
        return False
    mine = facts.st_uid == os.getuid() and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return mine and os.access(path, os.W_OK | os.X_OK)


def _cache_folder() -> Path | None:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = xxhash.xxh3_64()
    for source in sources:
        digest.update(source.read_bytes())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    temporary = Path(tempfile.gettempdir()) / f"pairwright-{os.getuid()}"
    for base in (home / "pairwright", temporary):
        folder = base / f"numba-{digest.hexdigest()}"
        if _private_folder(base) and _private_folder(folder):
            return folder
    return None


_FOLDER = _cache_folder()


def is_cold() -> bool:
    """Whether nothing was compiled on this machine yet."""
    return _FOLDER is None or not any(_FOLDER.iterdir())


def jit(function: F) -> F:
    """Compile a function on first use; it releases the GIL and its machine code is cached."""
    return _compiled(function, fastmath=False)


def jit_sums(function: F) -> F:
    """As `jit`, for sums: vector code adds in an order of its own, the same in every call."""
    return _compiled(function, fastmath={"reassoc", "contract"})


def _compiled(function: F, *, fastmath: bool | set[str]) -> F:
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = chosen or str(_FOLDER or "")
    try:
        compiled: F = numba.njit(nogil=True, cache=bool(chosen or _FOLDER), fastmath=fastmath)(
            function
        )
    finally:
        numba.config.CACHE_DIR = before
    return compiled
