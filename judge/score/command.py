"""`judge score`: scores of responses, as expected values over a judge's label probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from judge.ask.jury import add_jury
from judge.ask.scoring import Scoring
from judge.ask.session import Session, open_run, outcome_of, peek
from judge.ask.summaries import with_current_keys
from judge.ask.targets import Source, choose_source, count_judged, targets_with_context
from judge.rubric.rubric import Rubric, load_rubric, with_criteria
from judge.rubric.template import shows
from judge.score.missing import MissingScores
from judge.score.modes import (
    reasons_then_score,
    sampled_score_only,
    score_only,
    score_then_reasons,
)
from judge.score.options import ONE_TURN, ScoreOptions
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


def score(dataset: Dataset, options: ScoreOptions, run: RunOptions) -> Outcome:
    """Score responses by a rubric, one row of `scores` per target, criterion, judge and repeat.

    Raises:
        UsageError: If there is nothing to judge, or a label is not one token of the judge.
        ServerError: If the judge cannot be started or stops; the scores so far are kept.
    """
    rubric = chosen_rubric(options)
    judges = _judges(options, dataset)
    source = choose_source(dataset, options)
    if source.kind == "response" and options.turns == "all":
        raise UsageError(ONE_TURN)
    calibration = _calibration(options, rubric, list(judges))
    key = RunKey(source.step, f"scores/{run.run or source.step}")
    if run.dry_run:
        judged = count_judged(dataset, source, for_run=key, limit=run.limit, turns=options.turns)
        return _dry_run(judged, rubric, options, list(judges), source, key.ref)
    with open_run(
        dataset, key, options=type(options), config=_config(options, judges, rubric, source),
        inputs=[source.responses], choice=None,
        more_fingerprints=_fingerprints(options, judges), run=run,
    ) as writer:  # fmt: skip
        done = writer.is_complete
        if not done:
            for choice, own in judges.items():
                session = Session(dataset, writer, own, choice, run.limit)
                scoring = Scoring(
                    rubric=rubric, choice=choice, source=source, calibration=calibration,
                    repeats=_rows_per_score(own),
                )  # fmt: skip
                _ask(session, scoring, own, is_only_judge=len(judges) == 1)
                writer.flush()
            _summarise(dataset, writer, rubric, options, source, len(judges))
    summary = with_current_keys(writer.summary)
    text = describe(summary, rubric)
    if summary["scores"]:
        following = "prefs build" if source.kind == "response" else "curate filter --min-score N"
        text += f"\n  next: `{following}`"
    return outcome_of(writer, text, done=done, summary=summary)


def _ask(session: Session, scoring: Scoring, options: ScoreOptions, *, is_only_judge: bool) -> None:
    """Ask one judge for every score that is not written yet."""
    missing = MissingScores(session, scoring, options, is_only_judge)
    wanted = peek(missing.requests())
    if wanted is None:
        return
    total = _requests(missing.count(), options)
    unit = "scores" if options.rationale == "none" else "requests"
    with session.open("judge", total=total, unit=unit) as judge:
        if options.rationale == "before":
            reasons_then_score(judge, scoring, wanted)
        elif options.rationale == "after":
            score_then_reasons(judge, scoring, wanted)
        elif options.repeats > 1:
            sampled_score_only(judge, scoring, wanted)
        else:
            score_only(judge, scoring, wanted)


def _rows_per_score(options: ScoreOptions) -> int:
    """Rows for one target, turn and criterion.

    Repeats without reasons are verdicts sampled for one row.
    """
    return options.repeats if options.rationale == "before" else 1


def _requests(scores: int, options: ScoreOptions) -> int:
    """How many requests so many scores take."""
    if options.rationale == "before":
        return scores + scores // options.repeats  # one request gives the reasons of all repeats
    return 2 * scores if options.rationale == "after" else scores


def chosen_rubric(options: ScoreOptions) -> Rubric:
    """The rubric that options name.

    Raises:
        UsageError: If its prompt cannot show what --use-criteria or --use-reference demands.
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
    # The adapter belongs to the first judge.
    all_options += [replace(options, model=name, adapter=None, jury=()) for name in options.jury]
    judges = {choose_model(own, dataset): own for own in all_options}
    labels = [choice.label for choice in judges]
    if len(set(labels)) < len(all_options):
        msg = f"--jury: two judges would have the same name ({', '.join(labels)})"
        raise UsageError(msg)
    if JURY in labels:
        msg = f"a judge cannot be called {JURY}: this name is reserved for combined scores"
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
    """Hashes of the models in local folders, and of the calibration."""
    out: dict[str, str] = {}
    for number, choice in enumerate(judges):
        suffix = f" of judge {number + 1}" if number else ""
        out |= {f"{what}{suffix}": found for what, found in choice.fingerprints().items()}
    if options.calibration is not None:
        from pairwright.dataset.ids import content_hash

        out["calibration"] = content_hash(options.calibration.read_bytes())
    return out


def _config(
    options: ScoreOptions,
    judges: dict[ModelChoice, ScoreOptions],
    rubric: Rubric,
    source: Source,
) -> dict[str, Any]:
    first, *others = judges
    config = recorded(options, first)
    config.pop("calibration")  # by its content, among the fingerprints
    return config | {
        "target": f"{source.kind}s",
        "responses": source.responses.run if source.responses else None,
        "jury": [choice.source for choice in others],
        # The hash, not the file's path: a rubric may move.
        "rubric": rubric.name,
        "rubric_hash": rubric.hash,
        "label_range": rubric.label_range,
    }


def _summarise(
    dataset: Dataset,
    writer: RunWriter,
    rubric: Rubric,
    options: ScoreOptions,
    source: Source,
    judges: int,
) -> None:
    """Add the jury's rows where there are several judges, and the metrics of the run."""
    if judges > 1:
        writer.summary["jury"] = add_jury(writer, rubric, judges=judges, by=options.jury_by)
        writer.flush()
    uses = {"criteria": options.use_criteria, "reference": options.use_reference}
    shown = [name for name, use in uses.items() if use != "never" and shows(rubric.prompt, name)]
    context = None
    if shown:
        context = targets_with_context(dataset, source, for_run=writer.manifest.key)
    writer.summary.update(summarise(writer.scan(), rubric, context, shown))


def _dry_run(
    judged: int,
    rubric: Rubric,
    options: ScoreOptions,
    judges: Sequence[ModelChoice],
    source: Source,
    ref: str,
) -> Outcome:
    scores = judged * len(rubric.criteria) * _rows_per_score(options) * len(judges)
    requests = _requests(scores, options)
    who = ", ".join(choice.label for choice in judges)
    message = (
        f"dry run, nothing written: {ref} would contain {scores:,} scores of {judged:,} "
        f"{source.kind}{'' if judged == 1 else 's'} by {who} with the rubric {rubric.name} "
        f"({requests:,} requests)"
    )
    return Outcome(message=message, summary={"targets": judged, "requests": requests})
