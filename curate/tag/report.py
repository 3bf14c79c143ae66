"""The report of `curate tag` on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curate.tag.rules import Rule
from pairwright.commands.progress import shown
from pairwright.dataset.store import Dataset
from pairwright.text.conversation import plain_text
from pairwright.text.counts import counted

if TYPE_CHECKING:
    import polars as pl

_EXAMPLES, _WIDTH = 2, 110


def summary_of(tags: pl.DataFrame, n: int) -> dict[str, Any]:
    """Numbers of a run.

    Args:
        tags: `sample_id`, `task`, `main`.
        n: Number of samples.
    """
    import polars as pl

    counts = tags.group_by("task").agg(pl.len(), pl.col("main").sum()).sort("task")
    return {
        "rows": n,
        "untagged": n - tags["sample_id"].n_unique(),
        "tasks": {task: {"rows": rows, "main": main} for task, rows, main in counts.iter_rows()},
    }


def text(
    dataset: Dataset, rules: tuple[Rule, ...], tags: pl.DataFrame, n: int, *, show: bool
) -> str:
    """The whole report.

    Args:
        dataset: The dataset, for examples.
        rules: The rules.
        tags: `sample_id`, `task`, `rule`, `main`.
        n: Number of samples.
        show: Whether to print the rules with examples.
    """
    import polars as pl

    summary = summary_of(tags, n)
    lines = [f"{counted(n, 'row')}, {n - summary['untagged']:,} tagged", "  main task    any  task"]
    order = {rule.task: number for number, rule in reversed(list(enumerate(rules)))}
    for task, counts in sorted(summary["tasks"].items(), key=lambda one: order[one[0]]):
        lines.append(f"  {counts['main']:>9,} {counts['rows']:>6,}  {task}")
    if m := summary["untagged"]:
        lines.append(f"  {counted(m, 'row')} without a task: add a last rule to --rules")
    if not show:
        lines.append(
            "rules and examples: --show; to change the rules: --print-rules > my.yaml, then "
            "--rules my.yaml"
        )
        return "\n".join(lines)
    examples = _examples(dataset, tags)
    for number, rule in enumerate(rules, 1):
        tagged = tags.filter(pl.col("rule") == rule.name)
        lines += [
            "",
            f"{number:>3}. {rule.name} -> {rule.task}: {counted(tagged.height, 'row')}, main task "
            f"of {int(tagged['main'].sum()):,}",
            *(_short(line, 2 * _WIDTH) for line in str(rule).splitlines()),
            *(f"      e.g. {examples[i]}" for i in tagged["sample_id"].head(_EXAMPLES)),
        ]
    return "\n".join(lines)


def _examples(dataset: Dataset, tags: pl.DataFrame) -> dict[str, str]:
    """The first samples of each rule on one line each, by id."""
    import polars as pl

    wanted = tags.group_by("rule", maintain_order=True).head(_EXAMPLES)["sample_id"].unique()
    frame = dataset.union("samples").select("sample_id", "messages")
    rows = frame.filter(pl.col("sample_id").is_in(wanted.implode())).collect()
    out = {}
    for sample_id, messages in rows.iter_rows():
        line = " -> ".join(plain_text(m["content"] or "") for m in messages)
        out[sample_id] = shown(line, _WIDTH)
    return out


def _short(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 3] + "..."
