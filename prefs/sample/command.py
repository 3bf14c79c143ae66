"""`prefs sample`: several responses of a policy to each prompt, the raw material of pairs."""

from __future__ import annotations

from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.manifest import RunKey
from pairwright.dataset.store import Dataset
from pairwright.vlm.backend import choose_model, recorded
from prefs.sample.options import SampleOptions
from prefs.sample.prompts import conflicts_run, read_prompts
from prefs.sample.report import describe, summarize
from prefs.sample.responses import sample_into
from prefs.sample.variety import gate

_PART_SECONDS = 5.0


def sample(dataset: Dataset, options: SampleOptions, run: RunOptions) -> Outcome:
    """Sample responses, rows of `responses`.

    Raises:
        GateError: If the server gives the same response whatever the sampling parameters are.
        ServerError: If the policy cannot be started or stops; the responses so far are kept.
    """
    choice = choose_model(options, dataset)
    key = RunKey("sample", f"responses/{run.run or 'sample'}")
    conflicts = conflicts_run(dataset) if options.only_conflicts else None
    prompts = read_prompts(dataset, conflicts, for_run=key, limit=run.limit)
    if run.dry_run:
        message = f"dry run, nothing written: {key.ref} would hold up to {options.n} responses of {choice.label} to each of {prompts.height:,} prompts"
        return Outcome(message=message, summary={"prompts": prompts.height})
    inputs = dataset.sample_inputs(for_run=key)
    with dataset.write(
        "responses",
        run.run or "sample",
        step=key.step,
        config=recorded(options, choice) | {"limit": run.limit},
        inputs=[*inputs, conflicts] if conflicts else inputs,
        fingerprints=choice.fingerprints(),
        replace=run.replace,
        retry_stages=("request",),
        part_seconds=_PART_SECONDS,
    ) as writer:
        done = writer.is_complete
        if not done:
            # Whoever reads an unfinished run also needs to know whose responses these are.
            adapter = str(choice.adapter) if choice.adapter else None
            writer.summary["policy"] = {"model": choice.source, "adapter": adapter}
            sample_into(writer, dataset, prompts, options, choice)
            writer.flush()
            writer.summary.update(summarize(writer.written(), options))
    # From the rows where the run was finished before: an older version had other names.
    summary = {**writer.summary, **summarize(writer.written(), options)} if done else writer.summary
    return Outcome(
        message=f"{'nothing to do: ' if done else ''}{key.ref}: {describe(summary, options)}",
        table=key.ref,
        rows=writer.n_rows,
        rejects=writer.n_rejects,
        summary=summary,
        gate_failed=gate(summary),
    )
