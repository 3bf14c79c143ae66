"""The losses that TRL has, by their names there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pairwright.commands.options import option
from pairwright.errors import UsageError
from train.losses.base import Loss


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothingOptions:
    """Options of the losses that expect some pairs to be the wrong way round."""

    label_smoothing: float = option(
        0.0, help="fraction of the pairs that is expected to be the wrong way round"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if not 0 <= self.label_smoothing < 0.5:
            msg = f"--label-smoothing must be from 0 to below 0.5, got {self.label_smoothing}"
            raise UsageError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExoOptions(SmoothingOptions):
    """Options of `exo_pair`, which has no value at a smoothing of zero."""

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        SmoothingOptions.__post_init__(self)
        if not self.label_smoothing:
            msg = "--loss exo_pair needs --label-smoothing above 0, such as 0.001"
            raise UsageError(msg)


def _plain(name: str, summary: str) -> Loss:
    return Loss(name=name, summary=summary, config=lambda _: {"loss_type": name})


def _smoothed(name: str, summary: str, options: type[SmoothingOptions] = SmoothingOptions) -> Loss:
    def config(own: SmoothingOptions) -> dict[str, Any]:
        return {"loss_type": name, "label_smoothing": own.label_smoothing}

    return Loss(name=name, summary=summary, config=config, options=options)


LOSSES: Final = (
    _plain("sigmoid", "DPO"),
    _plain("hinge", "SLiC"),
    _plain("ipo", "IPO"),
    _smoothed("exo_pair", "EXO", ExoOptions),
    _plain("nca_pair", "NCA"),
    _smoothed("robust", "robust DPO"),
    _plain("bco_pair", "BCO"),
    _plain("sppo_hard", "SPPO"),
    _smoothed("aot", "AOT"),
    _smoothed("aot_unpaired", "AOT without pairs"),
    _plain("apo_zero", "APO, chosen better than the model"),
    _plain("apo_down", "APO, chosen worse than the model"),
    _plain("discopop", "DiscoPOP"),
    _plain("sigmoid_norm", "DPO per token"),
)
