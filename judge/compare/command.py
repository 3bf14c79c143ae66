"""`judge compare`: which of two responses is better, asked in both orders."""

from __future__ import annotations

from typing import Any

from judge.ask.session import Session, open_run, outcome_of
from judge.ask.summaries import with_current_keys
from judge.compare.asking import ask_pairs
from judge.compare.options import CompareOptions
from judge.compare.plan import count_pairs
from judge.compare.report import describe, summarise
from judge.pairwise.groups import SAMPLE, models_of, pick_responses
from judge.pairwise.prompt import ComparePrompt, load_prompt
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.manifest import Manifest, RunKey
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.vlm.backend import ModelChoice, choose_model, recorded


def compare(dataset: Dataset, options: CompareOptions, run: RunOptions) -> Outcome:
    """Compare responses to one question two at a time, one row of `comparisons` per pair.

    Raises:
        UsageError: If there is nothing to compare, or a letter is not one token of the judge.
        ServerError: If the judge cannot be started or stops; the comparisons so far are kept.
    """
    prompt = load_prompt("compare", options.rubric, options.criteria)
    choice = choose_model(options, dataset)
    responses = pick_responses(dataset, options.responses)
    _check_baseline(dataset, responses, options.baseline)
    name = run.run or "compare"
    key = RunKey("compare", f"comparisons/{name}")
    if run.dry_run:
        pairs = count_pairs(dataset, responses, options, for_run=key, limit=run.limit)
        pairs *= len(prompt.criteria)
        message = (
            f"dry run, nothing written: {key.ref} would contain up to {pairs:,} comparisons by "
            f"{choice.label} with {options.scheme} pairing"
        )
        return Outcome(
            message=message, summary={"comparisons": pairs, "requests": pairs * options.orders}
        )
    with open_run(
        dataset, key, options=type(options), config=_config(options, choice, prompt, responses), inputs=[responses],
        choice=choice, run=run,
    ) as writer:  # fmt: skip
        done = writer.is_complete
        if not done:
            session = Session(dataset, writer, options, choice, run.limit)
            ask_pairs(session, prompt, options, responses)
            writer.flush()
            writer.summary.update(summarise(dataset, responses, writer.scan(), seed=options.seed))
    summary = with_current_keys(writer.summary)
    text = describe(summary)
    if options.scores:
        from judge.compare.scores import write_scores

        text += "\n" + write_scores(dataset, name, prompt)
    return outcome_of(writer, text, done=done, summary=summary)


def _check_baseline(dataset: Dataset, responses: Manifest, baseline: str | None) -> None:
    if baseline in (None, SAMPLE):
        return
    known = models_of(dataset, responses)
    if baseline not in known:
        msg = f"--baseline {baseline}: {responses.ref} has responses of {', '.join(known[:20])}; or give --baseline {SAMPLE}"
        raise UsageError(msg)


def _config(
    options: CompareOptions, choice: ModelChoice, prompt: ComparePrompt, responses: Manifest
) -> dict[str, Any]:
    config = recorded(options, choice) | {
        "pairing": options.scheme,
        "responses": responses.run,
        # The hash, not the file's path: a prompt may move.
        "rubric": prompt.name,
        "rubric_hash": prompt.hash,
        "criteria": [criterion.name for criterion in prompt.criteria],
    }
    del config["scores"]  # they follow from a run, whether it was finished before or not
    return config
