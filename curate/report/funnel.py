"""From rows read to rows kept: by source, by step, by reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curate.report.facts import KEPT, Facts
from curate.report.words import step_title
from pairwright.text.counts import counted

if TYPE_CHECKING:
    from pairwright.dataset.manifest import Manifest
    from pairwright.dataset.store import Dataset


def funnel(dataset: Dataset, facts: Facts) -> dict[str, Any]:
    """Rows by source, then what every step dropped and why, then what is kept."""
    import polars as pl

    invalid = _invalid(dataset, facts)
    counts = (
        facts.frame.group_by(pl.col("source").cast(pl.String))
        .agg(pl.len().alias("rows"), (pl.col("step") == KEPT).sum().alias("kept"))
        .sort("rows", "source", descending=[True, False])
    )
    sources = [
        {"source": source, "rows": rows, "kept": kept, "invalid": invalid.pop(source, 0)}
        for source, rows, kept in counts.iter_rows()
    ]
    # An ingest whose rows are all invalid has no samples at all.
    sources += [
        {"source": run, "rows": 0, "kept": 0, "invalid": n} for run, n in invalid.items() if n
    ]
    left, steps = facts.read, []
    for step in facts.steps:
        decided = left - step.undecided
        left -= step.dropped
        steps.append(
            {
                "run": step.manifest.run,
                "step": step.manifest.step,
                "title": step_title(step.manifest.step),
                "decided": decided,
                "dropped": step.dropped,
                "left": left,
                "undecided": step.undecided,
                "reasons": [
                    {
                        "reason": reason,
                        "words": step.words(reason),
                        "rows": rows,
                    }
                    for reason, rows in step.reasons
                ],
            }
        )
    return {"sources": sources, "steps": steps, "read": facts.read, "kept": left}


def _invalid(dataset: Dataset, facts: Facts) -> dict[str, int]:
    """Invalid rows of ingests of samples, by source (by name of the run where it has no rows)."""
    import polars as pl

    first = facts.frame.group_by("ingest").agg(pl.col("source").cast(pl.String).first())
    source_of = {facts.samples[number].run: source for number, source in first.iter_rows()}
    samples = {one.run for one in dataset.runs("samples")}
    out: dict[str, int] = {}
    for manifest in dataset.runs("rejects"):
        if manifest.step == "ingest" and manifest.run in samples and manifest.rows:
            ids = dataset.scan(manifest).select(pl.col("row_id").n_unique()).collect()
            name = source_of.get(manifest.run, manifest.run)
            out[name] = out.get(name, 0) + int(ids.item())
    return out


def notes(dataset: Dataset, facts: Facts) -> list[str]:
    """What a reader of the numbers has to know: steps that are out of date or contradict each other."""
    active = {step.manifest.ref: step.manifest for step in facts.steps}
    out = []
    for step in facts.steps:
        if step.undecided:
            out.append(
                f"{counted(step.undecided, 'sample was', 'samples were')} added after {step.manifest.ref} "
                f"was made, which did not decide on them: run `curate {step.manifest.step}` again "
                "with --replace."
            )
        for entry in step.manifest.inputs:
            parent = _parent(dataset, entry["table"])
            if entry["table"].startswith("decisions/") and entry["table"] not in active:
                out.append(
                    f"{step.manifest.ref} was made after {entry['table']}, which is no longer active."
                )
            elif parent is not None and parent.fingerprint != entry["fingerprint"]:
                out.append(
                    f"{entry['table']} has changed since {step.manifest.ref} was made from it."
                )
    orphans = _orphaned_groups(dataset, facts)
    if orphans:
        out.append(
            f"In {counted(orphans, 'group')} of duplicates a later step dropped the kept row, so "
            "no row of the group is left; `curate dedup --promote` keeps the next one."
        )
    unfinished = [one.ref for one in dataset.runs("decisions") if not one.is_complete]
    out += [f"{ref} is unfinished and does not count." for ref in unfinished]
    return out


def _parent(dataset: Dataset, ref: str) -> Manifest | None:
    kind, _, run = ref.rpartition("/")
    if kind not in ("decisions", "samples", "scores"):
        return None
    return dataset.manifest(kind, run)


def _orphaned_groups(dataset: Dataset, facts: Facts) -> int:
    import polars as pl

    gone = facts.frame.filter(pl.col("step") != KEPT).select("sample_id", "step").lazy()
    total = 0
    for number, step in enumerate(facts.steps):
        if step.manifest.step != "dedup":
            continue
        kept = dataset.scan(step.manifest).filter(~pl.col("kept")).select("kept_id").unique()
        later = gone.filter(pl.col("step") > number)
        lost = kept.join(later, left_on="kept_id", right_on="sample_id", how="semi")
        total += int(lost.select(pl.len()).collect().item())
    return total


def lineage(dataset: Dataset) -> list[dict[str, Any]]:
    """Every table of the dataset: what made it, when, from what, and whether it is active."""
    from pairwright.dataset.lineage import public_command
    from schemas.tables import TABLES

    out = []
    for kind in TABLES:
        active = {m.run for m in dataset.active(kind).values()}
        for manifest in dataset.runs(kind):
            if kind == "rejects" and not manifest.rows:
                continue
            out.append(
                {
                    "table": manifest.ref,
                    "step": manifest.step,
                    "rows": manifest.rows,
                    "status": manifest.status,
                    "active": None
                    if kind in ("images", "samples", "rejects")
                    else manifest.run in active,
                    "command": public_command(manifest.command),
                    "started_at": manifest.started_at,
                    "finished_at": manifest.finished_at,
                    "inputs": [
                        entry["table"] for entry in manifest.inputs if "/" in entry["table"]
                    ],
                    "packages": manifest.packages,
                }
            )
    return sorted(out, key=lambda one: (one["started_at"], one["table"]))
