"""The protocol of a tuner: what it declares, what it is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pairwright.commands.choices import NoOptions

if TYPE_CHECKING:
    from pairwright.models import PolicyRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a tuner starts from.

    Attributes:
        policy: The base model, and the adapter on it whose training is continued.
        precision: `auto`, `bf16` or `fp32`, as the user chose it.
        dropout: Dropout of a new adapter, where the options give none.
        skeleton: The base model without weights.
    """

    policy: PolicyRef
    precision: Literal["auto", "bf16", "fp32"]
    dropout: float
    skeleton: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainable:
    """A model ready for TRL.

    Attributes:
        model: The model; a PeftModel if an adapter is continued.
        mixed: Whether to compute in bf16 under autocast.
        peft_config: Configuration of a new adapter, if TRL shall add one.
        reference: The model that DPO compares with, where that is not the model without its adapter.
    """

    model: Any
    mixed: bool
    peft_config: Any = None
    reference: Any = None


def no_check(_: PolicyRef, __: Any) -> None:
    """For tuners that can continue from any policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuner:
    """A way to train a model.

    Attributes:
        name: As `--peft` takes it; its file has the same name, with `_` for `-`.
        summary: What it trains, in a few words, for `--help`.
        load: Loads the base model and prepares it.
        options: Its own options.
        check: Refuses options that do not fit the policy, before anything is loaded.
        all_weights: Whether all weights are trained: learning rates are lower then.
        optimizer: TRL's name of the optimizer on an accelerator.
    """

    name: str
    summary: str
    load: Callable[[Start, Any], Trainable]
    options: type[Any] = NoOptions
    check: Callable[[PolicyRef, Any], None] = no_check
    all_weights: bool = False
    optimizer: str = "adamw_torch"
