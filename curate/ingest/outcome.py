"""What an ingest did, in words and for `--json`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from curate.ingest.plan import STEP, Plan
from curate.read.rows import printable
from pairwright.commands.command import Outcome
from pairwright.dataset.store import Dataset
from pairwright.text.counts import counted

if TYPE_CHECKING:
    from curate.ingest.tables import Tables

# Numbers about the samples, counted while they are written.
FACTS: Final = ("unanswered", "text_only", "without_license")

# The next command, by the table that was written.
_NEXT: Final = {
    "samples": "`curate dedup`",
    "responses": "`judge score --target responses`",
    "scores": "`judge agree` or `curate filter --min-score N`",
    "comparisons": "`judge agree` or `prefs build --method comparisons`",
    "claims": "`judge claims --claims RUN` or `prefs build --method claims`",
    "feedback": "`prefs build --method spans`",
    "pairs": "`train dpo`",
}


def outcome_of_samples(dataset: Dataset, plan: Plan, tables: Tables, *, done: bool) -> Outcome:
    """The outcome of an ingest that wrote samples.

    Args:
        dataset: Where it wrote.
        plan: The ingest.
        tables: Its tables.
        done: Whether everything had been written before.
    """
    rows = {kind: writer.manifest.rows for kind, writer in tables.writers.items()}
    facts = {fact: int(tables.main.summary.get(fact, 0)) for fact in FACTS}
    lines = [f"{kind}/{plan.run}: {counted(count, 'row')}" for kind, count in rows.items()]
    if facts["unanswered"] or facts["text_only"]:
        lines.append(
            f"samples without an answer: {facts['unanswered']:,}, without an image: "
            f"{facts['text_only']:,}"
        )
    more = {"tables": rows, "format": plan.config["format"]}
    return _outcome(dataset, plan, tables, STEP, rows[plan.table], lines, more, done=done)


def outcome_of_labels(
    dataset: Dataset, plan: Plan, tables: Tables, step: str, *, done: bool
) -> Outcome:
    """The outcome of an ingest of rows about samples that were in the dataset.

    Args:
        dataset: Where it wrote.
        plan: The ingest.
        tables: Its tables.
        step: Name of the step in the rejects table.
        done: Whether everything had been written before.
    """
    rows = tables.main.manifest.rows
    lines = [f"{plan.table}/{plan.run}: {counted(rows, 'row')}"]
    verdicts = tables.main.summary.get("verdicts")
    if verdicts:
        shown = ", ".join(f"{count:,} {verdict}" for verdict, count in verdicts.items())
        lines.append(f"verdicts of {tables.main.summary['votes']:,} votes: {shown}")
    return _outcome(dataset, plan, tables, step, rows, lines, {}, done=done)


def _outcome(
    dataset: Dataset,
    plan: Plan,
    tables: Tables,
    step: str,
    rows: int,
    lines: list[str],
    more: dict[str, Any],
    *,
    done: bool,
) -> Outcome:
    reasons = reject_reasons(dataset, step, plan.run)
    lines = ["nothing to do", *lines] if done else lines
    lines += _supported_claims(dataset, plan.run) if plan.table == "claims" else []
    lines.append(_rejects(dataset, reasons, step, plan.run))
    lines.append(f"next: {_NEXT[plan.table]}")
    return Outcome(
        message="\n".join(lines),
        table=f"{plan.table}/{plan.run}",
        rows=rows,
        rejects=sum(reasons.values()),
        summary={**more, "reject_reasons": reasons, **tables.main.summary},
    )


def preview_of(
    plan: Plan, reasons: Counter[str], rows: int, *, images: int | None = None, first: str = ""
) -> Outcome:
    """The outcome of `--dry-run`.

    Args:
        plan: The ingest.
        reasons: Number of invalid rows by reason.
        rows: Number of valid rows.
        images: Number of images that they name; `None` if rows name none.
        first: The first valid row, in words.
    """
    rejects = sum(reasons.values())
    named = "" if images is None else f" naming {images:,} images (not opened)"
    listed = "".join(f"\n  {count:,} {reason}" for reason, count in reasons.most_common())
    message = (
        f"would write {counted(rows, 'row')}{named} to {plan.table}/{plan.run}, and reject "
        f"{counted(rejects, 'row')}{listed}{first}"
    )
    summary: dict[str, Any] = {"dry_run": True, "reject_reasons": dict(reasons)}
    if images is not None:
        summary["images"] = images
    return Outcome(message=message, rows=rows, rejects=rejects, summary=summary)


def reject_reasons(dataset: Dataset, step: str, run: str) -> dict[str, int]:
    """Number of rejected rows by reason, the most frequent first."""
    manifest = dataset.manifest(f"rejects/{step}", run)
    if manifest is None or not manifest.rows:
        return {}
    counts = (
        dataset.scan(manifest)
        .group_by("reason")
        .len()
        .sort("len", "reason", descending=[True, False])
    )
    return dict(counts.collect().iter_rows())


def _supported_claims(dataset: Dataset, run: str) -> list[str]:
    """How many claims are supported: the user notices a legend that is inverted."""
    import polars as pl

    manifest = dataset.manifest("claims", run)
    if manifest is None or not manifest.rows:
        return []
    rate = dataset.scan(manifest).select(pl.col("p_yes").mean()).collect().item()
    if rate is None:
        return ["no claim has a verdict"]
    line = f"{100 * rate:.1f} % of the judged claims are supported"
    if rate < 0.5:
        line += (
            "; if 1 means NOT supported in the source, ingest it again with --inverted --replace"
        )
    return [line]


def _rejects(dataset: Dataset, reasons: dict[str, int], step: str, run: str) -> str:
    """The reasons with their numbers, the command that shows the rows, and an example."""
    if not reasons:
        return "no invalid rows"
    listed = ", ".join(f"{count:,} {reason}" for reason, count in list(reasons.items())[:8])
    total = sum(reasons.values())
    text = f"invalid rows: {total:,} ({listed}); see `pairwright show rejects/{step}/{run}`"
    manifest = dataset.manifest(f"rejects/{step}", run)
    if manifest is None:
        return text
    reason = next(iter(reasons))
    rows = dataset.scan(manifest).filter(reason=reason).head(1).select("row_id", "detail")
    for row_id, detail in rows.collect().iter_rows():
        text += f"\n  the first {reason}: {printable(row_id, 120)}: {printable(detail or '', 300)}"
    return text
