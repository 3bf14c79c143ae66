"""`judge score`: marks for answers, as expected values over a judge's label probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from judge.ask.jury import add_jury
from judge.ask.scoring import Marking
from judge.ask.scoring import expected_value as expected_value
from judge.ask.targets import Source, brought_along, choose_source, count_answers
from judge.rubric.rubric import Rubric, load_rubric, with_criteria
from judge.rubric.template import shows
from judge.score.asking import Sitting
from judge.score.options import ScoreOptions
from judge.score.report import describe, summarise
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.scores import JURY
from pairwright.vlm.backend import ModelChoice, choose_model, recorded

if TYPE_CHECKING:
    from judge.measures.calibration import Calibration
    from pairwright.dataset.writer import RunWriter

_PART_SECONDS = 5.0


def score(dataset: Dataset, options: ScoreOptions, run: RunOptions) -> Outcome:
    """Mark answers by a rubric, one row of `scores` a target, criterion, judge and draw.

    Raises:
        UsageError: If there is nothing to judge, or a label is not one token of the judge.
        ServerError: If the judge cannot be started or is gone; what was marked is kept.
    """
    rubric = chosen_rubric(options)
    judges = _judges(options, dataset)
    source = choose_source(dataset, options)
    if source.kind == "response" and options.turns == "all":
        msg = "--turns all: a response is one answer; judge conversations with --target samples"
        raise UsageError(msg)
    calibration = _calibration(options, rubric, list(judges))
    name = run.run or source.step
    ref = f"scores/{name}"
    if run.dry_run:
        answers = count_answers(
            dataset, source, for_run=RunKey(source.step, ref), limit=run.limit, turns=options.turns
        )
        return _dry_run(answers, rubric, options, list(judges), source, ref)
    read = [
        *dataset.sample_inputs(for_run=RunKey(source.step, ref)),
        *([source.responses] if source.responses else []),
    ]
    with dataset.write(
        "scores",
        name,
        step=source.step,
        config=_config(options, judges, rubric, source, run),
        inputs=read,
        fingerprints=_fingerprints(options, judges),
        replace=run.replace,
        retry_stages=("request",),
        part_seconds=_PART_SECONDS,
    ) as writer:
        done = writer.is_complete
        if not done:
            for choice, own in judges.items():
                marking = Marking(
                    rubric=rubric, choice=choice, source=source, calibration=calibration
                )
                sitting = Sitting(dataset, writer, marking, own, run.limit, len(judges) == 1)
                sitting.ask()
                writer.flush()
            _sum_up(dataset, writer, rubric, options, source, len(judges))
    text = describe(writer.summary, rubric)
    return Outcome(
        message=f"{'nothing to do: ' if done else ''}{ref}: {text}",
        table=ref,
        rows=writer.n_rows,
        rejects=writer.n_rejects,
        summary=writer.summary,
    )


def chosen_rubric(options: ScoreOptions) -> Rubric:
    """The rubric that options name.

    Raises:
        UsageError: If it cannot show what it is told to show.
    """
    rubric = load_rubric(options.rubric)
    if options.criteria:
        rubric = with_criteria(rubric, options.criteria)
    for name, use in (("criteria", options.use_criteria), ("reference", options.use_reference)):
        if use == "always" and not shows(rubric.prompt, name):
            msg = f"--use-{name} always: the prompt of the rubric {rubric.name} never shows {{{name}}}"
            raise UsageError(msg)
    return rubric


def _judges(options: ScoreOptions, dataset: Dataset) -> dict[ModelChoice, ScoreOptions]:
    """Each judge with the options it is asked with."""
    all_options = [options]
    # The adapter is the first judge's.
    all_options += [replace(options, model=name, adapter=None, jury=()) for name in options.jury]
    judges = {choose_model(own, dataset): own for own in all_options}
    labels = [choice.label for choice in judges]
    if len(set(labels)) < len(all_options):
        msg = f"--jury: two judges would have one name ({', '.join(labels)})"
        raise UsageError(msg)
    if JURY in labels:
        msg = f"a judge cannot be called {JURY}: that name is for the marks of several"
        raise UsageError(msg)
    return judges


def _calibration(
    options: ScoreOptions, rubric: Rubric, judges: Sequence[ModelChoice]
) -> Calibration | None:
    if options.calibration is None:
        return None
    from judge.measures.calibration import load_calibration

    found = load_calibration(options.calibration)
    for choice in judges:
        for criterion in rubric.criteria:
            found.need(choice.label, rubric.hash, criterion.name)
    return found


def _fingerprints(options: ScoreOptions, judges: dict[ModelChoice, ScoreOptions]) -> dict[str, str]:
    """Hashes of what lies in files: models, the calibration."""
    out: dict[str, str] = {}
    for number, choice in enumerate(judges):
        mark = f" of judge {number + 1}" if number else ""
        out |= {f"{what}{mark}": found for what, found in choice.fingerprints().items()}
    if options.calibration is not None:
        from pairwright.dataset.ids import content_hash

        out["calibration"] = content_hash(options.calibration.read_bytes())
    return out


def _config(
    options: ScoreOptions,
    judges: dict[ModelChoice, ScoreOptions],
    rubric: Rubric,
    source: Source,
    run: RunOptions,
) -> dict[str, Any]:
    first, *others = judges
    config = recorded(options, first)
    config.pop("calibration")  # by its content, among the fingerprints
    return config | {
        "target": f"{source.kind}s",
        "responses": source.responses.run if source.responses else None,
        "jury": [choice.source for choice in others],
        # The hash, not the file's place: a rubric may move.
        "rubric": rubric.name,
        "rubric_hash": rubric.hash,
        "label_range": rubric.label_range,
        "limit": run.limit,
    }


def _sum_up(
    dataset: Dataset,
    writer: RunWriter,
    rubric: Rubric,
    options: ScoreOptions,
    source: Source,
    judges: int,
) -> None:
    """Add the jury's rows where there are several judges, and the figures of the run."""
    if judges > 1:
        writer.summary["jury"] = add_jury(writer, rubric, judges=judges, by=options.jury_by)
        writer.flush()
    shown = {
        name: shows(rubric.prompt, name) and getattr(options, f"use_{name}") != "never"
        for name in ("criteria", "reference")
    }
    facts = None
    if any(shown.values()):
        facts = brought_along(dataset, source, for_run=writer.manifest.key)
    names = [name for name, is_shown in shown.items() if is_shown]
    writer.summary.update(summarise(writer.scan(), rubric, facts, names))


def _dry_run(
    answers: int,
    rubric: Rubric,
    options: ScoreOptions,
    judges: Sequence[ModelChoice],
    source: Source,
    ref: str,
) -> Outcome:
    draws = options.draws if options.rationale == "before" else 1
    marks = answers * len(rubric.criteria) * draws * len(judges)
    requests = {
        "none": marks, "after": 2 * marks, "before": marks + marks // draws
    }[options.rationale]  # fmt: skip
    who = ", ".join(choice.label for choice in judges)
    message = (
        f"dry run, nothing written: {ref} would hold {marks:,} marks of {who} on "
        f"{answers:,} {source.kind} answers by the rubric {rubric.name} ({requests:,} requests)"
    )
    return Outcome(message=message, summary={"targets": answers, "requests": requests})
