"""Our packages have everyday names: say so clearly when another project's package shadows one."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path

_NAMES = ("schemas", "curate", "judge", "prefs", "train")


def check_packages() -> None:
    """Make sure that our neighbours are really ours.

    Raises:
        ImportError: If a module of the same name would be imported instead.
    """
    ours = Path(__file__).resolve().parents[1]
    for name in _NAMES:
        loaded = sys.modules.get(name)
        spec = loaded.__spec__ if loaded is not None else PathFinder.find_spec(name)
        origin = None if spec is None else spec.origin
        if origin is None or Path(origin).resolve().parents[1] != ours:
            msg = (
                f"pairwright needs its own package {name!r}, but Python finds {origin}: rename that "
                "file or folder, start elsewhere, or start Python with -P"
            )
            raise ImportError(msg)
