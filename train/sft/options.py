"""Options of `train sft`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pairwright.commands.choices import with_choices
from pairwright.commands.options import option
from train.session.options import TUNERS, TrainingOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class SftOptions(TrainingOptions):
    """Options of `train sft`."""

    model: str = option(help="model to train: hub id, folder, short name, or runs/NAME")
    pairs: str | None = option(
        None, help="train on the responses of this pairs run, not on samples"
    )
    on: Literal["chosen", "rejected"] = option("chosen", help="with --pairs: which responses")


SFT_OPTIONS = with_choices(SftOptions, {"peft": TUNERS})
