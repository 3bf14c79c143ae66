"""`curate report`: what is in a dataset, what was dropped and why, as one page and one JSON file."""

from __future__ import annotations

import importlib.metadata
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from curate.report.options import ReportOptions
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.manifest import now, write_bytes, write_json
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.text.counts import counted

if TYPE_CHECKING:
    from curate.report.facts import Facts
    from curate.report.spread import Used

FORMAT: Final = "pairwright-report"
VERSION: Final = 2
_GENERATOR: Final = b'<meta name=generator content="pairwright'


def report(dataset: Dataset, options: ReportOptions, run: RunOptions) -> Outcome:
    """Write `report.html` and `report.json`; they are made again each time.

    Raises:
        Error: If the extra `report` is missing, or the folder holds another's page.
    """
    from curate.report.charts import need_charts
    from curate.report.page import render

    started = time.monotonic()
    folder = _folder(dataset, options, run)
    _check(folder / "report.html", replace=run.replace)
    if not run.dry_run:
        need_charts()
    facts, metrics = collect(dataset, options, run)
    summary = _summary(metrics)
    if run.dry_run:
        return Outcome(
            message=f"dry run, nothing written\n{_text(metrics)}", summary=summary, rows=facts.read
        )
    most = int(options.max_mb * 1e6)
    thumbs = _thumbs(dataset, options, metrics, most)
    page = render(metrics, thumbs).encode()
    over = len(page) - most
    if over > 0 and thumbs[0]:  # images that several examples show count several times
        thumbs = _thumbs(dataset, options, metrics, most - 2 * over)
        page = render(metrics, thumbs).encode()
    write_json(folder / "report.json", metrics)
    write_bytes(folder / "report.html", page)
    seconds = time.monotonic() - started
    files = {"html": str(folder / "report.html"), "json": str(folder / "report.json")}
    message = (
        f"{_text(metrics)}\n{files['html']}: {len(page) / 1e6:.1f} MB, "
        f"{counted(len(thumbs[0]), 'thumbnail')}, in {seconds:.1f} s; open it in any browser\n{files['json']}\n"
        "next: `curate select` or `curate export`"
    )
    return Outcome(message=message, rows=facts.read, summary={**summary, "files": files})


def collect(
    dataset: Dataset, options: ReportOptions, run: RunOptions
) -> tuple[Facts, dict[str, Any]]:
    """Everything that the page shows, as JSON values."""
    from curate.report import examples, funnel, spread
    from curate.report.dropped import dropped
    from curate.report.duplicates import duplicates
    from curate.report.facts import read_facts
    from curate.report.image_spread import image_distributions

    facts = read_facts(dataset, run.limit)
    samples, used = spread.distributions(dataset, facts)
    tags = spread.tag_distribution(dataset, facts)
    samples += [] if tags is None else [tags]
    images, n_images = image_distributions(dataset, used)
    metrics: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "title": (options.title or dataset.name).encode(errors="replace").decode(),
        "dataset": dataset.name,
        "made_at": now(),
        "pairwright": importlib.metadata.version("pairwright"),
        "limit": run.limit,
        "headline": {},
        "funnel": funnel.funnel(dataset, facts),
        "notes": funnel.notes(dataset, facts),
        "distributions": samples,
        "images": images,
        "scores": spread.score_distributions(dataset, facts),
        "duplicates": duplicates(dataset, facts, options),
        "dropped": dropped(dataset, facts, options),
        "conflicts": examples.conflicts(dataset, facts, options),
        "invalid_rows": examples.invalid_rows(dataset),
        "runs": funnel.lineage(dataset),
    }
    metrics["samples"] = examples.fetch(dataset, facts, examples.shown_ids(metrics))
    metrics["headline"] = _headline(facts, metrics, n_images, used)
    return facts, metrics


def _headline(facts: Facts, metrics: dict[str, Any], images: int, used: Used) -> dict[str, Any]:
    flow, found = metrics["funnel"], metrics["duplicates"]
    return {
        "samples_read": facts.read,
        "samples_kept": flow["kept"],
        "samples_dropped": facts.read - flow["kept"],
        "invalid_rows": sum(source["invalid"] for source in flow["sources"]),
        "sources": len(flow["sources"]),
        "images": images,
        "images_used": len(used.every),
        "images_kept": len(used.kept),
        "duplicate_groups": found["groups"] if found else None,
        "conflicts": metrics["conflicts"]["rows"] if metrics["conflicts"] else None,
        "conflicting_questions": metrics["conflicts"]["questions"]
        if metrics["conflicts"]
        else None,
        "steps": len(flow["steps"]),
    }


def _summary(metrics: dict[str, Any]) -> dict[str, Any]:
    reasons = {
        step["step"]: {one["reason"]: one["rows"] for one in step["reasons"]}
        for step in metrics["funnel"]["steps"]
    }
    return {**metrics["headline"], "dropped": reasons, "notes": metrics["notes"]}


def _text(metrics: dict[str, Any]) -> str:
    head, lines = metrics["headline"], []
    lines.append(
        f"{counted(head['samples_read'], 'sample')} read, {head['samples_kept']:,} kept, "
        f"{head['samples_dropped']:,} dropped; {counted(head['invalid_rows'], 'invalid row')} at ingest"
    )
    for step in metrics["funnel"]["steps"]:
        lines.append(f"  {step['dropped']:>9,} dropped by {step['run']}, {step['left']:,} left")
    return "\n".join([*lines, *(f"  note: {note}" for note in metrics["notes"])])


def _folder(dataset: Dataset, options: ReportOptions, run: RunOptions) -> Path:
    if options.output is not None:
        if options.output.exists() and not options.output.is_dir():
            msg = f"-o {options.output}: is a file; give a folder for the report"
            raise UsageError(msg)
        return options.output
    base = dataset.path / "reports"
    if run.run is None:
        return base
    if (
        not run.run.replace("-", "").replace("_", "").replace(".", "").isalnum()
        or run.run[0] == "."
    ):
        msg = f"--run {run.run!r}: use letters, digits, dot, dash and underscore"
        raise UsageError(msg)
    return base / run.run


def _check(path: Path, *, replace: bool) -> None:
    """Never write over a page that is not ours."""
    if replace or not path.is_file():
        return
    with path.open("rb") as file:
        if _GENERATOR not in file.read(4096):
            msg = f"{path}: exists and is not a report of pairwright; choose another folder with -o, or --replace"
            raise UsageError(msg)


def _thumbs(
    dataset: Dataset, options: ReportOptions, metrics: dict[str, Any], room: int
) -> tuple[dict[str, bytes], dict[str, str]]:
    from pairwright.webpage.parts import IMAGES_A_SAMPLE
    from pairwright.webpage.thumbs import thumbnails

    if not options.images:
        return {}, {}
    # The page has each text about twice: as it is, and in its markup.
    texts = len(json.dumps(metrics, ensure_ascii=False).encode()) * 2 + 100_000
    budget = int((room - texts) * 3 / 4)
    wanted = [
        image_id
        for sample in metrics["samples"].values()
        for image_id in sample["image_ids"][:IMAGES_A_SAMPLE]
    ]
    return thumbnails(dataset, wanted, side=options.thumbnail, budget=max(0, budget))
