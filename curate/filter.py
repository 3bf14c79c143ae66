"""`curate filter`: samples go by marks, images or texts; every filter says what it removes.

Marks alone are the run `filter`, any other filter makes the run `filter-rules`, so that neither
replaces the other. One command with both is one run of the verb `filter`.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.filter_options import FILTERS, MARKS, FilterOptions
from curate.filters import report
from curate.filters.found import Found, Rows
from curate.filters.marks import VERB, by_marks
from pairwright.command import Outcome
from pairwright.errors import UsageError
from pairwright.images import ImageError, ImageReader
from pairwright.options import RunOptions, as_config
from pairwright.store import Dataset

if TYPE_CHECKING:
    import polars as pl

    from pairwright.manifest import Manifest
    from pairwright.writer import RunWriter

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


def filter_samples(dataset: Dataset, options: FilterOptions, run: RunOptions) -> Outcome:
    """Write one decision a current sample; the first filter that it fails is its reason.

    Raises:
        PairwrightError: If no filter is named, or a run or library that one needs is missing.
    """
    options = options.resolved()
    wanted = wanted_filters(options)
    if not wanted:
        msg = (
            "no filter named: give --preset basic, --min-score, or any of the filters that "
            "`curate filter --help` lists"
        )
        raise UsageError(msg)
    if wanted == ["score"]:
        return by_marks(dataset, options, run)
    verb = VERB if "score" in wanted else RULES
    name = run.run or verb
    ref = f"decisions/{name}"
    inputs = _inputs(dataset, options, ref)
    if run.dry_run:
        started = time.monotonic()
        found, rows, failed = _find(dataset, options, run, inputs, ref)
        summary = _summary(found, rows, options, failed, time.monotonic() - started)
        text = _report(found, rows, summary, options)
        return Outcome(message=f"dry run, nothing written\n{text}", summary=summary)
    with dataset.write(
        "decisions", name, verb=verb, config={**config_of(options), "limit": run.limit},
        inputs=inputs.all(), replace=run.replace, resumable=False,
    ) as writer:  # fmt: skip
        if writer.is_complete:
            text = f"nothing to do: {ref} is finished\n{_stored(writer.summary)}"
        else:
            text = _write(dataset, options, run, inputs, writer)
    return Outcome(
        message=text,
        table=ref,
        rows=writer.n_rows,
        rejects=writer.n_rejects,
        summary=dict(writer.summary),
    )


def _write(
    dataset: Dataset, options: FilterOptions, run: RunOptions, inputs: _Inputs, writer: RunWriter
) -> str:
    started = time.monotonic()
    name = writer.manifest.run
    found, rows, failed = _find(dataset, options, run, inputs, f"decisions/{name}")
    for image_id, error in failed.items():
        writer.reject(image_id, STAGE, error.reason, error.detail)
    decisions = decide(found, rows, name)
    assert decisions["sample_id"].n_unique() == decisions.height == len(rows)
    writer.add(decisions)
    writer.summary.update(_summary(found, rows, options, failed, time.monotonic() - started))
    return _report(found, rows, writer.summary, options)


def wanted_filters(options: FilterOptions) -> list[str]:
    """Names of the filters that the options turn on, in the order in which they are asked."""
    from curate.filter_options import BROKEN_NAMES

    on = {BROKEN_NAMES[kind] for kind in options.broken_kinds}
    for name, fields in _SWITCHES.items():
        if any(getattr(options, one) is not None for one in fields):
            on.add(name)
    return [name for name in FILTERS if name in on]


_SWITCHES = {
    "score": ("min_score",),
    "resolution": ("min_side", "min_pixels", "max_pixels"),
    "aspect_ratio": ("max_aspect",),
    "blank_image": ("min_std",),
    "low_information": ("min_entropy",),
    "blur": ("min_sharpness",),
    "repeated_turn": ("max_repeated_turns",),
    "answer_words": ("min_answer_words", "max_answer_words"),
    "question_words": ("min_question_words", "max_question_words"),
    "characters": ("min_chars", "max_chars"),
    "turns": ("min_turns", "max_turns"),
    "language": ("language",),
    "pii": ("pii",),
    "image_text": ("min_clip_score", "drop_clip_share"),
    "templated": ("max_template_share",),
}


def config_of(options: FilterOptions) -> dict[str, Any]:
    """What a run records: the values in force, the options of filters that are off left out."""
    values = as_config(options)
    plain = {f.name: f.default for f in dataclasses.fields(FilterOptions)}
    marks = options.min_score is not None
    return {
        name: value
        for name, value in values.items()
        if name != "show"
        and value is not None
        and (marks or name not in MARKS)
        and (value != plain[name] or name in _recorded(options))
    }


def _recorded(options: FilterOptions) -> set[str]:
    """Options with a default that count although they were not given."""
    wanted = set(wanted_filters(options))
    beside = {
        "score": ("unscored",),
        "repetition": ("max_repetition",),
        "cut_answer": ("cut_certainty",),
        "refusal": ("max_refusal_words",),
        "templated": ("template_of", "template_words", "template_rows"),
        "language": ("min_confidence", "language_letters"),
        "image_text": ("clip_words",),
        "pii": ("phone_region",),
    }
    return {name for filter_name in wanted for name in beside.get(filter_name, ())}


def _inputs(dataset: Dataset, options: FilterOptions, ref: str) -> _Inputs:
    from curate.filters import alignment, images, marks

    wanted = set(wanted_filters(options))
    inputs = _Inputs(dataset.sample_inputs(before=ref))
    if images.wanted(options) or wanted & {"resolution", "aspect_ratio"}:
        inputs.images = [m for m in dataset.runs("images") if m.is_complete]
    if "score" in wanted:
        inputs.scores = marks.pick_marks(dataset, options)
    if "image_text" in wanted:
        inputs.embeddings = alignment.pick(dataset, options.embeddings)
    return inputs


def _find(
    dataset: Dataset, options: FilterOptions, run: RunOptions, inputs: _Inputs, ref: str
) -> tuple[list[Found], Rows, dict[str, ImageError]]:
    """What every wanted filter finds, in the order in which they are asked."""
    frame = dataset.current_samples(before=ref).select("sample_id", "image_ids", "messages")
    rows = Rows((frame.head(run.limit) if run.limit else frame).collect())
    failed: dict[str, ImageError] = {}
    found = [
        *_marks(dataset, options, rows, inputs),
        *_images(dataset, options, rows, failed),
        *_texts(options, rows),
    ]
    if inputs.embeddings is not None:
        from curate.filters.alignment import image_text

        found.append(image_text(rows, options, dataset.scan(inputs.embeddings).collect()))
    order = ("unreadable_image", *FILTERS)
    found.sort(key=lambda one: order.index(one.name))
    if options.max_template_share is not None:
        from curate.filters.texts import templated

        gone = (
            np.any([one.removes for one in found], axis=0) if found else np.zeros(len(rows), bool)
        )
        found.append(templated(rows, options, gone))
    return found, rows, failed


def _marks(
    dataset: Dataset, options: FilterOptions, rows: Rows, inputs: _Inputs
) -> Iterator[Found]:
    from curate.filters import marks

    if inputs.scores is not None:
        scored = marks.read_marks(dataset, inputs.scores, options)
        yield marks.found_of(rows, scored, options)


def _images(
    dataset: Dataset, options: FilterOptions, rows: Rows, failed: dict[str, ImageError]
) -> Iterator[Found]:
    from curate.filters import images

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
    from curate.filters.answers import broken
    from curate.filters.repetition import repeated_turns
    from curate.filters.texts import lengths

    yield from broken(rows, options)
    if options.max_repeated_turns is not None:
        yield repeated_turns(rows, options.max_repeated_turns)
    yield from lengths(rows, options)
    if options.languages:
        from curate.filters.languages import language

        yield language(rows, options)
    if options.pii_kinds:
        from curate.filters.pii import pii

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


def _summary(
    found: list[Found],
    rows: Rows,
    options: FilterOptions,
    failed: dict[str, ImageError],
    seconds: float,
) -> dict[str, Any]:
    removed = int((report.first_of(found) >= 0).sum())
    return {
        "rows": len(rows),
        "kept": len(rows) - removed,
        "removed": removed,
        "unreadable_images": len(failed),
        "seconds": round(seconds, 2),
        "rows_per_second": round(len(rows) / seconds) if seconds > 0 else None,
        "preset": options.preset,
        "options": config_of(options),
        "filters": report.figures(found),
    }


def _report(found: list[Found], rows: Rows, summary: dict[str, Any], options: FilterOptions) -> str:
    lines = [_headline(summary), *report.table(summary["filters"], len(rows))]
    if options.preset:
        shown = ", ".join(
            f"{k.replace('_', '-')} {v}" for k, v in summary["options"].items() if k != "preset"
        )
        lines.append(f"  preset {options.preset}: {shown}")
    for one in found:
        lines += report.section(one, rows, options.show)
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
