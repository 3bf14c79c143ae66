"""`curate filter`: samples go by marks, images or texts; every filter says what it removes.

Marks alone are the run `filter`, any other filter makes the run `filter-rules`, so that neither
replaces the other. One command with both is one run of the step `filter`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.filter import report
from curate.filter.found import Found, Rows
from curate.filter.options import BESIDE, BROKEN_NAMES, FILTERS, SWITCHES, FilterOptions
from curate.filter.rules.scores import STEP, by_marks
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions, as_config
from pairwright.commands.progress import say
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.images import ImageError, ImageReader

if TYPE_CHECKING:
    import polars as pl

    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.writer import RunWriter

RULES = "filter-rules"
STAGE = "image"


@dataclass(slots=True)
class _Inputs:
    """Runs that the wanted filters read."""

    samples: list[Manifest]
    images: list[Manifest] = field(default_factory=list)
    scores: Manifest | None = None
    embeddings: Manifest | None = None

    def all(self) -> list[Manifest]:
        extra = [one for one in (self.scores, self.embeddings) if one is not None]
        return [*self.samples, *self.images, *extra]


@dataclass(frozen=True, slots=True)
class _Result:
    """What the filters found, in the order in which they are asked."""

    found: list[Found]
    rows: Rows
    failed: dict[str, ImageError]
    seconds: float

    def summary(self, options: FilterOptions) -> dict[str, Any]:
        """Figures for the run, and for machines."""
        rows = len(self.rows)
        removed = int((report.first_of(self.found) >= 0).sum())
        return {
            "rows": rows,
            "kept": rows - removed,
            "removed": removed,
            "unreadable_images": len(self.failed),
            "seconds": round(self.seconds, 2),
            "rows_per_second": round(rows / self.seconds) if self.seconds > 0 else None,
            "preset": options.preset,
            "options": config_of(options),
            "filters": report.figures(self.found),
        }


def filter_samples(dataset: Dataset, options: FilterOptions, run: RunOptions) -> Outcome:
    """Write one decision a current sample; the first filter that it fails is its reason.

    Raises:
        Error: If no filter is named, or a run or library that one needs is missing.
    """
    wanted = wanted_filters(options)
    if not wanted:
        msg = (
            "no filter named: give --preset basic, --min-score, or any of the filters that "
            "`curate filter --help` lists"
        )
        raise UsageError(msg)
    if wanted == ["score"]:
        return by_marks(dataset, options, run)
    step = STEP if "score" in wanted else RULES
    name = run.run or step
    ref = f"decisions/{name}"
    inputs = _inputs(dataset, options, ref, step)
    # Before anything is written, so that a wrong option or an interruption leaves no run behind.
    new = run.dry_run or run.replace or dataset.manifest("decisions", name) is None
    result = _find(dataset, options, run, inputs, ref, step) if new else None
    if run.dry_run:
        assert result is not None
        text = _report(result, result.summary(options), options)
        return Outcome(message=f"dry run, nothing written\n{text}", summary=result.summary(options))
    with dataset.write(
        "decisions", name, step=step, config={**config_of(options), "limit": run.limit},
        inputs=inputs.all(), replace=run.replace, resumable=False,
    ) as writer:  # fmt: skip
        if writer.is_complete:
            text = f"nothing to do: {ref} is finished\n{_stored(writer.summary)}"
        else:
            result = result or _find(dataset, options, run, inputs, ref, step)
            _write(result, options, writer)
            text = _report(result, writer.summary, options)
    chosen = dataset.active("decisions").get(step)
    if chosen is not None and chosen.run != name:
        text += f"\n{ref} is not in force, {chosen.ref} is: `pairwright use {ref}` changes that"
    return Outcome(
        message=text,
        table=ref,
        rows=writer.n_rows,
        rejects=writer.n_rejects,
        summary=dict(writer.summary),
    )


def _write(result: _Result, options: FilterOptions, writer: RunWriter) -> None:
    for image_id, error in result.failed.items():
        writer.reject(image_id, STAGE, error.reason, error.detail)
    decisions = decide(result.found, result.rows, writer.manifest.run)
    assert decisions["sample_id"].n_unique() == decisions.height == len(result.rows)
    writer.add(decisions)
    writer.summary.update(result.summary(options))


def wanted_filters(options: FilterOptions) -> list[str]:
    """Names of the filters that the options turn on, in the order in which they are asked."""
    on = {BROKEN_NAMES[kind] for kind in options.broken_kinds}
    for name, fields in SWITCHES.items():
        if any(getattr(options, one) is not None for one in fields):
            on.add(name)
    return [name for name in FILTERS if name in on]


def config_of(options: FilterOptions) -> dict[str, Any]:
    """What a run records: the values in force, without the options of filters that are off."""
    wanted = wanted_filters(options)
    off = {one for name, fields in BESIDE.items() if name not in wanted for one in fields}
    return {
        name: value
        for name, value in as_config(options).items()
        if value is not None
        and name not in off | {"show"}
        and (name, value) != ("calibrated", False)  # as in runs from before there was one
    }


def _inputs(dataset: Dataset, options: FilterOptions, ref: str, step: str) -> _Inputs:
    from curate.filter.rules import alignment, images
    from curate.filter.rules import scores as marks

    wanted = set(wanted_filters(options))
    inputs = _Inputs(dataset.sample_inputs(for_run=RunKey(step, ref)))
    if images.wanted(options) or wanted & {"resolution", "aspect_ratio"}:
        inputs.images = [m for m in dataset.runs("images") if m.is_complete]
    if "score" in wanted:
        inputs.scores = marks.pick_marks(dataset, options)
    if "image_text" in wanted:
        inputs.embeddings = alignment.pick(dataset, options.embeddings)
    return inputs


def _find(
    dataset: Dataset,
    options: FilterOptions,
    run: RunOptions,
    inputs: _Inputs,
    ref: str,
    step: str,
) -> _Result:
    started = time.monotonic()
    frame = dataset.current_samples(for_run=RunKey(step, ref))
    frame = frame.select("sample_id", "image_ids", "messages")
    rows = Rows((frame.head(run.limit) if run.limit else frame).collect())
    failed: dict[str, ImageError] = {}
    found = [
        *_marks(dataset, options, rows, inputs),
        *_images(dataset, options, rows, failed),
        *_texts(options, rows),
    ]
    if inputs.embeddings is not None:
        from curate.filter.rules.alignment import image_text

        found.append(image_text(rows, options, dataset.scan(inputs.embeddings).collect()))
    order = ("unreadable_image", *FILTERS)
    found.sort(key=lambda one: order.index(one.name))
    if options.max_template_share is not None:
        from curate.filter.rules.texts import templated

        gone = (
            np.any([one.removes for one in found], axis=0) if found else np.zeros(len(rows), bool)
        )
        found.append(templated(rows, options, gone))
    return _Result(found, rows, failed, time.monotonic() - started)


def _marks(
    dataset: Dataset, options: FilterOptions, rows: Rows, inputs: _Inputs
) -> Iterator[Found]:
    from curate.filter.rules import scores as marks

    if inputs.scores is not None:
        scored = marks.read_marks(dataset, inputs.scores, options)
        say(marks.spread(rows.samples, scored, options))  # before anything is cut
        yield marks.found_of(rows, scored, options)


def _images(
    dataset: Dataset, options: FilterOptions, rows: Rows, failed: dict[str, ImageError]
) -> Iterator[Found]:
    from curate.filter.rules import images

    sizes = dataset.union("images").select("image_id", "width", "height").collect()
    yield from images.by_size(rows, options, sizes)
    if images.wanted(options):
        ids = rows.samples["image_ids"].explode().drop_nulls().unique(maintain_order=True)
        looks = images.look_at_all(
            ImageReader(dataset), ids.to_list(), os.cpu_count() or 1, failed.__setitem__
        )
        yield images.unreadable(rows, failed)
        yield from images.by_look(rows, options, looks)


def _texts(options: FilterOptions, rows: Rows) -> Iterator[Found]:
    from curate.filter.rules.answers import broken
    from curate.filter.rules.repetition import repeated_turns
    from curate.filter.rules.texts import lengths

    yield from broken(rows, options)
    if options.max_repeated_turns is not None:
        yield repeated_turns(rows, options.max_repeated_turns)
    yield from lengths(rows, options)
    if options.languages:
        from curate.filter.rules.languages import language

        yield language(rows, options)
    if options.pii_kinds:
        from curate.filter.rules.pii import pii

        yield pii(rows, options)


def decide(found: list[Found], rows: Rows, run: str) -> pl.DataFrame:
    """One decision a row: reason and measured value of the first filter that it fails."""
    import polars as pl

    first = report.first_of(found)
    n = len(rows)
    reasons, methods = ["kept"] * n, ["filter"] * n
    values: list[float | None] = [None] * n
    for row in np.flatnonzero(first >= 0).tolist():
        one = found[first[row]]
        reasons[row] = one.name
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


def _report(result: _Result, summary: dict[str, Any], options: FilterOptions) -> str:
    lines = [_headline(summary), *report.table(summary["filters"], len(result.rows))]
    if options.preset:
        shown = ", ".join(
            f"{k.replace('_', '-')} {v}" for k, v in summary["options"].items() if k != "preset"
        )
        lines.append(f"  preset {options.preset}: {shown}")
    hidden = next((one.where for one in result.found if one.name == "pii"), {})
    for one in result.found:
        lines += report.section(one, result.rows, options.show, hidden)
    return "\n".join(lines)


def _headline(summary: dict[str, Any]) -> str:
    rows, removed = summary["rows"], summary["removed"]
    share = f" ({100 * removed / rows:.1f} %)" if rows else ""
    return (
        f"{rows:,} rows in, {summary['kept']:,} kept, {removed:,} removed{share}, "
        f"in {summary['seconds']:.1f} s"
    )


def _stored(summary: dict[str, Any]) -> str:
    return "\n".join([_headline(summary), *report.table(summary["filters"], summary["rows"])])
