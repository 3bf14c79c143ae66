"""How pairs are made: one file a method.

A new method is a file here that sets `METHOD`, and its name in `METHODS`. A method of another package
is an entry point of the group `pairwright.methods`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from pairwright.commands.plugins import load_plugins

if TYPE_CHECKING:
    from prefs.methods.base import Method

GROUP: Final = "pairwright.methods"
METHODS: Final = (
    "best-of-n",
    "comparisons",
    "spans",
    "claims",
)


def load_methods() -> tuple[Method, ...]:
    """All methods, ours first.

    Raises:
        PluginError: If a method of another package cannot be used.
    """
    from prefs.methods.base import Method

    ours: list[Method] = [
        import_module(f"{__name__}.{name.replace('-', '_')}").METHOD for name in METHODS
    ]
    return (*ours, *load_plugins(GROUP, Method, taken=METHODS))
