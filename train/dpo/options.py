"""Options of `train dpo`."""

from __future__ import annotations

from dataclasses import dataclass

from pairwright.commands.choices import with_choices
from pairwright.commands.options import option, split_commas
from pairwright.errors import UsageError
from train.losses import load_losses
from train.session.options import TUNERS, TrainingOptions

LOSSES = load_losses()


@dataclass(frozen=True, slots=True, kw_only=True)
class DpoOptions(TrainingOptions):
    """Options of `train dpo`."""

    model: str | None = option(
        None, help="model to train: hub id, folder, short name, or runs/NAME (default: the pairs')"
    )
    pairs: str | None = option(None, help="pairs run (default: the active one)")
    beta: float = option(0.1, help="weight of staying close to the reference")
    loss: tuple[str, ...] = option(("sigmoid", "sft"), help="losses to add up")
    loss_weights: tuple[str, ...] = option((), help="one weight per loss (default: all 1)")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        TrainingOptions.__post_init__(self)
        object.__setattr__(self, "loss", split_commas(self.loss))
        object.__setattr__(self, "loss_weights", split_commas(self.loss_weights))
        if self.loss_weights and len(self.weights) != len(self.loss):
            msg = f"--loss-weights: {len(self.weights)} weights for {len(self.loss)} losses"
            raise UsageError(msg)
        if not self.beta > 0:
            msg = f"--beta must be above 0, got {self.beta}"
            raise UsageError(msg)

    @property
    def weights(self) -> list[float]:
        """One weight per loss."""
        try:
            return [float(w) for w in self.loss_weights] or [1.0] * len(self.loss)
        except ValueError as error:
            msg = f"--loss-weights must be numbers, got {' '.join(self.loss_weights)}"
            raise UsageError(msg) from error


DPO_OPTIONS = with_choices(DpoOptions, {"peft": TUNERS, "loss": LOSSES})
