"""Row formats, one file each, in the order in which they are tried.

A new format is a file here that sets `FORMAT`, and its name in `FORMATS`. A format of another package
is an entry point of the group `pairwright.formats`; those are tried first.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from pairwright.commands.plugins import load_plugins

if TYPE_CHECKING:
    from curate.read.formats.base import Format

GROUP: Final = "pairwright.formats"
# The most specific first: nearly everything has a question and an answer.
FORMATS: Final = (
    "label-studio",
    "claims",
    "side-by-side",
    "vlfeedback",
    "m3it",
    "rlhf-v",
    "rlaif-v",
    "swift",
    "minigpt",
    "llava",
    "sharegpt",
    "trl-preference",
    "messages",
    "caption",
    "qa",
    "folder",
    "easy-vqa",
)


def load_formats() -> dict[str, Format]:
    """All formats by name, in the order in which they are tried.

    Raises:
        PluginError: If a format of another package cannot be used.
    """
    from curate.read.formats.base import Format

    added: list[Format] = load_plugins(GROUP, Format, taken=FORMATS)
    return {form.name: form for form in (*added, *map(_load, FORMATS))}


def _load(name: str) -> Format:
    form: Format = import_module(f"{__name__}.{name.replace('-', '_')}").FORMAT
    return form
