"""What all formats have in common: criteria, reference, license, split, task; the rest as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from curate.read.fields import ID, LICENSE, Naming, first_field, image_names, scalar_text
from curate.read.rows import Draft, RowError

_COMMON: Final = frozenset(("criteria", "reference", "split", "task", *LICENSE))


def describe(draft: Draft, row: Mapping[str, Any], used: Collection[str], naming: Naming) -> Draft:
    """Fill what all formats have in common: criteria, reference, license, split, task, meta.

    Args:
        draft: The draft with its conversation.
        row: The row it comes from.
        used: Fields that went into the conversation.
        naming: How the user wants rows to be read.

    Raises:
        RowError: If one of them is of the wrong type.
    """
    spent = set(used)

    def text(names: Sequence[str], chosen: str | None = None) -> str | None:
        name = first_field(row, names, chosen)
        if name is None:
            return None
        spent.add(name)
        value = row[name]
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            value = "\n".join(value)
        found = scalar_text(value, name, naming.max_text)
        return found if found.strip() else None

    spent.add(first_field(row, ID, naming.id) or "")
    draft.license, draft.split = naming.license, naming.split
    if naming.reference is not None or not _COMMON.isdisjoint(row):
        draft.criteria = text(("criteria",))
        draft.reference = text(("reference",), naming.reference)
        draft.license = text(LICENSE) or naming.license
        draft.split = text(("split",)) or naming.split
        draft.task = text(("task",)) or draft.task
    rest = {k: v for k, v in row.items() if k not in spent}
    if naming.no_images and (names := image_names(row, naming)):
        rest["image_names"] = names
    draft.meta = as_meta(rest, naming.max_text)
    return draft


def as_meta(rest: Mapping[str, Any], limit: int) -> str | None:
    """The fields without a column, as JSON.

    Raises:
        RowError: If they are too long or too deep.
    """
    kept = {k: v for k, v in rest.items() if v is not None and isinstance(k, str)}
    if not kept:
        return None
    if isinstance(kept.get("meta"), str):
        kept = _with_own_meta(kept)
    try:
        text = _to_json(_finite(kept))
    except (RecursionError, ValueError) as error:
        raise RowError("bad_meta", f"the other fields cannot be stored as JSON: {error}") from error
    if not text.isascii():
        # Half a character would make the JSON unreadable for stricter parsers than Python's.
        text = text.encode("utf-8", "replace").decode()
    if len(text) > limit:
        raise RowError("text_too_long", f"other fields have {len(text):,} characters of JSON")
    return text


def _with_own_meta(kept: dict[str, Any]) -> dict[str, Any]:
    """Unpack the `meta` that `curate export` wrote, so that it does not nest deeper each time."""
    if not kept["meta"]:
        return {k: v for k, v in kept.items() if k != "meta"}
    try:
        inner = json.loads(kept["meta"])
    except (ValueError, RecursionError):
        return kept
    if not isinstance(inner, dict):
        return kept
    return {**inner, **{k: v for k, v in kept.items() if k != "meta"}}


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return value


def _describe_value(value: Any) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)


# Made once: `json.dumps` with options would make one for each call.
_to_json: Final = json.JSONEncoder(ensure_ascii=False, default=_describe_value).encode
