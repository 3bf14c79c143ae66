"""Options of `train eval`: the shared ones, and those that the metrics bring."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pairwright.commands.choices import chosen, with_choices
from pairwright.commands.options import option
from pairwright.errors import UsageError
from train.evaluate.metrics import load_metrics
from train.evaluate.metrics.base import Metric

METRICS = load_metrics()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalOptions:
    """Options of `train eval`."""

    model: str = option(help="model to evaluate: hub id, folder, short name, or runs/NAME")
    adapter: Path | None = option(None, help="PEFT adapter on the model")
    task: str = option("exact-match", help="the metric")
    batch_size: int | None = option(None, help="rows per forward pass (default: by model size)")
    precision: Literal["auto", "bf16", "fp32"] = option(
        "auto", help="auto: bf16 where the accelerator has it, else fp32"
    )
    seed: int = option(0, help="seed of the interval's resampling")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.batch_size is not None and self.batch_size < 1:
            msg = f"--batch-size must be at least 1, got {self.batch_size}"
            raise UsageError(msg)

    @property
    def metric(self) -> Metric:
        """What `--task` chose.

        Raises:
            UsageError: If there is none of that name.
        """
        found: Metric = chosen(self, "task", METRICS)[0]
        return found


EVAL_OPTIONS = with_choices(EvalOptions, {"task": METRICS})
