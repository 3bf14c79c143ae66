"""One training run from rows to a saved adapter, shared by `train sft` and `train dpo`."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions, as_config
from pairwright.commands.progress import Progress, say
from pairwright.dataset.manifest import Manifest
from pairwright.dataset.store import Dataset
from pairwright.dataset.writer import RunWriter
from pairwright.errors import DataError
from pairwright.images import ImageError
from pairwright.models import PolicyRef, model_fingerprint, portable_name
from train.batch.collate import Collator
from train.batch.encode import Encoder, RowError, Tokens
from train.batch.images import ImageBank
from train.batch.rows import Row
from train.model.loading import (
    LARGE_MODEL,
    Trainable,
    check_adapter,
    context_length,
    load_processor,
    load_trainable,
    prepare_environment,
)
from train.model.parts import vision_is_frozen
from train.options import TrainingOptions
from train.session.checkpoints import FOLDER, newest_complete
from train.session.hooks import CHOSEN_LOGRATIO, RunCallback, TrainerHooks, fallen, mixed_in

_LOGS = 200
_PROBES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one command trains.

    Attributes:
        step: `sft` or `dpo`.
        model: The model as it was asked for.
        policy: What that means.
        rows: What it is trained on.
        inputs: Runs that the rows come from.
        last_only: Whether only the last answer of a conversation is learnt.
        preference: Whether rows are pairs.
        lr: Peak learning rate.
        dropout: LoRA dropout, if not given.
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
    """Train, save, and say what came out; resumes where a killed run had its last checkpoint."""
    name = run.run or plan.step
    if run.dry_run:
        return Outcome(
            message=f"would train {plan.model} on {len(plan.rows):,} rows into runs/{name}",
            summary={"dry_run": True, "n_rows": len(plan.rows), **plan.notes},
        )
    policy = plan.policy
    check_adapter(policy, options)
    fingerprints = {"model": model_fingerprint(policy.model)}
    if policy.adapter is not None:
        fingerprints["adapter"] = model_fingerprint(policy.adapter)
    writer = dataset.write(
        "runs",
        name,
        step=plan.step,
        config={**as_config(options), "lr": plan.lr, "limit": run.limit},
        inputs=plan.inputs,
        fingerprints=fingerprints,
        replace=run.replace,
    )
    with writer:
        if writer.is_complete:
            return _outcome(f"runs/{name} is finished: nothing to do", name, writer)
        started = time.monotonic()
        prepare_environment("trl", "peft", "datasets", "accelerate")
        encoder, rows = prepare_rows(dataset, plan, options, writer)
        folder = dataset.path / "runs" / name
        _run_trainer(plan, options, encoder, rows, folder, writer)
        writer.summary["seconds"] = round(time.monotonic() - started, 1)
    summary = writer.summary
    text = (
        f"runs/{name}: trained {summary['trainable_parameters']:,} of "
        f"{summary['total_parameters']:,} parameters on {summary['n_rows']:,} rows in "
        f"{summary['steps']:,} steps, {summary['seconds']:.0f} s; final loss {summary['loss']:.4f}"
    )
    if summary.get("chosen_fell_nats"):
        text += f"\nwarning: the chosen answers lost {summary['chosen_fell_nats']:.2f} nats against the reference"
    return _outcome(text, name, writer)


def _outcome(message: str, name: str, writer: RunWriter) -> Outcome:
    return Outcome(
        message=message,
        table=f"runs/{name}",
        rows=int(writer.summary.get("n_rows", 0)),
        rejects=writer.n_rejects,
        summary=dict(writer.summary),
    )


# -- rows -------------------------------------------------------------------------------------


def prepare_rows(
    dataset: Dataset, plan: Plan, options: TrainingOptions, writer: RunWriter
) -> tuple[Encoder, list[tuple[Tokens, ...]]]:
    """Encode every row; what cannot be used or is too long becomes a reject, nothing is cut.

    Raises:
        DataError: If no row is left.
    """
    processor = load_processor(plan.policy.model)
    bank = ImageBank(dataset, processor)
    encoder = Encoder(processor, bank)
    bad = bank.check({image_id for row in plan.rows for image_id in row.image_ids})
    limit = min(options.max_length or 1 << 62, context_length(plan.policy.model))
    _verify(encoder, plan, bad)
    good: list[tuple[Tokens, ...]] = []
    reasons: Counter[str] = Counter()
    with Progress("measuring lengths", len(plan.rows)) as progress:
        for row in plan.rows:
            progress.advance()
            try:
                good.append(_encode(encoder, row, plan, bad, limit))
            except (RowError, ImageError) as error:
                stage = "image" if isinstance(error, ImageError) else "encode"
                writer.reject(row.row_id, stage, error.reason, error.detail)
                reasons[error.reason] += 1
    if not good:
        told = ", ".join(f"{n:,} {reason}" for reason, n in reasons.most_common())
        msg = f"none of {len(plan.rows):,} rows can be trained on ({told or 'there are none'}); see rejects/{plan.step}"
        raise DataError(msg)
    if reasons["too_long"]:
        say(f"{reasons['too_long']:,} rows are longer than {limit:,} tokens and left out")
    writer.summary.update(
        n_rows=len(good),
        n_too_long=reasons["too_long"],
        n_rejects=writer.n_rejects,
        longest=max(tokens.length for row in good for tokens in row),
    )
    return encoder, good


def _verify(encoder: Encoder, plan: Plan, bad: dict[str, ImageError]) -> None:
    probes = []
    for row in plan.rows[:_PROBES]:
        try:
            segments = encoder.answers(row.conversations[0], last_only=plan.last_only)
            if not any(image_id in bad for image_id in row.image_ids):
                encoder.encode(segments, row.image_ids)
                probes.append((segments, row.image_ids))
        except (RowError, ImageError):
            continue
    encoder.verify(probes)


def _encode(
    encoder: Encoder, row: Row, plan: Plan, bad: dict[str, ImageError], limit: int
) -> tuple[Tokens, ...]:
    for image_id in row.image_ids:
        if image_id in bad:
            raise bad[image_id]
    if len({str(c[-1]["content"]) for c in row.conversations}) < len(row.conversations):
        raise RowError("identical_answers", "chosen and rejected are the same text")
    made = tuple(
        encoder.encode(encoder.answers(c, last_only=plan.last_only), row.image_ids)
        for c in row.conversations
    )
    longest = max(tokens.length for tokens in made)
    if longest > limit:
        raise RowError("too_long", f"{longest} tokens, the limit is {limit}")
    return made


# -- training ---------------------------------------------------------------------------------


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
    loaded = load_trainable(plan.policy, options, dropout=plan.dropout)
    collator = Collator(encoder, rows, preference=plan.preference)
    config = _arguments(plan, options, loaded, folder, len(rows), writer.summary["longest"])
    trainer = plan.make_trainer(config, loaded, _inputs(rows, collator, encoder))
    _share_vision(trainer, encoder, collator, rows)
    trainable = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    resume = newest_complete(folder / FOLDER)
    if resume is not None:
        say(f"resuming from {resume.name}")
    with Progress(plan.step, _steps(options, len(rows)), unit="steps") as progress:
        callback = mixed_in(RunCallback, TrainerCallback)(
            writer,
            progress,
            save_minutes=options.save_minutes,
            save_steps=options.save_steps,
            beta=plan.beta,
        )
        trainer.add_callback(callback)
        trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    writer.flush()
    losses, ratios = (_logged(writer, name) for name in ("loss", CHOSEN_LOGRATIO))
    writer.summary.update(
        policy=portable_name(plan.model),
        base_model=portable_name(plan.policy.model),
        total_parameters=loaded.total,
        trainable_parameters=trainable,
        steps=int(trainer.state.global_step),
        loss=losses[-1] if losses else math.nan,
        mean_loss=sum(losses) / len(losses) if losses else math.nan,
        final={k: round(v, 6) for k, v in callback.last.items()},
        **plan.notes,
    )
    if (fell := fallen(ratios)) is not None:
        writer.summary["chosen_fell_nats"] = round(fell, 3)
    if math.isnan(writer.summary["loss"]):
        msg = f"runs/{folder.name}: the loss is not a number; lower --lr"
        raise DataError(msg)
    _save(trainer, encoder, folder, writer)


def _logged(writer: RunWriter, name: str) -> list[float]:
    """All values of a metric, those before a resume included."""
    frame = writer.written()
    if frame is None:
        return []
    picked = frame.filter(frame["name"] == name).sort("step")["value"].to_list()
    return [float(value) for value in picked]


def _inputs(
    rows: Sequence[tuple[Tokens, ...]], collator: Collator, encoder: Encoder
) -> dict[str, Any]:
    from datasets import Dataset as Rows

    # TRL needs to see an `images` column to leave the preparation to the collator.
    images = [list(row[0].image_ids) for row in rows]
    return {
        "train_dataset": Rows.from_dict({"row": list(range(len(rows))), "images": images}),
        "data_collator": collator,
        "processing_class": encoder.processor,
    }


def _steps(options: TrainingOptions, n_rows: int) -> int:
    batches = math.ceil(n_rows / options.batch_size)
    per_epoch = math.ceil(batches / options.grad_accum)
    return options.max_steps or math.ceil(per_epoch * options.epochs)


def _arguments(
    plan: Plan,
    options: TrainingOptions,
    loaded: Trainable,
    folder: Path,
    n_rows: int,
    longest: int,
) -> dict[str, Any]:
    import torch

    accelerated = torch.accelerator.is_available()
    checkpointing = options.gradient_checkpointing
    return {
        "output_dir": str(folder / FOLDER),
        "per_device_train_batch_size": options.batch_size,
        "gradient_accumulation_steps": options.grad_accum,
        "learning_rate": plan.lr,
        "num_train_epochs": options.epochs,
        "max_steps": options.max_steps or -1,
        "warmup_steps": options.warmup_ratio,
        "lr_scheduler_type": options.schedule,
        "seed": options.seed,
        "bf16": loaded.mixed,
        "use_cpu": not accelerated,
        "optim": "paged_adamw_8bit" if options.peft == "qlora" and accelerated else "adamw_torch",
        "gradient_checkpointing": checkpointing == "on"
        or (checkpointing == "auto" and loaded.total > LARGE_MODEL),
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": max(1, _steps(options, n_rows) // _LOGS),
        "logging_first_step": True,
        "save_strategy": "no",  # the callback asks for checkpoints
        "save_total_limit": 2,
        "remove_unused_columns": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": accelerated,
        "max_length": longest,
    }


def make_trainer(base: type[Any], config: Any, **arguments: Any) -> Any:
    """One of TRL's trainers with our hooks in it and its own printing taken out."""
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    trainer = mixed_in(TrainerHooks, base)(args=config, **arguments)
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


def _share_vision(
    trainer: Any, encoder: Encoder, collator: Collator, rows: Sequence[tuple[Tokens, ...]]
) -> None:
    """Encode images once each, if nothing before the language model is trained."""
    from peft import PeftModel

    if not vision_is_frozen(trainer.model):
        return
    from train.batch.vision import FrozenVision

    model = trainer.model
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    first = next((row[0].image_ids for row in rows if row[0].image_ids), ())
    trainer.vision = FrozenVision.make(encoder, inner, first)
    collator.names_only = trainer.vision is not None


def _save(trainer: Any, encoder: Encoder, folder: Path, writer: RunWriter) -> None:
    """Write the adapter or model under another name, then rename; drop the checkpoints."""
    from peft import PeftModel

    model = trainer.accelerator.unwrap_model(trainer.model)
    kind = "adapter" if isinstance(model, PeftModel) else "model"
    temporary = folder / f".tmp-{kind}-{os.getpid()}"
    if isinstance(model, PeftModel):
        model.save_pretrained(temporary, selected_adapters=["default"])
        # PEFT's card says nothing but this machine's path to the base model.
        (temporary / "README.md").unlink(missing_ok=True)
        if not vision_is_frozen(model):
            say(
                "note: this adapter changes more than the language model; vLLM ignores that part of "
                "it on CPUs and without --enable-tower-connector-lora: use `train merge`"
            )
    else:
        model.save_pretrained(temporary)
        encoder.processor.save_pretrained(temporary)
    target = folder / kind
    shutil.rmtree(target, ignore_errors=True)
    temporary.replace(target)
    writer.summary[kind] = kind
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
