"""The dataset card: what is in an export, where it comes from and how it was made.

Texts of strangers (names of sources, licences, commands) are escaped: mark-up in them stays text.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from curate.hubtable import HubTable
from curate.licences import hub_id, objection
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


@dataclass(slots=True, kw_only=True)
class CardFacts:
    """What only the export itself knows: counts of the rows that were written.

    Attributes:
        rows: By split.
        n_images: Distinct images.
        sources: By source and licence.
        tasks: By task.
        methods: Pairs by method and control.
        turns: Turns of all conversations.
        words: Words of both sides of pairs.
        images: Figures of the images.
    """

    rows: dict[str, int] = field(default_factory=dict)
    n_images: int = 0
    sources: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    tasks: Counter[str | None] = field(default_factory=Counter)
    methods: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    turns: int = 0
    words: Counter[str] = field(default_factory=Counter)
    images: list[tuple[str, str]] = field(default_factory=list)

    @property
    def n_rows(self) -> int:
        """Rows of all splits."""
        return sum(self.rows.values())

    def add(self, frame: pl.DataFrame, split: str) -> None:
        """Count rows that were written."""
        if frame.is_empty():
            return
        self.rows[split] = self.rows.get(split, 0) + frame.height
        self.sources.update(frame.select("source", "licence").iter_rows())
        self.tasks.update(frame["task"].to_list())
        if "messages" in frame.columns:
            self.turns += int(frame["messages"].list.len().sum())
            return
        self.methods.update(frame.select("method", "control").iter_rows())
        for side in ("chosen", "rejected"):
            self.words[side] += int(frame.select(n_words(side).sum()).item() or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What depends on the format of an export.

    Attributes:
        front: More of the head that the Hub reads.
        fields: Names and meanings of columns or fields.
        reading: How to read it, in Markdown.
        notes: What the format leaves out.
        command: The command of the export.
    """

    front: dict[str, Any]
    fields: Sequence[tuple[str, str]]
    reading: str
    notes: Sequence[str] = ()
    command: str


def escape(text: str) -> str:
    """Text of strangers in Markdown: one line, no mark-up, not too long."""
    line = "".join(c if c.isprintable() else " " for c in text)
    line = line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "\u2026"
    return html.escape(_MARKUP.sub(r"\\\1", line), quote=False)


def write_card(
    dataset: Dataset, table: HubTable, facts: CardFacts, layout: Layout, *, title: str | None
) -> str:
    """The text of README.md."""
    import yaml

    front = {**_front_matter(table, facts, title or dataset.name), **layout.front}
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    manifests = _lineage(dataset, table.roots)
    sections = [
        f"# {escape(title or dataset.name)}",
        _introduction(table, facts),
        "## Rows",
        _table(("split", "rows"), [(f"`{s}`", f"{n:,}") for s, n in facts.rows.items()]),
        "## Sources and licences",
        _sources(facts),
        "## Columns",
        _table(("column", "meaning"), [(f"`{name}`", doc) for name, doc in layout.fields]),
    ]
    if layout.notes:
        sections += ["What this format leaves out:", "\n".join(f"- {n}" for n in layout.notes)]
    sections += [
        "## Figures",
        _table(("figure", "value"), _figures(table, facts)),
        "## How it was made",
        "Every step reads tables and adds one; these are the steps, oldest first.",
        _table(("table", "rows", "command"), _steps(manifests)),
        "To make it again:",
        _reproduce(manifests, layout.command),
        "## Reading it",
        layout.reading,
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(sections) + "\n"


def _front_matter(table: HubTable, facts: CardFacts, title: str) -> dict[str, Any]:
    licences = sorted({hub_id(licence) for _, licence in facts.sources})
    tags = ["pairwright", *(["vision-language"] if facts.n_images else [])]
    if table.what == "pairs":
        tags += ["preference", "dpo", "trl"]
    return {
        "pretty_name": " ".join(title.split()),
        "license": licences[0] if len(licences) == 1 else licences,
        "task_categories": ["image-text-to-text" if facts.n_images else "text-generation"],
        "size_categories": [next((name for most, name in _SIZES if facts.n_rows < most), "n>10M")],
        "tags": tags,
    }


def _introduction(table: HubTable, facts: CardFacts) -> str:
    kind = "preference pairs" if table.what == "pairs" else "conversations"
    images = f" over {facts.n_images:,} images" if facts.n_images else ""
    return f"{facts.n_rows:,} {kind}{images}, made with pairwright."


def _sources(facts: CardFacts) -> str:
    rows = [
        (
            escape(source or "unknown"),
            escape(licence or "not stated"),
            f"{n:,}",
            objection(licence) or "",
        )
        for (source, licence), n in sorted(
            facts.sources.items(), key=lambda item: (item[0][0] or "", item[0][1] or "")
        )
    ]
    return _table(("source", "licence", "rows", "caution"), rows)


def _figures(table: HubTable, facts: CardFacts) -> list[tuple[str, str]]:
    rows = list(facts.images)
    if table.what == "samples":
        rows.append(("turns", f"{facts.turns:,}"))
    else:
        for side in ("chosen", "rejected"):
            mean = facts.words[side] / max(1, facts.n_rows)
            rows.append((f"words of `{side}`, on average", f"{mean:.1f}"))
        for (method, control), n in sorted(
            facts.methods.items(), key=lambda item: (item[0][0], item[0][1] or "")
        ):
            name = f"{method}, control {control}" if control else method
            rows.append((f"pairs by {escape(name)}", f"{n:,}"))
    for task, n in facts.tasks.most_common(20):
        if task:
            rows.append((f"rows of task {escape(task)}", f"{n:,}"))
    return rows


def _lineage(dataset: Dataset, roots: Sequence[Manifest]) -> list[Manifest]:
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
    return sorted(found.values(), key=lambda m: (m.finished_at or "", m.ref))


def _steps(manifests: Sequence[Manifest]) -> list[tuple[str, str, str]]:
    return [(escape(m.ref), f"{m.rows:,}", escape(public_command(m.command))) for m in manifests]


def _reproduce(manifests: Sequence[Manifest], last: str) -> str:
    """The distinct commands as a block, and the versions they ran with."""
    commands = dict.fromkeys([*(public_command(m.command) for m in manifests), last])
    # In a block nothing is mark-up but the line that ends it.
    lines = ["".join(c if c.isprintable() else " " for c in one) for one in commands]
    versions: dict[str, set[str]] = {}
    for manifest in manifests:
        for name, version in manifest.packages.items():
            versions.setdefault(name, set()).add(version)
    told = ", ".join(f"{name} {' and '.join(sorted(v))}" for name, v in sorted(versions.items()))
    block = "```bash\n" + "\n".join(line.replace("`", "'") for line in lines) + "\n```"
    return block + (f"\n\nVersions: {escape_long(told)}." if told else "")


def escape_long(text: str) -> str:
    """As `escape`, of any length."""
    return html.escape(_MARKUP.sub(r"\\\1", text), quote=False)


def public_command(command: str) -> str:
    """A command line without what only its author's machine knows: folders and credentials."""
    return " ".join(_public_word(word) for word in command.split(" "))


def _public_word(word: str) -> str:
    flag, equals, value = word.rpartition("=") if word.startswith("-") else ("", "", word)
    value = re.sub(r"//[^/@\s]*@", "//", value)
    if "://" not in value and re.match(r"[/~]|[A-Za-z]:\\", value):
        value = PurePath(value.replace("\\", "/")).name
    return flag + equals + value


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
