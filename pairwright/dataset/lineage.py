"""Where a table comes from, as others may read it."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Sequence
from pathlib import PurePath

from pairwright.dataset.manifest import Manifest
from pairwright.dataset.store import Dataset

# `--flag=` and the `-o` of `-o/folder`.
_FLAG = re.compile(r"--?[\w-]+=|-\w(?=[/~])")
# An absolute or home path within a text; no part of an address or of a relative path.
_FOLDER = re.compile(
    r"""file:/+[^\s'",;()\[\]]*|(?<![\w./*~)\]}-])(?:~\w*/|/(?!/)|[A-Za-z]:[\\/](?!/))[^\s'",;()\[\]]+"""
)


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
    """A command, as typed or as a Python call, without its author's folders and credentials."""
    try:
        if command.startswith("pw."):
            return ast.unparse(_PublicTexts().visit(ast.parse(command, mode="eval")))
        return shlex.join(_public_word(word) for word in shlex.split(command))
    except (SyntaxError, ValueError):  # not closed quotes: no word is longer than it looks
        return " ".join(_public_word(word) for word in command.split())


class _PublicTexts(ast.NodeTransformer):
    """Shortens the texts in a call."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """One value."""
        if isinstance(node.value, str):
            return ast.Constant(_public_value(node.value))
        return node


def _public_word(word: str) -> str:
    flag = _FLAG.match(word)
    begin = flag.end() if flag else 0
    return word[:begin] + _public_value(word[begin:])


def _public_value(value: str) -> str:
    value = re.sub(r"//[^/@\s]*@", "//", value)
    if re.match(r"[/~]|[A-Za-z]:[\\/](?!/)|\\\\", value):
        return _last_part(value)
    return _FOLDER.sub(lambda match: _last_part(match[0]), value)


def _last_part(path: str) -> str:
    return PurePath(path.replace("\\", "/")).name or "/"
