"""The dataset card: what is in an export, where it comes from and how it was made.

Texts of strangers (names of sources, licences, commands) are escaped: mark-up in them stays text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from curate.hubtable import HubTable
from curate.licences import hub_id
from pairwright.manifest import Manifest
from pairwright.store import Dataset
from pairwright.texts import n_words

if TYPE_CHECKING:
    import polars as pl

_SIZES = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M")]
_SIZES += [(10**7, "1M<n<10M")]
# In one line, inside a cell or a heading, nothing else makes mark-up.
_MARKUP = re.compile(r"([\\`*_{}\[\]|~$])")
_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What only the export itself knows.

    Attributes:
        rows: Rows written, by split.
        images: Distinct images written.
        image_bytes: Their bytes.
    """

    rows: dict[str, int]
    images: int
    image_bytes: int


def escape(text: str) -> str:
    """Text of strangers in Markdown: one line, no mark-up, not too long."""
    line = "".join(c if c.isprintable() else " " for c in text)
    line = line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "\u2026"
    return html.escape(_MARKUP.sub(r"\\\1", line), quote=False)


def write_card(dataset: Dataset, table: HubTable, facts: CardFacts, *, title: str | None) -> str:
    """The text of README.md."""
    import yaml

    head = yaml.safe_dump(
        _front_matter(table, facts, title or dataset.name), sort_keys=False, allow_unicode=True
    )
    sections = [
        f"# {escape(title or dataset.name)}",
        _introduction(table, facts),
        "## Rows",
        _splits(facts),
        "## Sources and licences",
        _sources(table.frame),
        "## Columns",
        _table(("column", "meaning"), [(f"`{c.name}`", c.doc) for c in table.columns]),
        "## Figures",
        _table(("figure", "value"), _figures(table, facts)),
        "## How it was made",
        "Every step reads tables and adds one; these are the commands, oldest first.",
        _table(("table", "rows", "command"), _lineage(dataset, table.roots)),
        "## Reading it",
        '```python\nfrom datasets import load_dataset\n\nrows = load_dataset("owner/name")\n```',
        _reading(table),
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(sections) + "\n"


def _front_matter(table: HubTable, facts: CardFacts, title: str) -> dict[str, Any]:
    n_rows = sum(facts.rows.values())
    licences = sorted({hub_id(name) for name in table.frame["licence"].unique()})
    tags = ["pairwright", *(["vision-language"] if facts.images else [])]
    if table.what == "pairs":
        tags += ["preference", "dpo", "trl"]
    configs = [
        {
            "config_name": "default",
            "data_files": [{"split": s, "path": f"data/{s}-*.parquet"} for s in facts.rows],
        }
    ]
    return {
        "pretty_name": " ".join(title.split()),
        "license": licences[0] if len(licences) == 1 else licences,
        "task_categories": ["image-text-to-text" if facts.images else "text-generation"],
        "size_categories": [next((name for most, name in _SIZES if n_rows < most), "n>10M")],
        "tags": tags,
        "configs": configs,
    }


def _introduction(table: HubTable, facts: CardFacts) -> str:
    n_rows = sum(facts.rows.values())
    kind = "preference pairs" if table.what == "pairs" else "conversations"
    images = f" over {facts.images:,} images" if facts.images else ""
    return f"{n_rows:,} {kind}{images}, made with pairwright."


def _splits(facts: CardFacts) -> str:
    return _table(("split", "rows"), [(f"`{s}`", f"{n:,}") for s, n in facts.rows.items()])


def _sources(frame: pl.DataFrame) -> str:
    counts = frame.group_by("source", "licence").len("n").sort("source", "licence")
    rows = [
        (escape(source or "unknown"), escape(licence or "not stated"), f"{n:,}")
        for source, licence, n in counts.iter_rows()
    ]
    return _table(("source", "licence", "rows"), rows)


def _figures(table: HubTable, facts: CardFacts) -> list[tuple[str, str]]:
    frame = table.frame
    rows = [("distinct images", f"{facts.images:,}")]
    if facts.images:
        rows.append(("bytes of images", f"{facts.image_bytes:,}"))
    if table.what == "samples":
        rows.append(("turns", f"{int(frame['messages'].list.len().sum()):,}"))
    else:
        for side in ("chosen", "rejected"):
            words = frame.select(n_words(side).mean()).item() or 0
            rows.append((f"words of `{side}`, on average", f"{words:.1f}"))
        counts = frame.group_by("method", "control").len("n").sort("method", "control")
        for method, control, n in counts.iter_rows():
            name = f"{method}, control {control}" if control else method
            rows.append((f"pairs by {escape(name)}", f"{n:,}"))
    for task, n in frame.group_by("task").len("n").sort("n", descending=True).head(20).iter_rows():
        if task:
            rows.append((f"rows of task {escape(task)}", f"{n:,}"))
    return rows


def _lineage(dataset: Dataset, roots: Sequence[Manifest]) -> list[tuple[str, str, str]]:
    """All runs that the export rests on, oldest first."""
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
    ordered = sorted(found.values(), key=lambda m: (m.finished_at or "", m.ref))
    return [(escape(m.ref), f"{m.rows:,}", escape(public_command(m.command))) for m in ordered]


def public_command(command: str) -> str:
    """A command line without what only its author's machine knows: folders and credentials."""
    return " ".join(_public_word(word) for word in command.split(" "))


def _public_word(word: str) -> str:
    flag, equals, value = word.rpartition("=") if word.startswith("-") else ("", "", word)
    value = re.sub(r"//[^/@\s]*@", "//", value)
    if "://" not in value and re.match(r"[/~]|[A-Za-z]:\\", value):
        value = PurePath(value.replace("\\", "/")).name
    return flag + equals + value


def _reading(table: HubTable) -> str:
    kind = "`DPOTrainer`" if table.what == "pairs" else "`SFTTrainer`"
    if table.parts:
        return f"TRL's {kind} takes it as it stands; an image part of a content takes the next of `images`."
    return f"TRL's {kind} takes it as it stands; the images belong in front of the first user turn."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
