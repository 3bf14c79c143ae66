"""Examples of what a dedup removed, and of what it kept although it is similar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pairwright.commands.progress import shown
from pairwright.text.worddiff import diff_spans

if TYPE_CHECKING:
    import polars as pl

    from curate.dedup.decide import Found

_WIDTH = 150


def examples(found: Found, n: int) -> list[tuple[str, list[str]]]:
    """Lines of up to n examples of each kind, by title."""
    import polars as pl

    if not n:
        return []
    removed, distinct = _some_removed(found, n), found.distinct[:n]
    wanted = [*removed["row"], *removed["kept_row"].drop_nulls(), *distinct.reshape(-1).tolist()]
    texts = _conversations(found, wanted)
    out: list[tuple[str, list[str]]] = []
    for (reason,), some in removed.group_by("reason", maintain_order=True):
        lines = []
        for row in some.iter_rows(named=True):
            value = "" if row["similarity"] is None else f"  similarity {row['similarity']:.3f}"
            one, other = texts[row["row"]], texts[row["kept_row"]]
            lines += [f"  - {_short(one)}", f"    kept: {_short(other)}{value}"]
            lines += _differing(one, other)
        out.append((f"removed as {reason}", lines))
    conflicts = next(iter(found.conflict_frames()), pl.DataFrame())
    if len(conflicts):
        conflicts = conflicts.unique("group_id", keep="first", maintain_order=True)
    lines = []
    for row in conflicts.head(n).iter_rows(named=True):
        lines.append(f"  ? {_short(row['question'])}")
        lines.append(f"    {_short(row['answer'])}   |   {_short(row['other_answer'])}")
    out.append(("conflicting answers", lines))
    lines = []
    for a, b in distinct.tolist():
        lines += [f"  - {_short(texts[a])}", f"    {_short(texts[b])}"]
        lines += _differing(texts[a], texts[b])
    out.append(("similar, but kept as distinct", lines))
    return out


def _some_removed(found: Found, n: int) -> pl.DataFrame:
    """The first rows removed for each reason: `reason`, `row`, `kept_row`, `similarity`."""
    import polars as pl

    out: pl.DataFrame | None = None
    n_reasons = len(found.summary["removed_by_reason"])
    for frame in found.reason_frames():
        some = frame.filter(~pl.col("kept")).select("reason", "row", "kept_row", "similarity")
        joined = some if out is None else pl.concat([out, some])
        distinct = joined.unique(["reason", "kept_row"], keep="first", maintain_order=True)
        out = distinct.group_by("reason", maintain_order=True).head(n)
        if out["reason"].n_unique() == n_reasons and out.height >= n * n_reasons:
            break
    assert out is not None
    return out.select("reason", "row", "kept_row", "similarity")


def _conversations(found: Found, rows: list[int]) -> dict[int, str]:
    """Conversations on one line, by row."""
    picked = found.samples.pick(np.unique(np.array(rows, dtype=np.int64)))
    return {
        row["row"]: " -> ".join(m["content"] or "" for m in row["messages"] or [] if m is not None)
        for row in picked.iter_rows(named=True)
    }


def _differing(removed: str, kept: str) -> list[str]:
    """A line with the words in which two texts differ, if there are any."""
    here, there = diff_spans(removed, kept)
    parts = [f"-[{' '.join(one['text'].split())}]" for one in here if one["text"].strip()]
    parts += [f"+[{' '.join(one['text'].split())}]" for one in there if one["text"].strip()]
    return [f"    differs: {_short(' '.join(parts))}"] if parts else []


def _short(words: str) -> str:
    return shown(words.replace("<image>", " "), _WIDTH)
