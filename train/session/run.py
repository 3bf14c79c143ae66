"""One training run from rows to a saved adapter, shared by `train sft` and `train dpo`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairwright.commands.choices import chosen_before, chosen_config, own_options
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.commands.progress import Progress, say
from pairwright.dataset.manifest import Manifest
from pairwright.dataset.store import Dataset
from pairwright.dataset.writer import RunWriter
from pairwright.errors import DataError
from pairwright.models import PolicyRef, model_fingerprint, portable_name
from train.batch.collate import Collator
from train.batch.rows import Row
from train.model.loading import prepare_environment, skeleton
from train.session.checkpoints import FOLDER, newest_complete
from train.session.hooks import CHOSEN_LOGRATIO, RunCallback, fallen, mixed_in
from train.session.options import TrainingOptions
from train.session.rows import prepare_rows
from train.session.save import save_trained
from train.session.trainer import n_steps, share_vision, trainer_arguments, trainer_inputs
from train.tuners.base import Start, Trainable

if TYPE_CHECKING:
    from train.batch.encode import Encoder, Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one command trains.

    Attributes:
        step: `sft` or `dpo`.
        model: The model as the user named it.
        policy: What that means.
        rows: What it is trained on.
        inputs: Runs that the rows come from.
        last_only: Whether only the last answer of a conversation is learned.
        preference: Whether rows are pairs.
        lr: Peak learning rate.
        dropout: Dropout of a new adapter, if not given.
        beta: DPO's beta.
        notes: More for the summary.
        make_trainer: Builds TRL's trainer from its shared arguments and the loaded model.
    """

    step: str
    model: str
    policy: PolicyRef
    rows: list[Row]
    inputs: list[Manifest]
    last_only: bool
    preference: bool
    lr: float
    dropout: float
    beta: float | None
    notes: dict[str, Any]
    make_trainer: Callable[[dict[str, Any], Trainable, dict[str, Any]], Any]


def train(dataset: Dataset, plan: Plan, options: TrainingOptions, run: RunOptions) -> Outcome:
    """Train, save and report; a killed run resumes from its last checkpoint."""
    name = run.run or plan.step
    if run.dry_run:
        return Outcome(
            message=f"would train {plan.model} on {len(plan.rows):,} rows into runs/{name}",
            summary={"dry_run": True, "n_rows": len(plan.rows), **plan.notes},
        )
    policy, tuner = plan.policy, options.tuner
    tuner.check(policy, own_options(options, tuner))
    fingerprints = {"model": model_fingerprint(policy.model)}
    if policy.adapter is not None:
        fingerprints["adapter"] = model_fingerprint(policy.adapter)
    writer = dataset.write(
        "runs",
        name,
        step=plan.step,
        config={**chosen_config(options), "lr": plan.lr, "limit": run.limit},
        inputs=plan.inputs,
        fingerprints=fingerprints,
        replace=run.replace,
        current_config=partial(chosen_before, options),
    )
    with writer:
        if writer.is_complete:
            return _outcome(f"runs/{name} is finished: nothing to do", name, writer)
        started = time.monotonic()
        prepare_environment("trl", "peft", "datasets", "accelerate")
        encoder, rows = prepare_rows(
            dataset, plan.policy.model, plan.rows, writer,
            last_only=plan.last_only, max_length=options.max_length,
        )  # fmt: skip
        _run_trainer(plan, options, encoder, rows, dataset.path / "runs" / name, writer)
        writer.summary["seconds"] = round(time.monotonic() - started, 1)
    return _outcome(_describe(name, writer.summary), name, writer)


def _describe(name: str, summary: dict[str, Any]) -> str:
    text = (
        f"runs/{name}: trained {summary['trainable_parameters']:,} of "
        f"{summary['total_parameters']:,} parameters on {summary['n_rows']:,} rows in "
        f"{summary['steps']:,} steps, {summary['seconds']:.0f} s; final loss {summary['loss']:.4f}"
    )
    if summary.get("chosen_fell_nats"):
        text += f"\nwarning: the chosen responses lost {summary['chosen_fell_nats']:.2f} nats against the reference"
    return f"{text}\nnext: evaluate it with `train eval --model runs/{name}`"


def _outcome(message: str, name: str, writer: RunWriter) -> Outcome:
    return Outcome(
        message=message,
        table=f"runs/{name}",
        rows=int(writer.summary.get("n_rows", 0)),
        rejects=writer.n_rejects,
        summary=dict(writer.summary),
    )


def _run_trainer(
    plan: Plan,
    options: TrainingOptions,
    encoder: Encoder,
    rows: Sequence[tuple[Tokens, ...]],
    folder: Path,
    writer: RunWriter,
) -> None:
    from transformers import TrainerCallback, set_seed

    set_seed(options.seed)
    bare = skeleton(plan.policy.model)
    total = sum(p.numel() for p in bare.parameters())
    start = Start(
        policy=plan.policy, precision=options.precision, dropout=plan.dropout, skeleton=bare
    )
    loaded = options.tuner.load(start, own_options(options, options.tuner))
    collator = Collator(encoder, rows, preference=plan.preference)
    config = trainer_arguments(
        options, folder / FOLDER, lr=plan.lr, mixed=loaded.mixed, n_parameters=total,
        n_rows=len(rows), max_length=writer.summary["longest"],
    )  # fmt: skip
    trainer = plan.make_trainer(config, loaded, trainer_inputs(rows, collator, encoder))
    share_vision(trainer, encoder, collator, rows)
    trainable = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    resume = newest_complete(folder / FOLDER)
    if resume is not None:
        say(f"resuming from {resume.name}")
    with Progress(plan.step, n_steps(options, len(rows)), unit="steps") as progress:
        callback = mixed_in(TrainerCallback, RunCallback)(
            writer, progress, save_minutes=options.save_minutes, save_steps=options.save_steps,
            beta=plan.beta,
        )  # fmt: skip
        trainer.add_callback(callback)
        trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    writer.flush()
    writer.summary.update(
        policy=portable_name(plan.model),
        base_model=portable_name(plan.policy.model),
        total_parameters=total,
        trainable_parameters=trainable,
        steps=int(trainer.state.global_step),
        final={k: round(v, 6) for k, v in callback.last.items()},
        **_losses(writer, folder.name),
        **plan.notes,
    )
    kind = save_trained(trainer, encoder.processor, folder)
    writer.summary[kind] = kind


def _losses(writer: RunWriter, name: str) -> dict[str, float]:
    """The loss and what it hides, from all logged values, those before a resume included.

    Raises:
        DataError: If the loss is not a number.
    """
    losses, ratios = (_logged(writer, metric) for metric in ("loss", CHOSEN_LOGRATIO))
    if not losses or math.isnan(losses[-1]):
        msg = f"runs/{name}: the loss is not a number; lower --lr"
        raise DataError(msg)
    summary = {"loss": losses[-1], "mean_loss": sum(losses) / len(losses)}
    if (fell := fallen(ratios)) is not None:
        summary["chosen_fell_nats"] = round(fell, 3)
    return summary


def _logged(writer: RunWriter, metric: str) -> list[float]:
    frame = writer.written()
    if frame is None:
        return []
    picked = frame.filter(frame["name"] == metric).sort("step")["value"].to_list()
    return [float(value) for value in picked]
