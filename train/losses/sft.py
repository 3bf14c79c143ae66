"""SFT on the chosen responses: keeps them likely while another loss widens the margin."""

from __future__ import annotations

from typing import Final

from train.losses.base import Loss

LOSSES: Final = (
    Loss(
        name="sft",
        summary="keeps the chosen responses likely",
        config=lambda _: {"loss_type": "sft"},
    ),
)
