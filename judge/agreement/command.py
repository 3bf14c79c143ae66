"""`judge agree`: how far a judge agrees with people, what moves it, and what its marks mean."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any, Final

from judge.agreement import audits
from judge.agreement.figures import Scale, figures_of, fitted_curve, pick
from judge.agreement.gallery import disagreements
from judge.agreement.options import AgreeOptions
from judge.agreement.sources import Votes, find_run, read_votes
from judge.agreement.topics import Topic, topics_of
from judge.agreement.words import describe, verdict_sentence
from judge.measures.calibration import Calibration, Curve, save_calibration
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.manifest import now, write_bytes, write_json
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError

FORMAT: Final = "pairwright-agreement"
VERSION: Final = 1


def agree(dataset: Dataset, options: AgreeOptions, run: RunOptions) -> Outcome:
    """Compare a judge's verdicts with labels; write figures, a page and a calibration.

    Raises:
        UsageError: If it is not clear which runs are meant, or they have nothing in common.
    """
    judge = read_votes(dataset, find_run(dataset, options.judge, flag="--judge"))
    labels = None
    if options.labels is not None:
        labels = read_votes(dataset, find_run(dataset, options.labels, flag="--labels"))
        one_criterion = options.labels_criterion in (None, options.criterion)
        if labels.manifest.ref == judge.manifest.ref and one_criterion:
            msg = f"--labels {options.labels}: a run agrees with itself; name another, or another criterion of it with --labels-criterion"
            raise UsageError(msg)
    topics = [] if labels is None else _topics(dataset, judge, labels, options, run)
    folder = dataset.path / "reports" / "agree" / _name(judge, labels, run)
    figures = collect(dataset, judge, labels, topics, options)
    failed = _gate(figures, options)
    message, curves = describe(figures), _curves(judge, topics, figures, options)
    files: dict[str, str] = {}
    if run.dry_run:
        message += "\ndry run, nothing written"
    else:
        files = _write(dataset, folder, figures, curves, labels)
        message += "".join(f"\n{path}" for path in files.values())
    return Outcome(
        message=message,
        summary={k: v for k, v in figures.items() if k != "gallery"} | {"files": files},
        gate_failed=failed,
    )


def _topics(
    dataset: Dataset, judge: Votes, labels: Votes, options: AgreeOptions, run: RunOptions
) -> list[Topic]:
    topics = topics_of(
        dataset, judge, labels, criterion=options.criterion,
        labels_criterion=options.labels_criterion, label_by=options.label_by,
    )  # fmt: skip
    return topics if run.limit is None else [topic.head(run.limit) for topic in topics]


def collect(
    dataset: Dataset,
    judge: Votes,
    labels: Votes | None,
    topics: list[Topic],
    options: AgreeOptions,
) -> dict[str, Any]:
    """Everything that the page shows, as JSON values."""
    method = None if options.fit == "none" else options.fit
    scale = _scale(judge, labels, method, options.draws)
    found = []
    for topic in topics:
        if method == "platt" and not topic.verdicts and not topic.is_binary:
            msg = f"--fit platt reads marks as a probability, but the labels of {topic.name} are not 0 and 1: use --fit isotonic"
            raise UsageError(msg)
        one = figures_of(topic, scale) | {
            "name": topic.name,
            "unmatched": topic.unmatched,
            "split": topic.split,
            "labels_alike": topic.rows["label"].n_unique() == 1,
        }
        one["length"] = _length(dataset, topic, options.draws)
        found.append(one)
    figures: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "dataset": dataset.name,
        "made_at": now(),
        "pairwright": importlib.metadata.version("pairwright"),
        "judge": {
            "run": judge.manifest.ref, "who": judge.who[:20], "rows": judge.rows.height,
            "unit": judge.unit, "rubric_hash": judge.rubric_hash,
        },
        "labels": None
        if labels is None
        else {
            "run": labels.manifest.ref, "who": labels.who[:20], "annotators": len(labels.who),
            "rows": labels.rows.height, "by": options.label_by,
        },
        "scale": [scale.low, scale.high],
        "metric": options.metric,
        "fit": options.fit,
        "draws": options.draws,
        "topics": found,
        "audits": _audits(dataset, judge, options.draws),
        "gallery": disagreements(dataset, topics, scale, options.examples),
    }  # fmt: skip
    figures["verdict"] = verdict_sentence(figures)
    return figures


def _scale(judge: Votes, labels: Votes | None, method: str | None, draws: int) -> Scale:
    low, high = 0.0, 1.0
    if judge.unit == "claim" and labels is not None and labels.unit == "answer":
        judge_scale: tuple[float, float] | None = (0.0, 1.0)
    else:
        judge_scale = judge.scale
    if judge_scale is not None:
        low, high = judge_scale
    elif judge.unit != "pair":
        marks = judge.rows["mark"]
        low, high = float(marks.min()), float(marks.max())  # type: ignore[arg-type]
    return Scale(low=low, high=high, method=method, draws=draws)


def _length(dataset: Dataset, topic: Topic, draws: int) -> dict[str, Any] | None:
    if not topic.verdicts:
        return audits.length_of_marks(dataset, topic, draws)
    return {
        "judge": audits.length_of_winners(dataset, topic.rows, "judge", draws),
        "people": audits.length_of_winners(dataset, topic.rows, "label", draws),
    }


def _audits(dataset: Dataset, judge: Votes, draws: int) -> dict[str, Any]:
    pairs = judge.unit == "pair"
    return {
        "position": audits.position(dataset, judge, draws) if pairs else None,
        "length": audits.length_of_winners(dataset, judge.rows, "verdict", draws)
        if pairs
        else audits.length_of_own_marks(dataset, judge, draws),
        "mass": audits.mass(judge),
        "probes": None if pairs else audits.probes(dataset, judge, draws),
    }


def _curves(
    judge: Votes, topics: list[Topic], figures: dict[str, Any], options: AgreeOptions
) -> tuple[Curve, ...]:
    """Curves that later marks of this judge can be read by."""
    who = judge.who
    if options.fit == "none" or judge.rubric_hash is None or len(who) != 1:
        return ()
    out = []
    for topic, shown in zip(topics, figures["topics"], strict=True):
        if topic.verdicts or not topic.criterion or judge.unit == "claim":
            continue
        xs, ys = fitted_curve(topic, options.fit)
        out.append(
            Curve(
                judge=who[0], rubric_hash=judge.rubric_hash, criterion=topic.criterion,
                method=options.fit,
                maps_to="probability" if shown["shape"] == "yes or no" else "mark",
                xs=tuple(xs), ys=tuple(ys), n=topic.rows.height,
            )
        )  # fmt: skip
    return tuple(out)


def _gate(figures: dict[str, Any], options: AgreeOptions) -> str | None:
    """Why the gate fails, if it does: the lowest of all criteria decides."""
    if options.min_agreement is None:
        return None
    key = "low" if options.gate_on == "low" else "value"
    for topic in figures["topics"]:
        one = pick(topic["figures"], options.metric)
        if one is None:
            known = ", ".join(f["metric"] for f in topic["figures"])
            msg = f"--metric {options.metric} says nothing about {topic['name']}; there are {known}"
            raise UsageError(msg)
        found = one[key]
        if found is None or found < options.min_agreement:
            shown = (
                "does not exist (too few or too equal rows)" if found is None else f"is {found:.3f}"
            )
            which = "lower end of " if key == "low" else ""
            return (
                f"{which}{one['name']} on {topic['name']} {shown}, wanted {options.min_agreement:g}"
            )
    return None


def _name(judge: Votes, labels: Votes | None, run: RunOptions) -> str:
    from pairwright.dataset.store import check_run_name

    if run.run is not None:
        return check_run_name(run.run)
    mine = judge.manifest
    if labels is None:
        return mine.run
    theirs = labels.manifest
    # Imports of several kinds may have one name.
    return "-".join([mine.run, *([] if mine.kind == theirs.kind else [theirs.kind]), theirs.run])


def _write(
    dataset: Dataset,
    folder: Path,
    figures: dict[str, Any],
    curves: tuple[Curve, ...],
    labels: Votes | None,
) -> dict[str, str]:
    from judge.agreement.page import render
    from pairwright.webpage.thumbs import thumbnails

    wanted = [i for item in figures["gallery"] for i in item["image_ids"][:3]]
    thumbs = thumbnails(dataset, wanted, side=320, budget=6_000_000)
    files = {"html": folder / "report.html", "json": folder / "report.json"}
    write_json(files["json"], figures)
    write_bytes(files["html"], render(figures, thumbs).encode())
    if curves and labels is not None:
        files["calibration"] = folder / "calibration.json"
        save_calibration(
            files["calibration"],
            Calibration(curves=curves, labels=labels.manifest.ref, fitted_at=now()),
        )
    else:  # of an earlier report under this name, which it would belie
        (folder / "calibration.json").unlink(missing_ok=True)
    return {name: str(path) for name, path in files.items()}
