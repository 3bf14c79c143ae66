"""The protocol of a loss, and how several are added up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pairwright.commands.choices import NoOptions, own_options
from pairwright.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A loss on preference pairs.

    Attributes:
        name: As `--loss` takes it.
        summary: What it does, in a few words, for `--help`.
        config: From its own options, what it adds to TRL's `DPOConfig`; `loss_type` is the TRL loss
            that it uses, if it uses one.
        options: Its own options, which check themselves.
        hooks: From its own options and its weight, a class that is mixed in before TRL's trainer;
            it may override any of the trainer's methods, such as `_compute_loss` to add a term.
    """

    name: str
    summary: str
    config: Callable[[Any], Mapping[str, Any]]
    options: type[Any] = NoOptions
    hooks: Callable[[Any, float], type[Any]] | None = None


class Combined(NamedTuple):
    """Several losses as TRL takes them.

    Attributes:
        config: Fields of `DPOConfig`.
        hooks: Classes to mix in before its trainer.
    """

    config: dict[str, Any]
    hooks: tuple[type[Any], ...]


def combine(losses: Sequence[Loss], weights: Sequence[float], options: Any) -> Combined:
    """Add up losses.

    Args:
        losses: The losses.
        weights: One for each.
        options: Options of the command, which hold each loss's own.

    Raises:
        UsageError: If two losses set one of TRL's fields to different values.
    """
    types: list[str] = []
    type_weights: list[float] = []
    config: dict[str, Any] = {}
    hooks: list[type[Any]] = []
    for loss, weight in zip(losses, weights, strict=True):
        own = own_options(options, loss)
        for field, value in loss.config(own).items():
            if field == "loss_type":
                types.append(value)
                type_weights.append(weight)
            elif config.setdefault(field, value) != value:
                msg = f"--loss {loss.name} needs {field} {value!r}, another loss needs {config[field]!r}: choose one of them"
                raise UsageError(msg)
        if loss.hooks is not None:
            hooks.append(loss.hooks(own, weight))
    if not types:  # TRL wants one: it counts nothing
        types, type_weights = ["sigmoid"], [0.0]
    return Combined({**config, "loss_type": types, "loss_weights": type_weights}, tuple(hooks))
