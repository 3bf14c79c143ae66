"""From raw vision-language rows to a better model: `import pairwright as pw`.

Importing it loads nothing heavy: what is named below is made when it is asked for.
"""

from pairwright import names as names
from pairwright.errors import (
    BusyError,
    ConfigChangedError,
    DataError,
    Error,
    GateError,
    MissingExtraError,
    NameTakenError,
    NotFoundError,
    ServerError,
    TooManyRejectsError,
    UsageError,
)

_LAZY = {
    "Dataset": "pairwright.api.data:Dataset",
    "Result": "pairwright.api.result:Result",
    "create": "pairwright.api.data:create_dataset",
    "near_duplicates": "pairwright.api.frames:near_duplicates",
    "open": "pairwright.api.data:open_dataset",
    "score_frame": "pairwright.api.frames:score_frame",
}
_NAMESPACES = ("curate", "judge", "prefs", "train")

__all__ = [
    "BusyError",
    "ConfigChangedError",
    "DataError",
    "Dataset",
    "Error",
    "GateError",
    "MissingExtraError",
    "NameTakenError",
    "NotFoundError",
    "Result",
    "ServerError",
    "TooManyRejectsError",
    "UsageError",
    "create",
    "curate",
    "judge",
    "near_duplicates",
    "open",
    "prefs",
    "score_frame",
    "train",
]

if _found := names.foreign("schemas"):  # every other package is checked where it is asked for
    raise NameTakenError("schemas", _found)


def __getattr__(name: str) -> object:
    """What is named in `__all__` and not made yet."""
    from pairwright.commands.command import load

    if name in _NAMESPACES:
        value = load("pairwright.api.namespaces:Namespace")(name)
    elif name in _LAZY:
        value = load(_LAZY[name])
    elif name == "__version__":
        from importlib.metadata import version

        value = version("pairwright")
    else:
        msg = f"module 'pairwright' has no attribute {name!r}"
        raise AttributeError(msg)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Names for completion."""
    return sorted(__all__)
