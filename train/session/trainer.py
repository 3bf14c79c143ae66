"""TRL's trainers: what they are given, and what of ours is mixed in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.batch.collate import Collator
from train.model.parts import vision_is_frozen
from train.session.hooks import TrainerHooks, mixed_in
from train.session.options import TrainingOptions

if TYPE_CHECKING:
    from train.batch.encode import Encoder, Tokens

# Above so many parameters `--gradient-checkpointing auto` is on.
_LARGE_MODEL = 500_000_000
# About so many log entries per run.
_LOGS = 200


def n_steps(options: TrainingOptions, n_rows: int) -> int:
    """Steps of a training."""
    batches = math.ceil(n_rows / options.batch_size)
    per_epoch = math.ceil(batches / options.grad_accum)
    return options.max_steps or math.ceil(per_epoch * options.epochs)


def trainer_arguments(
    options: TrainingOptions,
    folder: Path,
    *,
    lr: float,
    mixed: bool,
    n_parameters: int,
    n_rows: int,
    max_length: int,
) -> dict[str, Any]:
    """Fields of TRL's configuration that both trainers share.

    Args:
        options: Options of the training.
        folder: Folder of the checkpoints.
        lr: Peak learning rate.
        mixed: Whether to compute in bf16 under autocast.
        n_parameters: Of the whole model.
        n_rows: Rows in an epoch.
        max_length: Tokens of the longest row: nothing is cut.
    """
    import torch

    accelerated = torch.accelerator.is_available()
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": options.batch_size,
        "gradient_accumulation_steps": options.grad_accum,
        "learning_rate": lr,
        "num_train_epochs": options.epochs,
        "max_steps": options.max_steps or -1,
        "warmup_steps": options.warmup_ratio,
        "lr_scheduler_type": options.schedule,
        "seed": options.seed,
        "bf16": mixed,
        "use_cpu": not accelerated,
        "optim": options.tuner.optimizer if accelerated else "adamw_torch",
        "gradient_checkpointing": _checkpointing(options, n_parameters),
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": max(1, n_steps(options, n_rows) // _LOGS),
        "logging_first_step": True,
        "save_strategy": "no",  # the callback asks for checkpoints
        "save_total_limit": 2,
        "remove_unused_columns": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": accelerated,
        "max_length": max_length,
    }


def _checkpointing(options: TrainingOptions, n_parameters: int) -> bool:
    wanted = options.gradient_checkpointing
    return wanted == "on" or (wanted == "auto" and n_parameters > _LARGE_MODEL)


def trainer_inputs(
    rows: Sequence[tuple[Tokens, ...]], collator: Collator, encoder: Encoder
) -> dict[str, Any]:
    """The trainer's arguments that carry the rows."""
    from datasets import Dataset as Rows

    # TRL needs an `images` column to leave the preparation to the collator.
    images = [list(row[0].image_ids) for row in rows]
    return {
        "train_dataset": Rows.from_dict({"row": list(range(len(rows))), "images": images}),
        "data_collator": collator,
        "processing_class": encoder.processor,
    }


def make_trainer(base: type[Any], config: Any, *hooks: type[Any], **arguments: Any) -> Any:
    """One of TRL's trainers with our hooks in it and its own printing taken out.

    Args:
        base: TRL's class.
        config: Its configuration.
        hooks: More classes to mix in.
        arguments: Its other arguments.
    """
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    trainer = mixed_in(base, TrainerHooks, *hooks)(args=config, **arguments)
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


def share_vision(
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
