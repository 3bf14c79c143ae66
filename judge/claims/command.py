"""`judge claims`: responses split into claims, each checked against the image by one token."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from judge.ask.session import Session, open_run, outcome_of
from judge.ask.targets import Source, choose_source, count_targets
from judge.claims.checking import Checking
from judge.claims.options import ClaimsOptions
from judge.claims.scores import write_scores
from judge.claims.split import split_responses
from judge.rubric.rubric import FOLDER, Rubric, load_rubric
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.manifest import Manifest, RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.vlm.backend import ModelChoice, choose_model, recorded

_STEP = "claims"
_NOT_RECORDED = ("splitter_model", "splitter_base_url", "split_tokens", "low_mass")


def claims(dataset: Dataset, options: ClaimsOptions, run: RunOptions) -> Outcome:
    """Split responses into claims (`claims/RUN-split`), check each (`claims/RUN`), score responses.

    The scores are `scores/RUN`, rubric `claims`: `rejected`, `rate` and `soft` per response.

    Raises:
        UsageError: If there is nothing to check, or the rubric does not ask for yes or no.
        ServerError: If a model cannot be started or stops; the replies so far are kept.
    """
    rubric = verify_rubric(options.rubric)
    choice = choose_model(options, dataset)
    given = dataset.pick("claims", options.claims) if options.claims else None
    source = _source(dataset, options, given)
    name = run.run or (_STEP if source.kind == "sample" else f"{_STEP}-responses")
    key = RunKey(_STEP, f"claims/{name}")
    if run.dry_run:
        return _dry_run(dataset, options, source, given, key, run)
    listed = given or split_responses(dataset, options, source, run, f"{name}-split")
    with open_run(
        dataset, key, options=type(options), config=_config(options, choice, rubric, source, listed),
        inputs=[listed, source.responses], choice=choice, run=run,
    ) as writer:  # fmt: skip
        done = writer.is_complete
        if not done:
            session = Session(dataset, writer, options, choice, run.limit)
            Checking(session, rubric, source, listed).ask()
    summary = write_scores(
        dataset, name, listed, source, judge=choice.label, rubric_hash=rubric.hash,
        prompt_hash=listed.config.get("rubric_hash") or options.split, low_mass=options.low_mass,
        done=done,
    )  # fmt: skip
    return outcome_of(writer, _describe(summary, name), done=done, summary=summary)


def verify_rubric(name: str) -> Rubric:
    """The rubric that asks about one claim.

    Raises:
        UsageError: If its labels are not yes and no, or it has more than one criterion.
    """
    shipped = str(FOLDER / "claims" / "verify.yaml")
    rubric = load_rubric(shipped if name == "verify" else name)
    names = {label.split("|")[0].lower() for label in rubric.labels}
    if names != {"no", "yes"} or len(rubric.criteria) != 1 or rubric.criteria[0].labels:
        msg = f'--rubric {name}: claims are checked by one criterion with labels {{"no|No": 0, "yes|Yes": 1}}'
        raise UsageError(msg)
    return rubric


def _source(dataset: Dataset, options: ClaimsOptions, given: Manifest | None) -> Source:
    """The responses that are checked; a run of claims records what its claims are about."""
    if given is None or options.target or options.responses:
        return choose_source(dataset, options)
    kinds = dataset.scan(given).select("target_kind").unique().collect()["target_kind"].to_list()
    if len(kinds) != 1 or kinds[0] is None:
        msg = f"{given.ref} does not record what its claims are about: add --target samples or --target responses"
        raise UsageError(msg)
    chosen = replace(options, target="samples" if kinds[0] == "sample" else "responses")
    return choose_source(dataset, chosen)


def _config(
    options: ClaimsOptions,
    choice: ModelChoice,
    rubric: Rubric,
    source: Source,
    listed: Manifest,
) -> dict[str, Any]:
    config = {k: v for k, v in recorded(options, choice).items() if k not in _NOT_RECORDED}
    return config | {
        "target": f"{source.kind}s",
        "responses": source.responses.run if source.responses else None,
        "claims": listed.run,
        "rubric": rubric.name,
        "rubric_hash": rubric.hash,
    }


def _dry_run(
    dataset: Dataset, options: ClaimsOptions, source: Source, given: Manifest | None, key: RunKey,
    run: RunOptions,
) -> Outcome:  # fmt: skip
    targets = count_targets(dataset, source, for_run=key, limit=run.limit)
    name = key.ref.partition("/")[2]
    how = f"would be split by {options.split} into claims/{name}-split"
    if given is not None:
        how = f"have {given.rows:,} claims in {given.ref}"
    message = (
        f"dry run, nothing written: {targets:,} {source.kind}s {how}; each claim would be checked "
        f"with one request into {key.ref}, and the scores written to scores/{name}"
    )
    return Outcome(message=message, summary={"targets": targets})


def _describe(summary: dict[str, Any], name: str) -> str:
    """The metrics as text."""
    if not summary["responses"]:
        return "no responses to check; `pairwright status` shows what happened to the samples"
    claims, rejected = summary["claims"], summary["rejected_claims"]
    lines = [
        f"{claims:,} claims of {summary['responses']:,} responses, {rejected:,} of them rejected"
    ]
    mean = summary["mean"]
    if mean["rejected"] is not None:
        rate = "none" if mean["rate"] is None else f"{100 * mean['rate']:.1f} %"
        # Scores are minus what is counted; a mean of 0 is not shown as -0.00.
        count, soft = (abs(mean[key]) for key in ("rejected", "soft"))
        lines.append(
            f"per response: rejected {count:.2f}, soft {soft:.2f}, supported {rate}; scores of "
            f"{summary['scored']:,} responses in scores/{name}"
        )
    notes = {
        "without_claims": "responses contain no claim",
        "unreadable": "responses have no score: the list of claims could not be read",
        "unverified": "responses have no score: a claim has no verdict",
        "low_label_mass": "verdicts have a low probability mass on yes and no",
    }
    lines += [f"{summary[key]:,} {text}" for key, text in notes.items() if summary[key]]
    return "\n  ".join(lines)
