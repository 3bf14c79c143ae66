"""Where a table comes from, as others may read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from pairwright.dataset.manifest import Manifest
from pairwright.dataset.store import Dataset


def ancestors(dataset: Dataset, roots: Sequence[Manifest]) -> list[Manifest]:
    """These runs and all that they were made from, oldest first."""
    found: dict[str, Manifest] = {}
    pending = list(roots)
    while pending:
        manifest = pending.pop()
        if manifest.ref in found:
            continue
        found[manifest.ref] = manifest
        for entry in manifest.inputs:
            kind, _, run = entry["table"].rpartition("/")
            parent = dataset.manifest(kind, run) if kind else None
            if parent is not None:
                pending.append(parent)
    return sorted(found.values(), key=lambda m: (m.finished_at or "", m.ref))


def public_command(command: str) -> str:
    """A command line without what only its author's machine has: folders and credentials."""
    return " ".join(_public_word(word) for word in command.split(" "))


def _public_word(word: str) -> str:
    flag, equals, value = word.rpartition("=") if word.startswith("-") else ("", "", word)
    value = re.sub(r"//[^/@\s]*@", "//", value)
    if "://" not in value and re.match(r"[/~]|[A-Za-z]:\\", value):
        value = PurePath(value.replace("\\", "/")).name
    return flag + equals + value
