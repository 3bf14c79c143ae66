"""No adapter: all weights are trained, in fp32 under autocast."""

from __future__ import annotations

from typing import Final

from pairwright.commands.choices import NoOptions
from train.tuners.base import Start, Trainable, Tuner


def load(start: Start, _: NoOptions) -> Trainable:
    """Load the model; an adapter on it is merged in first.

    Raises:
        NotFoundError: If the model cannot be loaded.
    """
    from train.model.loading import choose_precision, load_base, with_adapter

    model = load_base(start.policy.model, "fp32")
    if start.policy.adapter is not None:
        model = with_adapter(model, start.policy.adapter).merge_and_unload(safe_merge=True)
        model.requires_grad_(True)  # PEFT had frozen it
    mixed = choose_precision(start.precision) == "bf16"
    return Trainable(model=model, mixed=mixed, reference=model)


TUNER: Final = Tuner(name="none", summary="all weights", load=load, all_weights=True)
