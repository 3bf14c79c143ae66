"""Options of the train commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pairwright.commands.options import option
from pairwright.errors import UsageError

LOSSES = (
    "sigmoid",
    "hinge",
    "ipo",
    "exo_pair",
    "nca_pair",
    "robust",
    "bco_pair",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "apo_zero",
    "apo_down",
    "discopop",
    "sigmoid_norm",
    "sft",
)


def split_commas(values: tuple[str, ...]) -> tuple[str, ...]:
    """Let `a,b` stand for `a b`."""
    return tuple(part for value in values for part in value.split(",") if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """What `train sft` and `train dpo` share."""

    adapter: Path | None = option(None, help="go on training this PEFT adapter of the model")
    peft: Literal["lora", "qlora", "none"] = option(
        "lora", help="train an adapter, an adapter on a 4-bit base, or all weights"
    )
    rank: int | None = option(
        None, help="LoRA rank (default: 16; an adapter that is continued keeps its own)"
    )
    alpha: float | None = option(None, help="LoRA alpha (default: twice the rank)")
    dropout: float | None = option(None, help="LoRA dropout (default: 0.05 for sft, 0 for dpo)")
    target: tuple[str, ...] = option(
        ("language",),
        help="what LoRA adapts: language, connector, vision, all-linear, or ends of module names",
    )
    lr: float | None = option(
        None,
        help="peak learning rate (default: sft 1e-4, dpo 1e-5; all weights: sft 1e-5, dpo 5e-7)",
    )
    epochs: float = option(1.0, help="passes over the rows")
    max_steps: int | None = option(None, help="stop after this many steps, whatever --epochs says")
    batch_size: int = option(8, help="rows a forward pass")
    grad_accum: int = option(1, help="forward passes a step")
    max_length: int | None = option(
        None, help="reject longer rows, image tokens counted (default: what the model can take)"
    )
    warmup_ratio: float = option(0.03, help="share of the steps over which the rate rises")
    schedule: Literal["cosine", "linear", "constant"] = option(
        "cosine", help="how the rate falls after that"
    )
    seed: int = option(0, help="seed of initialisation, order and dropout")
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
        object.__setattr__(self, "target", split_commas(self.target))
        positive: dict[str, Any] = {
            "rank": self.rank,
            "alpha": self.alpha,
            "lr": self.lr,
            "epochs": self.epochs,
            "max_steps": self.max_steps,
            "batch_size": self.batch_size,
            "grad_accum": self.grad_accum,
            "max_length": self.max_length,
            "save_minutes": self.save_minutes,
            "save_steps": self.save_steps,
        }
        for name, value in positive.items():
            if value is not None and not value > 0:
                msg = f"--{name.replace('_', '-')} must be above 0, got {value}"
                raise UsageError(msg)
        for name, share in (("dropout", self.dropout), ("warmup_ratio", self.warmup_ratio)):
            if share is not None and not 0 <= share < 1:
                msg = f"--{name.replace('_', '-')} is a share from 0 to below 1, got {share}"
                raise UsageError(msg)
        if self.peft == "none" and (self.rank or self.alpha or self.dropout):
            msg = "--rank, --alpha and --dropout belong to adapters; with --peft none there is none"
            raise UsageError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class SftOptions(TrainingOptions):
    """Options of `train sft`."""

    model: str = option(help="model to train: hub id, folder, short name, or runs/NAME")
    pairs: str | None = option(None, help="train on the answers of this pairs run, not on samples")
    on: Literal["chosen", "rejected"] = option("chosen", help="with --pairs: which answers")


@dataclass(frozen=True, slots=True, kw_only=True)
class DpoOptions(TrainingOptions):
    """Options of `train dpo`."""

    model: str | None = option(
        None, help="model to train: hub id, folder, short name, or runs/NAME (default: the pairs')"
    )
    pairs: str | None = option(None, help="pairs run (default: the one in force)")
    beta: float = option(0.1, help="weight of staying close to the reference")
    loss: tuple[str, ...] = option(
        ("sigmoid", "sft"), help="losses to add up; sft keeps the chosen answers likely"
    )
    loss_weights: tuple[str, ...] = option((), help="one weight a loss (default: all 1)")
    label_smoothing: float = option(
        0.0, help="share of pairs taken to be the wrong way round (sigmoid, robust, exo_pair)"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        TrainingOptions.__post_init__(self)
        object.__setattr__(self, "loss", split_commas(self.loss))
        object.__setattr__(self, "loss_weights", split_commas(self.loss_weights))
        for name in self.loss:
            if name not in LOSSES:
                msg = f"--loss {name}: unknown; there are {', '.join(LOSSES)}"
                raise UsageError(msg)
        if self.loss_weights and len(self.weights) != len(self.loss):
            msg = f"--loss-weights: {len(self.weights)} weights for {len(self.loss)} losses"
            raise UsageError(msg)
        if not self.beta > 0:
            msg = f"--beta must be above 0, got {self.beta}"
            raise UsageError(msg)
        if not 0 <= self.label_smoothing < 0.5:
            msg = f"--label-smoothing must be from 0 to below 0.5, got {self.label_smoothing}"
            raise UsageError(msg)
        if "exo_pair" in self.loss and not self.label_smoothing:
            msg = "--loss exo_pair needs --label-smoothing above 0, such as 0.001"
            raise UsageError(msg)

    @property
    def weights(self) -> list[float]:
        """One weight a loss."""
        try:
            return [float(w) for w in self.loss_weights] or [1.0] * len(self.loss)
        except ValueError as error:
            msg = f"--loss-weights must be numbers, got {' '.join(self.loss_weights)}"
            raise UsageError(msg) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalOptions:
    """Options of `train eval`."""

    model: str = option(help="model to evaluate: hub id, folder, short name, or runs/NAME")
    adapter: Path | None = option(None, help="PEFT adapter on the model")
    task: Literal["exact-match", "preference"] = option(
        "exact-match", help="greedy answers against the right ones, or pairs put in order"
    )
    split: str | None = option(None, help="samples of this split only")
    reference_field: Literal["answer", "reference"] = option(
        "answer", help="what is right: the sample's last answer or its reference"
    )
    pairs: str | None = option(None, help="preference: pairs run (default: the one in force)")
    per_token: bool = option(False, help="preference: compare means over tokens, not sums")
    generate_max_tokens: int = option(32, help="longest answer")
    batch_size: int | None = option(None, help="rows a forward pass (default: by model size)")
    precision: Literal["auto", "bf16", "fp32"] = option(
        "auto", help="auto: bf16 where the accelerator has it, else fp32"
    )
    seed: int = option(0, help="seed of the interval's resampling")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name in ("generate_max_tokens", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                msg = f"--{name.replace('_', '-')} must be at least 1, got {value}"
                raise UsageError(msg)
        if self.task == "preference" and (self.split or self.reference_field != "answer"):
            msg = "--split and --reference-field belong to --task exact-match"
            raise UsageError(msg)
        if self.task == "exact-match" and (self.pairs or self.per_token):
            msg = "--pairs and --per-token belong to --task preference"
            raise UsageError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeOptions:
    """Options of `train merge`."""

    out: Path = option(positional=True, help="folder for the merged model")
    model: str | None = option(None, help="base model, instead of a run")
    adapter: Path | None = option(None, help="adapter on --model, instead of a run")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.model is None and self.adapter is not None:
            msg = "--adapter needs --model, the base it belongs to"
            raise UsageError(msg)
