"""Saving what a training made."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from pairwright.commands.progress import say
from train.model.parts import vision_is_frozen
from train.session.checkpoints import FOLDER


def save_trained(trainer: Any, processor: Any, folder: Path) -> str:
    """Write the adapter or model under a temporary name, rename it, then drop the checkpoints.

    Returns:
        `adapter` or `model`, also the name of the folder that it lies in.
    """
    from peft import PeftModel

    model = trainer.accelerator.unwrap_model(trainer.model)
    kind = "adapter" if isinstance(model, PeftModel) else "model"
    temporary = folder / f".tmp-{kind}-{os.getpid()}"
    if isinstance(model, PeftModel):
        model.save_pretrained(temporary, selected_adapters=["default"])
        # PEFT's card names nothing but this machine's path to the base model.
        (temporary / "README.md").unlink(missing_ok=True)
        if not vision_is_frozen(model):
            say(
                "note: this adapter changes more than the language model; vLLM ignores that part of "
                "it on CPUs and without --enable-tower-connector-lora: use `train merge`"
            )
    else:
        model.save_pretrained(temporary)
        processor.save_pretrained(temporary)
    target = folder / kind
    shutil.rmtree(target, ignore_errors=True)
    temporary.replace(target)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    return kind
