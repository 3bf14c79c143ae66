"""LoRA: a low-rank adapter on linear layers, in fp32 on a base in bf16 or fp32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pairwright.commands.options import option, split_commas
from pairwright.errors import UsageError
from train.tuners.base import Start, Trainable, Tuner

if TYPE_CHECKING:
    from pairwright.models import PolicyRef

_RANK = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraOptions:
    """Options of LoRA and its variants."""

    rank: int | None = option(
        None, help="LoRA rank (default: 16; an adapter that is continued keeps its own)"
    )
    alpha: float | None = option(None, help="LoRA alpha (default: twice the rank)")
    dropout: float | None = option(None, help="LoRA dropout (default: 0.05 for sft, 0 for dpo)")
    target: tuple[str, ...] = option(
        ("language",),
        help="layers to adapt: language, connector, vision, all-linear, or ends of module names",
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        object.__setattr__(self, "target", split_commas(self.target))
        for name in ("rank", "alpha"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                msg = f"--{name} must be above 0, got {value}"
                raise UsageError(msg)
        if self.dropout is not None and not 0 <= self.dropout < 1:
            msg = f"--dropout is a fraction from 0 to below 1, got {self.dropout}"
            raise UsageError(msg)


def load(start: Start, options: LoraOptions) -> Trainable:
    """Load the base and prepare its adapter.

    Raises:
        NotFoundError: If the model cannot be loaded.
        UsageError: If the options do not fit it.
    """
    from train.model.loading import choose_precision, load_base

    precision = choose_precision(start.precision)
    base = load_base(start.policy.model, precision)
    return adapted(base, start, options, mixed=precision == "bf16")


def adapted(base: Any, start: Start, options: LoraOptions, *, mixed: bool) -> Trainable:
    """A loaded base with the adapter that is continued, or with the configuration of a new one."""
    from peft import LoraConfig

    from train.model.loading import with_adapter
    from train.model.parts import target_modules

    if start.policy.adapter is not None:
        model = with_adapter(base, start.policy.adapter, trainable=True)
        return Trainable(model=model, mixed=mixed)
    rank = options.rank or _RANK
    config = LoraConfig(
        r=rank,
        lora_alpha=options.alpha or 2 * rank,
        lora_dropout=start.dropout if options.dropout is None else options.dropout,
        target_modules=target_modules(base, options.target),
        task_type="CAUSAL_LM",
    )
    return Trainable(model=base, mixed=mixed, peft_config=config)


def check(policy: PolicyRef, options: LoraOptions) -> None:
    """Refuse a rank or alpha that a continued adapter does not have.

    Raises:
        UsageError: If they differ.
        DataError: If the adapter's configuration is malformed.
    """
    from pairwright.models import adapter_config

    if policy.adapter is None:
        return
    config = adapter_config(policy.adapter)
    for flag, wanted, has in (
        ("--rank", options.rank, config.get("r")),
        ("--alpha", options.alpha, config.get("lora_alpha")),
    ):
        if wanted is not None and wanted != has:
            msg = f"{flag} {wanted}: the adapter that is continued has {has}; leave it out, or merge the adapter first with `train merge`"
            raise UsageError(msg)


TUNER: Final = Tuner(name="lora", summary="an adapter", load=load, options=LoraOptions, check=check)
