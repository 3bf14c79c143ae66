"""Losses as TRL takes them."""

import pytest

from pairwright.commands.options import build
from pairwright.errors import UsageError
from train.dpo.options import DPO_OPTIONS, LOSSES
from train.losses.base import Loss, combine

BY_NAME = {loss.name: loss for loss in LOSSES}


def combined(*names: str, **options: object) -> tuple[dict, tuple]:
    made = build(DPO_OPTIONS, {"loss": names, **options})
    return combine([BY_NAME[name] for name in names], made.weights, made)


def test_losses_and_weights_stay_together() -> None:
    config, hooks = combined("sigmoid", "sft", loss_weights=("1", "0.5"))
    assert config == {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5]}
    assert hooks == ()
    config, _ = combined("robust", "aot", label_smoothing=0.1)
    assert config["label_smoothing"] == 0.1
    assert config["loss_type"] == ["robust", "aot"]


@pytest.mark.slow
def test_every_loss_of_ours_is_one_of_trl() -> None:
    trl = pytest.importorskip("trl")
    for name in BY_NAME:
        config, _ = combined(name, **({"label_smoothing": 0.1} if name == "exo_pair" else {}))
        made = trl.DPOConfig(output_dir="x", use_cpu=True, bf16=False, **config)
        assert made.loss_type == [name]


def test_two_losses_cannot_set_one_field_to_different_values() -> None:
    other = Loss(
        name="other", summary="x", config=lambda _: {"loss_type": "aot", "label_smoothing": 0.3}
    )
    options = build(DPO_OPTIONS, {"loss": ("robust",), "label_smoothing": 0.1})
    with pytest.raises(UsageError, match=r"--loss other needs label_smoothing 0\.3"):
        combine([BY_NAME["robust"], other], [1.0, 1.0], options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": ("exo_pair",)}, "--loss exo_pair needs --label-smoothing above 0"),
        ({"loss": ("robust",), "label_smoothing": 0.5}, "from 0 to below 0.5"),
        ({"label_smoothing": 0.1}, "--label-smoothing belongs to --loss exo_pair, robust, aot"),
        ({"beta": 0}, "--beta must be above 0"),
    ],
)
def test_values_that_mean_nothing(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(DPO_OPTIONS, options)
