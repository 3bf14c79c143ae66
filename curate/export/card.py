"""The dataset card: what is in an export, where it comes from and how it was made.

Text of others (names of sources, licenses, commands) is escaped: markup in it is shown as text.
"""

from __future__ import annotations

import html
import importlib.resources
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from curate.export.parquet_table import HubTable
from curate.licenses import hub_id, objection
from pairwright.dataset.lineage import ancestors, public_command
from pairwright.dataset.manifest import Manifest
from pairwright.dataset.store import Dataset
from pairwright.text.texts import n_words

if TYPE_CHECKING:
    import polars as pl

_SIZES = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M")]
_SIZES += [(10**7, "1M<n<10M")]
# In one line, inside a cell or a heading, nothing else is markup.
_MARKUP = re.compile(r"([\\`*_{}\[\]|~$])")
_LONGEST = 200


@dataclass(slots=True, kw_only=True)
class CardFacts:
    """Counts of the rows that were written.

    Attributes:
        rows: By split.
        n_images: Distinct images.
        sources: By source and license.
        tasks: By task.
        methods: Pairs by method and control.
        turns: Turns of conversations by role.
        words: Words by role of a turn or side of a pair.
        scores: Scores of samples: their number and sum.
    """

    rows: dict[str, int] = field(default_factory=dict)
    n_images: int = 0
    sources: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    tasks: Counter[str | None] = field(default_factory=Counter)
    methods: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    scores: tuple[int, float] = (0, 0.0)

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
                scores = frame["score"].drop_nulls()
                self.scores = (self.scores[0] + len(scores), self.scores[1] + float(scores.sum()))
            return
        self.methods.update(frame.select("method", "control").iter_rows())
        for side in ("chosen", "rejected"):
            self.words[side] += int(frame.select(n_words(side).sum()).item() or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What depends on the format of an export.

    Attributes:
        metadata: More of the header that the Hub reads.
        reading: How to read it, in Markdown.
        notes: What the format leaves out.
        command: The command of the export.
    """

    metadata: dict[str, Any]
    reading: str
    notes: Sequence[str] = ()
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPart:
    """One configuration of a dataset.

    Attributes:
        table: Where its rows came from.
        facts: Their counts.
        fields: Names and meanings of columns or fields.
    """

    table: HubTable
    facts: CardFacts
    fields: Sequence[tuple[str, str]]


def escape(text: str) -> str:
    """Text of others in Markdown: one line, no markup, not too long."""
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
        images: Numbers on the images of all parts.
        title: Title, if not the dataset's name.
    """
    from huggingface_hub import DatasetCard, DatasetCardData

    name = title or dataset.name
    runs = ancestors(dataset, [root for part in parts for root in part.table.roots])
    template = importlib.resources.files("curate.export").joinpath("templates", "card.md.jinja")
    card = DatasetCard.from_template(
        DatasetCardData(**_metadata(parts, name), **layout.metadata),
        template_str=template.read_text(encoding="utf-8"),
        title=escape(name),
        introduction=[_introduction(part) for part in parts],
        rows=_rows(parts),
        sources=_sources(parts),
        columns=[
            {"name": part.table.what, "fields": [(f"`{n}`", doc) for n, doc in part.fields]}
            for part in parts
        ],
        notes=layout.notes,
        numbers=[*images, *(number for part in parts for number in _numbers(part))],
        steps=[(escape(m.ref), f"{m.rows:,}", escape(public_command(m.command))) for m in runs],
        commands=_commands(runs, layout.command),
        versions=_versions(runs),
        reading=layout.reading,
    )
    return f"{card}\n"


def _metadata(parts: Sequence[CardPart], title: str) -> dict[str, Any]:
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


def _rows(parts: Sequence[CardPart]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of the table of splits."""
    rows: list[tuple[str, ...]] = [
        (part.table.what, f"`{s}`", f"{n:,}") for part in parts for s, n in part.facts.rows.items()
    ]
    if len(parts) > 1:
        return ("configuration", "split", "rows"), rows
    return ("split", "rows"), [row[1:] for row in rows]


def _sources(parts: Sequence[CardPart]) -> list[tuple[str, str, str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for part in parts:
        for (source, license), n in part.facts.sources.items():
            counts[source or "", license or ""] += n
    return [
        (
            escape(source or "unknown"),
            escape(license or "not stated"),
            f"{n:,}",
            objection(license) or "",
        )
        for (source, license), n in sorted(counts.items())
    ]


def _numbers(part: CardPart) -> list[tuple[str, str]]:
    rows, facts = [], part.facts
    if part.table.what == "samples":
        rows.append(("turns", f"{facts.turns.total():,}"))
        for role, n in sorted(facts.turns.items()):
            rows.append((f"mean words of a turn of `{role}`", f"{facts.words[role] / n:.1f}"))
        if facts.scores[0]:
            n, total = facts.scores
            rows.append((f"mean score of the judge, of {n:,} rows", f"{total / n:.2f}"))
    else:
        for side in ("chosen", "rejected"):
            mean = facts.words[side] / max(1, facts.n_rows)
            rows.append((f"mean words of `{side}`", f"{mean:.1f}"))
        for (method, control), n in sorted(
            facts.methods.items(), key=lambda item: (item[0][0], item[0][1] or "")
        ):
            name = f"{method}, control {control}" if control else method
            rows.append((f"pairs by {escape(name)}", f"{n:,}"))
    for task, n in facts.tasks.most_common(20):
        if task:
            rows.append((f"{part.table.what} of task {escape(task)}", f"{n:,}"))
    return rows


def _commands(runs: Sequence[Manifest], last: str) -> list[tuple[str, list[str]]]:
    """The distinct commands in their order, as blocks: language, lines."""
    commands = dict.fromkeys([*(public_command(m.command) for m in runs), last])
    # In a block nothing is markup but the line that ends it.
    lines = ("".join(c if c.isprintable() else " " for c in one) for one in commands)
    blocks = []
    for is_call, some in groupby(lines, lambda line: line.startswith("pw.")):
        code = [line.replace("`", "'") for line in some]
        blocks.append(
            ("python", ["import pairwright as pw", "", *code]) if is_call else ("bash", code)
        )
    return blocks


def _versions(runs: Sequence[Manifest]) -> str:
    """The versions that the runs were made with."""
    versions: dict[str, set[str]] = {}
    for manifest in runs:
        for name, version in manifest.packages.items():
            versions.setdefault(name, set()).add(version)
    found = (f"{name} {' and '.join(sorted(v))}" for name, v in sorted(versions.items()))
    return ", ".join(escape(one) for one in found)
