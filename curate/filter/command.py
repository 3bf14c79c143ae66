"""`curate filter`: rules remove samples; each reports what it removes.

A run of the score rule alone, or with others, is the step `filter`; a run of other rules alone is
the step `filter-rules`, so that neither replaces the other.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curate.filter import report
from curate.filter.found import Found
from curate.filter.options import FilterSettings, recorded_before
from curate.filter.rows import Rows
from curate.filter.rules.base import Inputs, Rule
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.manifest import Manifest, RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.writer import RunWriter
    from pairwright.images import ImageError

STAGE = "image"


@dataclass(frozen=True, slots=True)
class _Result:
    """What the rules found, in the order in which they are asked."""

    found: list[Found]
    rows: Rows
    unreadable: dict[str, ImageError]
    seconds: float

    def summary(self, options: FilterSettings) -> dict[str, Any]:
        """Metrics for the run, and for machines."""
        rows = len(self.rows)
        removed = int((report.first_of(self.found) >= 0).sum())
        return {
            "rows": rows,
            "kept": rows - removed,
            "removed": removed,
            "unreadable_images": len(self.unreadable),
            "seconds": round(self.seconds, 2),
            "rows_per_second": round(rows / self.seconds) if self.seconds > 0 else None,
            "preset": options.preset,
            "options": options.recorded(),
            "filters": report.metrics(self.found),
        }


def filter_samples(dataset: Dataset, options: FilterSettings, run: RunOptions) -> Outcome:
    """Write one decision per current sample; the first rule that it fails is its reason.

    Raises:
        UsageError: If no rule is on, or a table that one needs is missing.
        MissingExtraError: If a library that a rule needs is missing.
    """
    rules = list(options.rules_on())
    if not rules:
        msg = (
            "no rule is on: give --preset basic, --min-score, or any of the options that "
            "`curate filter --help` lists"
        )
        raise UsageError(msg)
    steps = {rule.step for rule in rules}
    step = steps.pop() if len(steps) == 1 else "filter"
    name = run.run or step
    key = RunKey(step, f"decisions/{name}")
    picked = {rule.name: _pick(dataset, rule, options) for rule in rules}
    # Before anything is written, so that a wrong option or an interruption leaves no run.
    new = run.dry_run or run.replace or dataset.manifest("decisions", name) is None
    result = _find(dataset, options, run, rules, picked, key) if new else None
    if run.dry_run:
        assert result is not None
        summary = result.summary(options)
        text = f"dry run, nothing written\n{_report(result, summary, options)}"
        return Outcome(message=text, summary=summary)
    inputs = {m.ref: m for runs in picked.values() for some in runs.values() for m in some}
    with dataset.write(
        "decisions", name, step=step, config={**options.recorded(), "limit": run.limit},
        inputs=[*dataset.sample_inputs(for_run=key), *inputs.values()], replace=run.replace,
        resumable=False, current_config=recorded_before,
    ) as writer:  # fmt: skip
        if writer.is_complete:
            text = f"nothing to do: {key.ref} is finished\n{report.stored(writer.summary)}"
        else:
            result = result or _find(dataset, options, run, rules, picked, key)
            _write(result, options, writer)
            text = _report(result, writer.summary, options)
    active = dataset.active("decisions").get(step)
    if active is not None and active.run != name:
        text += (
            f"\n{key.ref} is not active, {active.ref} is: `pairwright use {key.ref}` changes that"
        )
    return Outcome(
        message=f"{text}\nnext: `curate select` or `curate report`",
        table=key.ref, rows=writer.n_rows, rejects=writer.n_rejects,
        summary=dict(writer.summary),
    )  # fmt: skip


def _pick(dataset: Dataset, rule: Rule, options: FilterSettings) -> dict[str, list[Manifest]]:
    """The runs that a rule reads, by table.

    Raises:
        UsageError: If there is none of a table.
    """
    picked = {}
    for table in rule.needs:
        runs = list(table.pick(dataset, options.of(rule)))
        if not runs and not table.optional:
            msg = f"no {table.what}: run `{table.command}` first"
            raise UsageError(msg)
        picked[table.name] = runs
    return picked


def _find(
    dataset: Dataset,
    options: FilterSettings,
    run: RunOptions,
    rules: Iterable[Rule],
    picked: dict[str, dict[str, list[Manifest]]],
    key: RunKey,
) -> _Result:
    """Ask every rule about the current samples."""
    import numpy as np

    started = time.monotonic()
    frame = dataset.current_samples(for_run=key).select("sample_id", "image_ids", "messages")
    rows = Rows((frame.head(run.limit) if run.limit else frame).collect())
    unreadable: dict[str, ImageError] = {}
    found: list[Found] = []
    for rule in rules:
        removed = (
            np.any([one.removes for one in found], axis=0) if found else np.zeros(len(rows), bool)
        )
        inputs = Inputs(
            dataset=dataset, runs=picked[rule.name], removed=removed, unreadable=unreadable
        )
        try:
            found += rule.find(rows, options.of(rule), inputs)
        except ModuleNotFoundError as error:
            if rule.extra is None:
                raise
            raise MissingExtraError(error.name or rule.extra, rule.extra) from error
    return _Result(found, rows, unreadable, time.monotonic() - started)


def _write(result: _Result, options: FilterSettings, writer: RunWriter) -> None:
    for image_id, error in result.unreadable.items():
        writer.reject(image_id, STAGE, error.reason, error.detail)
    decisions = decide(result.found, result.rows, writer.manifest.run)
    assert decisions["sample_id"].n_unique() == decisions.height == len(result.rows)
    writer.add(decisions)
    writer.summary.update(result.summary(options))


def decide(found: list[Found], rows: Rows, run: str) -> pl.DataFrame:
    """One decision per row: reason and measured value of the first rule that it fails.

    Where one rule alone was asked, kept rows have their value as well.
    """
    import numpy as np
    import polars as pl

    first = report.first_of(found)
    n = len(rows)
    reasons, methods = ["kept"] * n, ["filter"] * n
    values: list[float | None] = found[0].values.to_list() if len(found) == 1 else [None] * n
    for row in np.flatnonzero(first >= 0).tolist():
        one = found[first[row]]
        reasons[row] = one.reasons.get(row, one.name)
        note = f" ({one.detail[row]})" if row in one.detail else ""
        methods[row] = f"{one.name}: {one.rule}{note}"
        values[row] = one.values[row]
    return rows.samples.select("sample_id").with_columns(
        pl.lit(run).alias("run"),
        pl.Series("kept", first < 0),
        pl.Series("reason", reasons, dtype=pl.String),
        pl.Series("method", methods, dtype=pl.String),
        pl.Series("similarity", values, dtype=pl.Float64),
    )


def _report(result: _Result, summary: dict[str, Any], options: FilterSettings) -> str:
    lines = [report.stored(summary)]
    if options.preset:
        shown = ", ".join(
            f"{k.replace('_', '-')} {v}" for k, v in summary["options"].items() if k != "preset"
        )
        lines.append(f"  preset {options.preset}: {shown}")
    hidden: dict[int, str] = {}
    for one in result.found:
        hidden |= one.evidence if one.masked else {}
    for one in result.found:
        lines += report.section(one, result.rows, options.show, hidden)
    return "\n".join(lines)
