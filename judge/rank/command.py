"""`judge rank`: all responses to a question in one prompt, ranked by one token."""

from __future__ import annotations

from typing import Any

from judge.ask.session import Session, open_run, outcome_of
from judge.ask.summaries import with_current_keys
from judge.pairwise.groups import pick_responses
from judge.pairwise.prompt import LETTERS, load_prompt
from judge.rank.asking import ask_lists
from judge.rank.options import RankOptions
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset
from pairwright.vlm.backend import choose_model, recorded

_RANGE = [0.0, 1.0]


def rank(dataset: Dataset, options: RankOptions, run: RunOptions) -> Outcome:
    """Rank responses to one question, one row of `scores` each: its probability to be the best.

    Raises:
        UsageError: If there is nothing to rank, or a letter is not one token of the judge.
        ServerError: If the judge cannot be started or stops; the rankings so far are kept.
    """
    prompt = load_prompt("rank", options.rubric, options.criteria)
    choice = choose_model(options, dataset)
    responses = pick_responses(dataset, options.responses)
    key = RunKey("rank", f"scores/{run.run or 'rank'}")
    if run.dry_run:
        message = (
            f"dry run, nothing written: {key.ref} would contain a ranking of {responses.ref} by "
            f"{choice.label}"
        )
        return Outcome(message=message, summary={"responses": responses.rows})
    config = recorded(options, choice) | {
        "responses": responses.run,
        "rubric": prompt.name,
        "rubric_hash": prompt.hash,
        "criteria": [criterion.name for criterion in prompt.criteria],
        "label_range": _RANGE,
    }
    with open_run(
        dataset,
        key,
        options=type(options),
        config=config,
        inputs=[responses],
        choice=choice,
        run=run,
    ) as writer:
        done = writer.is_complete
        if not done:
            ask_lists(
                Session(dataset, writer, options, choice, run.limit), prompt, options, responses
            )
            writer.summary["label_range"] = _RANGE
    summary = with_current_keys(writer.summary)
    return outcome_of(writer, _describe(writer.n_rows, summary), done=done, summary=summary)


def _describe(rows: int, summary: dict[str, Any]) -> str:
    text = f"{rows:,} scores"
    positions = summary.get("positions", [])
    if positions:
        rates = "  ".join(
            f"{letter}: {100 * p:.0f} %" for letter, p in zip(LETTERS, positions, strict=False)
        )
        text += f"\n  preference by position in the prompt: {rates}"
    return text
