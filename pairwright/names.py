"""Our packages have everyday names: make sure that they are ours, whatever is on the path.

`import pairwright` puts a finder first in `sys.meta_path`. It finds `schemas`, `curate`, `judge`,
`prefs` and `train` in the folder that holds pairwright, so that a user's own `train.py` in the
working directory breaks neither a notebook nor a command. A process that `multiprocessing` spawns
runs this file by its path before it unpickles anything else: this module imports nothing of ours.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

NAMES = ("schemas", "curate", "judge", "prefs", "train")
_FILE = Path(__file__).resolve()
_ROOT = _FILE.parents[1]
_SPAWN = "multiprocessing.spawn"


class Finder:
    """Finds our packages in our folder; other names are left to the finders after it."""

    root = str(_ROOT)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module, if it is one of ours."""
        if name in NAMES:
            return PathFinder.find_spec(name, [self.root], target)
        if name == _SPAWN:
            return _patched_when_loaded(PathFinder.find_spec(name, path, target))
        return None


class _Greeting:
    """The first thing that a spawned process unpickles; it installs the finder there."""

    def __reduce__(self) -> tuple[Any, ...]:
        return runpy.run_path, (str(_FILE),)


def foreign(name: str) -> str | None:
    """Where a module of another project is that is imported under one of our names.

    Args:
        name: A package, such as `train`; any other name is nobody's concern.
    """
    module = sys.modules.get(name) if name in NAMES else None
    if module is None:
        return None
    file = getattr(module, "__file__", None)
    is_ours = file is not None and Path(file).resolve().parent == _ROOT / name
    return None if is_ours else str(file or module)


def _install() -> None:
    if any(getattr(one, "root", None) == Finder.root for one in sys.meta_path):
        return
    sys.meta_path.insert(0, Finder())  # type: ignore[arg-type]
    if _SPAWN in sys.modules:
        _patch(sys.modules[_SPAWN])


def _patched_when_loaded(spec: ModuleSpec | None) -> ModuleSpec | None:
    loader: Any = None if spec is None else spec.loader
    if loader is not None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _patch(module)

        loader.exec_module = exec_module
    return spec


def _patch(spawn: Any) -> None:
    """Have spawned processes greeted: no other hook comes before they import what was pickled."""
    tell = spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        return {**tell(name), "pairwright": _Greeting()}

    spawn.get_preparation_data = get_preparation_data


_install()
