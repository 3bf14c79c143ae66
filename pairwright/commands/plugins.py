"""Parts that other packages add, found by their entry points.

A package declares what it offers in its `pyproject.toml`, under the group that the room names:

    [project.entry-points."pairwright.formats"]
    toy = "toy_package.toy:FORMAT"

The name on the left is the one that users type.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from pairwright.errors import PluginError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def load_plugins(group: str, kind: type | None = None, *, taken: Collection[str] = ()) -> list[Any]:
    """The objects that installed packages offer in a group, sorted by their names.

    Args:
        group: The entry-point group, such as `pairwright.formats`.
        kind: What each object must be an instance of.
        taken: Names that are ours, which no package may use.

    Raises:
        PluginError: If an object cannot be loaded, is of another kind, has another name than its
            entry point, or two have the same name; the error names the package.
    """
    found: list[Any] = []
    seen: dict[str, str] = dict.fromkeys(taken, "pairwright")
    for entry in _declared(group):
        package = _package(entry)
        if entry.name in seen:
            raise PluginError(package, group, f"{seen[entry.name]} has a {entry.name!r} already")
        seen[entry.name] = f"the package {package}"
        found.append(_load(entry, package, group, kind))
    return found


def _load(entry: EntryPoint, package: str, group: str, kind: type | None) -> Any:
    try:
        part = entry.load()
    except Exception as error:
        # The code of strangers may raise anything while it is imported.
        detail = f"{entry.name!r} ({entry.value}) fails to load: {type(error).__name__}: {error}"
        raise PluginError(package, group, detail) from error
    if kind is not None and not isinstance(part, kind):
        detail = f"{entry.name!r} ({entry.value}) is {type(part).__name__}, not {kind.__name__}"
        raise PluginError(package, group, detail)
    own = getattr(part, "name", entry.name)
    if own != entry.name:
        detail = f"the entry point is called {entry.name!r}, its object {own!r}; give both one name"
        raise PluginError(package, group, detail)
    return part


def _declared(group: str) -> list[EntryPoint]:
    # Imported here: it takes as long as the rest of `--help`.
    from importlib.metadata import entry_points

    return sorted(entry_points(group=group), key=lambda entry: (entry.name, _package(entry)))


def _package(entry: EntryPoint) -> str:
    return "of an unknown name" if entry.dist is None else entry.dist.name
