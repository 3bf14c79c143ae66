"""`judge agree`: how well a judge agrees with labels, what affects it, and a calibration."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any, Final

from judge.agreement import audits
from judge.agreement.gallery import disagreements
from judge.agreement.judgments import Judgments, find_run, read_judgments
from judge.agreement.matching import Matched, match
from judge.agreement.metrics import Scale, fitted_curve, metrics_of, pick
from judge.agreement.options import AgreeOptions
from judge.agreement.sentences import describe, verdict_sentence
from judge.measures.calibration import Calibration, Curve, save_calibration
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.manifest import now, write_bytes, write_json
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError

FORMAT: Final = "pairwright-agreement"
VERSION: Final = 2


def agree(dataset: Dataset, options: AgreeOptions, run: RunOptions) -> Outcome:
    """Compare a judge's judgments with labels; write metrics, a page and a calibration.

    Raises:
        UsageError: If the runs are not clear, or have nothing in common.
    """
    judge = read_judgments(dataset, find_run(dataset, options.judge, flag="--judge"))
    labels = None
    if options.labels is not None:
        labels = read_judgments(dataset, find_run(dataset, options.labels, flag="--labels"))
        one_criterion = options.labels_criterion in (None, options.criterion)
        if labels.manifest.ref == judge.manifest.ref and one_criterion:
            msg = f"--labels {options.labels}: a run agrees with itself; name another run, or another criterion with --labels-criterion"
            raise UsageError(msg)
    matched = [] if labels is None else _matched(dataset, judge, labels, options, run)
    folder = dataset.path / "reports" / "agree" / _name(judge, labels, run)
    report = collect(dataset, judge, labels, matched, options)
    failed = _gate(report, options)
    message, curves = describe(report), _curves(judge, matched, report, options)
    files: dict[str, str] = {}
    if run.dry_run:
        message += "\ndry run, nothing written"
    else:
        files = _write(dataset, folder, report, curves, labels)
        message += "".join(f"\n{path}" for path in files.values())
    return Outcome(
        message=message,
        summary={k: v for k, v in report.items() if k != "gallery"} | {"files": files},
        gate_failed=failed,
    )


def _matched(
    dataset: Dataset, judge: Judgments, labels: Judgments, options: AgreeOptions, run: RunOptions
) -> list[Matched]:
    matched = match(
        dataset, judge, labels, criterion=options.criterion,
        labels_criterion=options.labels_criterion, label_by=options.label_by,
    )  # fmt: skip
    return matched if run.limit is None else [one.head(run.limit) for one in matched]


def collect(
    dataset: Dataset,
    judge: Judgments,
    labels: Judgments | None,
    matched: list[Matched],
    options: AgreeOptions,
) -> dict[str, Any]:
    """All that the page shows, as JSON values."""
    method = None if options.fit == "none" else options.fit
    scale = _scale(judge, labels, method, options.resamples)
    found = []
    for one in matched:
        if method == "platt" and not one.is_pairwise and not one.is_binary:
            msg = f"--fit platt fits a probability, but the labels of {one.name} are not 0 and 1: use --fit isotonic"
            raise UsageError(msg)
        found.append(
            metrics_of(one, scale)
            | {
                "name": one.name,
                "unmatched": one.unmatched,
                "tied_labels": one.tied,
                "labels_constant": one.rows["label"].n_unique() == 1,
                "length": _length(dataset, one, options.resamples),
            }
        )
    report: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "dataset": dataset.name,
        "made_at": now(),
        "pairwright": importlib.metadata.version("pairwright"),
        "judge": _facts(judge) | {"unit": judge.unit, "rubric_hash": judge.rubric_hash},
        "labels": None
        if labels is None
        else _facts(labels) | {"annotators": len(labels.names), "by": options.label_by},
        "scale": [scale.low, scale.high],
        "metric": options.metric,
        "fit": options.fit,
        "resamples": options.resamples,
        "criteria": found,
        "audits": _audits(dataset, judge, options.resamples),
        "gallery": disagreements(dataset, matched, scale, options.examples),
    }  # fmt: skip
    report["verdict"] = verdict_sentence(report)
    return report


def _facts(one: Judgments) -> dict[str, Any]:
    return {"run": one.manifest.ref, "names": one.names[:20], "rows": one.rows.height}


def _scale(judge: Judgments, labels: Judgments | None, method: str | None, resamples: int) -> Scale:
    low, high = 0.0, 1.0
    if judge.unit == "claim" and labels is not None and labels.unit == "response":
        judge_scale: tuple[float, float] | None = (0.0, 1.0)
    else:
        judge_scale = judge.scale
    if judge_scale is not None:
        low, high = judge_scale
    elif judge.unit != "pair":
        scores = judge.rows["score"]
        low, high = float(scores.min()), float(scores.max())  # type: ignore[arg-type]
    return Scale(low=low, high=high, method=method, resamples=resamples)


def _length(dataset: Dataset, matched: Matched, resamples: int) -> dict[str, Any] | None:
    if not matched.is_pairwise:
        return audits.length_of_scores(dataset, matched, resamples)
    return {
        "judge": audits.length_of_winners(dataset, matched.rows, "judge", resamples),
        "labels": audits.length_of_winners(dataset, matched.rows, "label", resamples),
    }


def _audits(dataset: Dataset, judge: Judgments, resamples: int) -> dict[str, Any]:
    pairs = judge.unit == "pair"
    return {
        "position": audits.position(dataset, judge, resamples) if pairs else None,
        "length": audits.length_of_winners(dataset, judge.rows, "verdict", resamples)
        if pairs
        else audits.length_of_own_scores(dataset, judge, resamples),
        "mass": audits.mass(judge),
        "probes": None if pairs else audits.probes(dataset, judge, resamples),
    }


def _curves(
    judge: Judgments, matched: list[Matched], report: dict[str, Any], options: AgreeOptions
) -> tuple[Curve, ...]:
    """Curves that calibrate later scores of this judge."""
    names = judge.names
    if options.fit == "none" or judge.rubric_hash is None or len(names) != 1:
        return ()
    out = []
    for one, shown in zip(matched, report["criteria"], strict=True):
        if one.is_pairwise or not one.criterion or judge.unit == "claim":
            continue
        xs, ys = fitted_curve(one, options.fit)
        out.append(
            Curve(
                judge=names[0], rubric_hash=judge.rubric_hash, criterion=one.criterion,
                method=options.fit,
                maps_to="probability" if shown["shape"] == "yes or no" else "score",
                xs=tuple(xs), ys=tuple(ys), n=one.rows.height,
            )
        )  # fmt: skip
    return tuple(out)


def _gate(report: dict[str, Any], options: AgreeOptions) -> str | None:
    """Why the command fails in the end, if it does: the lowest of all criteria decides."""
    if options.min_agreement is None:
        return None
    key = "low" if options.gate_on == "low" else "value"
    for criterion in report["criteria"]:
        one = pick(criterion["metrics"], options.metric)
        if one is None:
            known = ", ".join(f["metric"] for f in criterion["metrics"])
            msg = f"--metric {options.metric} does not exist for {criterion['name']}; there are {known}"
            raise UsageError(msg)
        found = one[key]
        if found is None or found < options.min_agreement:
            shown = (
                "does not exist (too few rows, or equal rows)"
                if found is None
                else f"is {found:.3f}"
            )
            which = "lower end of " if key == "low" else ""
            return f"{which}{one['name']} on {criterion['name']} {shown}, below --min-agreement {options.min_agreement:g}"
    return None


def _name(judge: Judgments, labels: Judgments | None, run: RunOptions) -> str:
    from pairwright.dataset.store import check_run_name

    if run.run is not None:
        return check_run_name(run.run)
    mine = judge.manifest
    if labels is None:
        return mine.run
    theirs = labels.manifest
    # Imports of several kinds may have the same name.
    return "-".join([mine.run, *([] if mine.kind == theirs.kind else [theirs.kind]), theirs.run])


def _write(
    dataset: Dataset,
    folder: Path,
    report: dict[str, Any],
    curves: tuple[Curve, ...],
    labels: Judgments | None,
) -> dict[str, str]:
    from judge.agreement.page import render
    from pairwright.webpage.thumbs import thumbnails

    wanted = [i for item in report["gallery"] for i in item["image_ids"][:3]]
    thumbs = thumbnails(dataset, wanted, side=320, budget=6_000_000)
    files = {"html": folder / "report.html", "json": folder / "report.json"}
    write_json(files["json"], report)
    write_bytes(files["html"], render(report, thumbs).encode())
    if curves and labels is not None:
        files["calibration"] = folder / "calibration.json"
        save_calibration(
            files["calibration"],
            Calibration(curves=curves, labels=labels.manifest.ref, fitted_at=now()),
        )
    else:  # one of an earlier report under this name would be wrong
        (folder / "calibration.json").unlink(missing_ok=True)
    return {name: str(path) for name, path in files.items()}
