"""`train eval`: how often a model is right, with intervals that resample images."""

from __future__ import annotations

from functools import partial
from typing import Any

from pairwright.commands.choices import chosen_before, chosen_config, own_options
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.dataset.writer import RunWriter
from pairwright.errors import DataError
from pairwright.models import model_fingerprint, resolve_policy
from pairwright.stats import Interval, bootstrap_mean
from train.evaluate.evaluation import Evaluation
from train.evaluate.options import EvalOptions


def run_eval(dataset: Dataset, options: EvalOptions, run: RunOptions) -> Outcome:
    """Evaluate a model and write one row per item.

    Raises:
        UsageError: If there is nothing to evaluate on, or the model cannot be found.
    """
    policy = resolve_policy(dataset, options.model, options.adapter)
    own = own_options(options, options.metric)
    found = options.metric.read(dataset, own, run.limit)
    name = run.run or "eval"
    if run.dry_run:
        return Outcome(
            message=f"would evaluate {options.model} on {len(found.items):,} items into predictions/{name}",
            summary={"dry_run": True, "n": len(found.items)},
        )
    fingerprints = {"model": model_fingerprint(policy.model)}
    if policy.adapter is not None:
        fingerprints["adapter"] = model_fingerprint(policy.adapter)
    writer = dataset.write(
        "predictions",
        name,
        step="eval",
        config={**chosen_config(options), "limit": run.limit},
        inputs=found.inputs,
        fingerprints=fingerprints,
        replace=run.replace,
        current_config=partial(chosen_before, options),
    )
    message = ""
    with writer:
        if writer.is_complete:
            message = f"predictions/{name} is finished: nothing to do\n"
        else:
            done = writer.keys("item_id") | writer.rejected_ids()
            rest = [item for item in found.items if item.row.row_id not in done]
            if rest:
                Evaluation(dataset, policy, options, writer).run(rest)
            writer.flush()
            writer.summary.update(_summary(writer, options, found.without_answer))
    # From the rows where the run was finished before: an older version had other names.
    summary = {**writer.summary, **_summary(writer, options, found.without_answer)}
    return Outcome(
        message=message + _describe(name, options, summary),
        table=f"predictions/{name}",
        rows=writer.n_rows,
        rejects=writer.n_rejects,
        summary=summary,
    )


def _summary(writer: RunWriter, options: EvalOptions, without_answer: int) -> dict[str, Any]:
    frame = writer.written()
    if frame is None or frame.is_empty():
        msg = f"none of the items could be evaluated; see rejects/eval/{writer.manifest.run}"
        raise DataError(msg)
    found = bootstrap_mean(
        frame["correct"].to_list(), frame["image_group"].to_list(), seed=options.seed
    )
    return {
        "task": options.task,
        "model": options.model,
        "n": frame.height,
        "n_correct": int(frame["correct"].sum()),
        "n_groups": frame["image_group"].n_unique(),
        "n_without_answer": without_answer,
        "accuracy": found.mean,
        "accuracy_low": found.low,
        "accuracy_high": found.high,
        **options.metric.summarize(frame),
    }


def _describe(name: str, options: EvalOptions, summary: dict[str, Any]) -> str:
    found = Interval(summary["accuracy"], summary["accuracy_low"], summary["accuracy_high"])
    text = (
        f"predictions/{name}: {found} of {summary['n']:,} {options.metric.right}, "
        f"{summary['n_groups']:,} images"
    )
    return "\n".join([text, *options.metric.lines(summary)])
