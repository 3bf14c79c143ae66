"""Notebook views: tables whose texts are strangers' and never act as markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from pairwright.commands.progress import shown
from pairwright.text.htmltext import visible

if TYPE_CHECKING:
    import polars as pl

_CELL = 160
_ID = re.compile("[0-9a-f]{32}|[0-9a-f]{64}")
_NUMBER = "text-align:right"
_TEXT = "text-align:left"


def heading(text: str) -> str:
    """A line above the rest."""
    return f"<p><b>{visible(text)}</b></p>"


def plain(text: str) -> str:
    """A command's message, as it is printed."""
    return f"<pre>{visible(text)}</pre>"


def table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table."""
    head = "".join(f"<th style={_TEXT!r}>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def frame(rows: pl.DataFrame) -> str:
    """Rows of a table of ours; columns without a value are left out."""
    some = rows.select(one.name for one in rows if one.null_count() < len(one))
    return table(some.columns, some.iter_rows())


def page(html: str, height: int) -> str:
    """A page in a frame of its own, from where its scripts reach nothing of the notebook."""
    return (
        f'<iframe sandbox="allow-scripts" srcdoc="{escape(html)}" width="100%" height="{height}" '
        'style="border:1px solid #ccc"></iframe>'
    )


def _cell(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"<td style={_TEXT!r}>{escape(shown(_as_text(value), _CELL))}</td>"
    return (
        f"<td style={_NUMBER!r}>{f'{value:,}' if isinstance(value, int) else f'{value:.4g}'}</td>"
    )


def _as_text(value: Any) -> str:
    """A value in few characters: ids by their beginning, conversations as they are read."""
    if isinstance(value, str):
        return f"{value[:8]}\N{HORIZONTAL ELLIPSIS}" if _ID.fullmatch(value) else value
    if isinstance(value, dict) and value.keys() == {"role", "content"}:
        return f"{value['role']}: {value['content']}"
    if isinstance(value, list) and all(isinstance(one, str | dict) for one in value[:_CELL]):
        return " | ".join(map(_as_text, value[:_CELL]))
    from pairwright.status import printable

    value = printable(value)
    is_text = value is None or isinstance(value, str)
    return value or "" if is_text else json.dumps(value, ensure_ascii=False, default=str)
