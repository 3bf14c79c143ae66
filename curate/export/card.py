"""The dataset card: what is in an export, where it comes from and how it was made.

Texts of strangers (names of sources, licenses, commands) are escaped: mark-up in them stays text.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from curate.export.parquet_table import HubTable
from curate.licenses import hub_id, objection
from pairwright.dataset.manifest import Manifest
from pairwright.dataset.store import Dataset
from pairwright.text.texts import n_words

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
        sources: By source and license.
        tasks: By task.
        methods: Pairs by method and control.
        turns: Turns of conversations by role.
        words: Words by role of a turn or side of a pair.
        marks: Marks of samples: their number and sum.
    """

    rows: dict[str, int] = field(default_factory=dict)
    n_images: int = 0
    sources: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    tasks: Counter[str | None] = field(default_factory=Counter)
    methods: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    marks: tuple[int, float] = (0, 0.0)

    @property
    def n_rows(self) -> int:
        """Rows of all splits."""
        return sum(self.rows.values())

    def add(self, frame: pl.DataFrame, split: str) -> None:
        """Count rows that were written."""
        import polars as pl

        if frame.is_empty():
            return
        self.rows[split] = self.rows.get(split, 0) + frame.height
        self.sources.update(frame.select("source", "license").iter_rows())
        self.tasks.update(frame["task"].to_list())
        if "messages" in frame.columns:
            turns = frame.select(pl.col("messages").explode()).unnest("messages")
            turns = turns.with_columns(
                pl.col("content").str.replace_all("<image>", "", literal=True)
            )
            counts = turns.group_by("role").agg(pl.len(), n_words("content").sum().alias("words"))
            for role, n, words in counts.iter_rows():
                self.turns[role] += n
                self.words[role] += words
            if "score" in frame.columns:
                marks = frame["score"].drop_nulls()
                self.marks = (self.marks[0] + len(marks), self.marks[1] + float(marks.sum()))
            return
        self.methods.update(frame.select("method", "control").iter_rows())
        for side in ("chosen", "rejected"):
            self.words[side] += int(frame.select(n_words(side).sum()).item() or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What depends on the format of an export.

    Attributes:
        front: More of the head that the Hub reads.
        reading: How to read it, in Markdown.
        notes: What the format leaves out.
        command: The command of the export.
    """

    front: dict[str, Any]
    reading: str
    notes: Sequence[str] = ()
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPart:
    """One configuration of a data set.

    Attributes:
        table: Where its rows came from.
        facts: Their counts.
        fields: Names and meanings of columns or fields.
    """

    table: HubTable
    facts: CardFacts
    fields: Sequence[tuple[str, str]]


def escape(text: str) -> str:
    """Text of strangers in Markdown: one line, no mark-up, not too long."""
    line = "".join(c if c.isprintable() else " " for c in text)
    line = line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "\u2026"
    return html.escape(_MARKUP.sub(r"\\\1", line), quote=False)


def write_card(
    dataset: Dataset,
    parts: Sequence[CardPart],
    layout: Layout,
    images: Sequence[tuple[str, str]],
    *,
    title: str | None,
) -> str:
    """The text of README.md.

    Args:
        dataset: The dataset.
        parts: Its configurations.
        layout: What depends on the format.
        images: Figures of the images of all parts.
        title: Title, if not the dataset's name.
    """
    import yaml

    front = {**_front_matter(parts, title or dataset.name), **layout.front}
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    roots = [root for part in parts for root in part.table.roots]
    manifests = _lineage(dataset, roots)
    sections = [
        f"# {escape(title or dataset.name)}",
        "\n\n".join(_introduction(part) for part in parts),
        "## Rows",
        _rows(parts),
        "## Sources and licenses",
        _sources(parts),
        "## Columns",
    ]
    for part in parts:
        sections += [f"### `{part.table.what}`"] if len(parts) > 1 else []
        sections.append(_table(("column", "meaning"), [(f"`{n}`", doc) for n, doc in part.fields]))
    if layout.notes:
        sections += ["What this format leaves out:", "\n".join(f"- {n}" for n in layout.notes)]
    figures = [*images, *(figure for part in parts for figure in _figures(part))]
    sections += [
        "## Figures",
        _table(("figure", "value"), figures),
        "## How it was made",
        "Every step reads tables and adds one; these are the steps, oldest first.",
        _table(("table", "rows", "command"), _steps(manifests)),
        "To make it again:",
        _reproduce(manifests, layout.command),
        "## Reading it",
        layout.reading,
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(sections) + "\n"


def _front_matter(parts: Sequence[CardPart], title: str) -> dict[str, Any]:
    licenses = sorted({hub_id(license) for part in parts for _, license in part.facts.sources})
    images = any(part.facts.n_images for part in parts)
    n_rows = sum(part.facts.n_rows for part in parts)
    tags = ["pairwright", *(["vision-language"] if images else [])]
    if any(part.table.what == "pairs" for part in parts):
        tags += ["preference", "dpo", "trl"]
    return {
        "pretty_name": " ".join(title.split()),
        "license": licenses[0] if len(licenses) == 1 else licenses,
        "task_categories": ["image-text-to-text" if images else "text-generation"],
        "size_categories": [next((name for most, name in _SIZES if n_rows < most), "n>10M")],
        "tags": tags,
    }


def _introduction(part: CardPart) -> str:
    kind = "preference pairs" if part.table.what == "pairs" else "conversations"
    images = f" over {part.facts.n_images:,} images" if part.facts.n_images else ""
    return f"{part.facts.n_rows:,} {kind}{images}, made with pairwright."


def _rows(parts: Sequence[CardPart]) -> str:
    rows = [
        (part.table.what, f"`{s}`", f"{n:,}") for part in parts for s, n in part.facts.rows.items()
    ]
    if len(parts) > 1:
        return _table(("configuration", "split", "rows"), rows)
    return _table(("split", "rows"), [row[1:] for row in rows])


def _sources(parts: Sequence[CardPart]) -> str:
    counts: Counter[tuple[str, str]] = Counter()
    for part in parts:
        for (source, license), n in part.facts.sources.items():
            counts[source or "", license or ""] += n
    rows = [
        (
            escape(source or "unknown"),
            escape(license or "not stated"),
            f"{n:,}",
            objection(license) or "",
        )
        for (source, license), n in sorted(counts.items())
    ]
    return _table(("source", "license", "rows", "caution"), rows)


def _figures(part: CardPart) -> list[tuple[str, str]]:
    rows, facts = [], part.facts
    if part.table.what == "samples":
        rows.append(("turns", f"{facts.turns.total():,}"))
        for role, n in sorted(facts.turns.items()):
            rows.append(
                (f"words of a turn of `{role}`, on average", f"{facts.words[role] / n:.1f}")
            )
        if facts.marks[0]:
            n, total = facts.marks
            rows.append((f"mean mark of the judge, of {n:,} rows", f"{total / n:.2f}"))
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
            rows.append((f"{part.table.what} of task {escape(task)}", f"{n:,}"))
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
