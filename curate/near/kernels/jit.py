"""Compile loops with numba and cache the machine code in a folder that the user may write to.

By default numba caches next to the source, which fails for read-only installs. It also does not
notice that a function in another file has changed, so the name of the cache folder contains a hash
of all kernel files.
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
    """Whether the folder exists (or could be made), is ours, and only we may write to it.

    Cached machine code is executed, so a folder that others may write to is not used.
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
    """Whether nothing has been compiled on this machine yet."""
    return _FOLDER is None or not any(_FOLDER.iterdir())


def jit(function: F) -> F:
    """Compile a function on its first call; it releases the GIL, and its machine code is cached."""
    return _compiled(function, fastmath=False)


def jit_sums(function: F) -> F:
    """As `jit`, for sums: vector instructions change the order of additions, always the same way."""
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
