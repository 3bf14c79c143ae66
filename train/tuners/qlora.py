"""QLoRA: a LoRA adapter on a base in 4 bits (NF4, double quantization, bf16 compute)."""

from __future__ import annotations

from typing import Any, Final

from pairwright.errors import MissingExtraError
from train.tuners.base import Start, Trainable, Tuner
from train.tuners.lora import LoraOptions, adapted, check


def load(start: Start, options: LoraOptions) -> Trainable:
    """Load the base in 4 bits and prepare its adapter.

    Raises:
        NotFoundError: If the model cannot be loaded.
        UsageError: If the options do not fit it.
    """
    from train.model.loading import load_base
    from train.model.parts import unquantized_modules

    nf4 = _nf4(unquantized_modules(start.skeleton))
    base = load_base(start.policy.model, "bf16", quantization=nf4)
    _keep_weight_layout(base)
    return adapted(base, start, options, mixed=True)


def _nf4(skipped: list[str]) -> Any:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("bitsandbytes", "train") from error
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=skipped,
    )


def _keep_weight_layout(model: Any) -> None:
    """Stop bitsandbytes from repacking 4-bit weights on CPUs with avx512bf16.

    The first forward in evaluation mode would do it, after which training crashes and merging
    returns garbage.
    """
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


TUNER: Final = Tuner(
    name="qlora",
    summary="an adapter on a 4-bit base",
    load=load,
    options=LoraOptions,
    check=check,
    optimizer="paged_adamw_8bit",
)
