"""Options that `train sft` and `train dpo` share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pairwright.commands.choices import chosen
from pairwright.commands.options import flag_of, option
from pairwright.errors import UsageError
from train.tuners import load_tuners
from train.tuners.base import Tuner

TUNERS = load_tuners()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """What all trainings share; each tuner adds its own."""

    adapter: Path | None = option(None, help="continue training this PEFT adapter of the model")
    peft: str = option("lora", help="what is trained")
    lr: float | None = option(
        None,
        help="peak learning rate (default: sft 1e-4, dpo 1e-5; all weights: sft 1e-5, dpo 5e-7)",
    )
    epochs: float = option(1.0, help="passes over the rows")
    max_steps: int | None = option(None, help="stop after this many steps, whatever --epochs is")
    batch_size: int = option(8, help="rows per forward pass")
    grad_accum: int = option(1, help="forward passes per step")
    max_length: int | None = option(
        None,
        help="longer rows are invalid, image tokens counted (default: what the model can take)",
    )
    warmup_ratio: float = option(
        0.03, help="fraction of the steps over which the learning rate rises"
    )
    schedule: Literal["cosine", "linear", "constant"] = option(
        "cosine", help="how the learning rate falls after that"
    )
    seed: int = option(0, help="seed of initialization, order and dropout")
    precision: Literal["auto", "bf16", "fp32"] = option(
        "auto", help="auto: bf16 where the accelerator has it, else fp32"
    )
    gradient_checkpointing: Literal["auto", "on", "off"] = option(
        "auto", help="recompute activations to save memory; auto: above 500 M parameters"
    )
    save_minutes: float = option(10.0, help="minutes between checkpoints; a killed run resumes")
    save_steps: int | None = option(None, help="steps between checkpoints instead")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        positive: tuple[str, ...] = (
            "lr", "epochs", "max_steps", "batch_size", "grad_accum", "max_length", "save_minutes",
            "save_steps",
        )  # fmt: skip
        for name in positive:
            value: Any = getattr(self, name)
            if value is not None and not value > 0:
                msg = f"{flag_of(name)} must be above 0, got {value}"
                raise UsageError(msg)
        if not 0 <= self.warmup_ratio < 1:
            msg = f"--warmup-ratio is a fraction from 0 to below 1, got {self.warmup_ratio}"
            raise UsageError(msg)

    @property
    def tuner(self) -> Tuner:
        """What `--peft` chose.

        Raises:
            UsageError: If there is none of that name.
        """
        found: Tuner = chosen(self, "peft", TUNERS)[0]
        return found
