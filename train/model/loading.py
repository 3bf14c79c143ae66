"""Loading processors and models: precision, 4-bit bases, adapters."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pairwright.errors import DataError, MissingExtraError, NotFoundError, UsageError
from pairwright.models import PolicyRef, adapter_config
from train.model.parts import target_modules, unquantized_modules
from train.options import TrainingOptions

LARGE_MODEL = 500_000_000
DEFAULT_RANK = 16


def prepare_environment(*packages: str) -> None:
    """Quieten the libraries and keep them off the network; call before they are imported.

    Args:
        packages: What is needed besides transformers and torch.

    Raises:
        MissingExtraError: If one is not installed.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # TRL trains on one device a process and refuses several that are visible.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    for package in ("transformers", "torch", *packages):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "train")
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def _loading_errors(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """What the libraries raise on files that are missing, broken or of something else."""
    from safetensors import SafetensorError

    plain = (OSError, ValueError, LookupError, RuntimeError, AttributeError, TypeError)
    return (*plain, SafetensorError, *more)


@contextlib.contextmanager
def _one_line(model: str) -> Iterator[None]:
    """Turn what a missing or broken checkpoint raises into one line."""
    try:
        yield
    except _loading_errors() as error:
        msg = f"--model {model}: cannot be loaded: {_first_line(error)}"
        raise NotFoundError(msg) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    told = " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1])
    return told if len(told) <= 300 else told[:300] + " ..."


def load_processor(model: str) -> Any:
    """The model's processor.

    Raises:
        NotFoundError: If it cannot be loaded.
        UsageError: If the model does not take images or has no chat template.
    """
    from transformers import AutoProcessor

    with _one_line(model):
        processor = AutoProcessor.from_pretrained(model)
    if not hasattr(processor, "image_processor") or not hasattr(processor, "image_token"):
        msg = f"--model {model}: not a vision-language model (its processor takes no images)"
        raise UsageError(msg)
    if not processor.chat_template and not processor.tokenizer.chat_template:
        msg = f"--model {model}: has no chat template; choose an instruction-tuned model"
        raise UsageError(msg)
    return processor


def context_length(model: str) -> int:
    """Positions that the model can take."""
    from transformers import AutoConfig

    with _one_line(model):
        config = AutoConfig.from_pretrained(model).get_text_config()
    return int(getattr(config, "max_position_embeddings", None) or 1 << 20)


def choose_precision(precision: str) -> str:
    """`bf16` or `fp32`, for this machine."""
    import torch

    if precision != "auto":
        return precision
    return "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "fp32"


def load_base(model: str, precision: str, *, quantization: Any = None) -> Any:
    """A model in `bf16`, `fp32` or, for `stored`, as its files have it.

    Raises:
        NotFoundError: If it cannot be loaded.
    """
    import torch
    from transformers import AutoModelForImageTextToText

    dtype: Any = {"bf16": torch.bfloat16, "fp32": torch.float32, "stored": "auto"}[precision]
    kwargs = {} if quantization is None else {"quantization_config": quantization}
    with _one_line(model):
        return AutoModelForImageTextToText.from_pretrained(model, dtype=dtype, **kwargs)


def skeleton(model: str) -> Any:
    """The model without weights, to count and to name its parts."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    with _one_line(model), torch.device("meta"):
        return AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(model))


@dataclass(frozen=True, slots=True)
class Trainable:
    """A model ready for TRL.

    Attributes:
        model: The model; a PeftModel if an adapter is continued.
        peft_config: Configuration of a new adapter, if there shall be one.
        reference: What DPO compares with, where that is not the model without its new adapter.
        mixed: Whether to compute in bf16 under autocast.
        total: Number of parameters, before quantisation.
    """

    model: Any
    peft_config: Any
    reference: Any
    mixed: bool
    total: int


def load_trainable(policy: PolicyRef, options: TrainingOptions, *, dropout: float) -> Trainable:
    """Load what shall be trained, as the options say.

    Raises:
        NotFoundError: If the model cannot be loaded.
        UsageError: If the options do not fit it.
    """
    bare = skeleton(policy.model)
    total = sum(p.numel() for p in bare.parameters())
    if options.peft == "qlora":
        base = load_base(policy.model, "bf16", quantization=_nf4(unquantized_modules(bare)))
        keep_weights_as_they_are(base)
        mixed = True
    else:
        mixed = choose_precision(options.precision) == "bf16"
        # Adapters train in fp32 on a bf16 base; all weights train in fp32 under autocast.
        base = load_base(policy.model, "bf16" if mixed and options.peft == "lora" else "fp32")
    if options.peft == "none":
        if policy.adapter is not None:
            base = with_adapter(base, policy.adapter).merge_and_unload(safe_merge=True)
            base.requires_grad_(True)  # PEFT had frozen it
        return Trainable(base, None, base, mixed, total)
    if policy.adapter is not None:
        model = with_adapter(base, policy.adapter, trainable=True)
        return Trainable(model, None, None, mixed, total)
    from peft import LoraConfig

    rank = options.rank or DEFAULT_RANK
    config = LoraConfig(
        r=rank,
        lora_alpha=options.alpha or 2 * rank,
        lora_dropout=dropout if options.dropout is None else options.dropout,
        target_modules=target_modules(base, options.target),
        task_type="CAUSAL_LM",
    )
    return Trainable(base, config, None, mixed, total)


def check_adapter(policy: PolicyRef, options: TrainingOptions) -> None:
    """Refuse a rank or alpha that a continued adapter does not have.

    Raises:
        UsageError: If they differ.
        DataError: If the adapter's configuration is broken.
    """
    if policy.adapter is None or options.peft == "none":
        return
    config = adapter_config(policy.adapter)
    for flag, wanted, has in (
        ("--rank", options.rank, config.get("r")),
        ("--alpha", options.alpha, config.get("lora_alpha")),
    ):
        if wanted is not None and wanted != has:
            msg = f"{flag} {wanted}: the adapter that is continued has {has}; leave it out, or merge the adapter first with `train merge`"
            raise UsageError(msg)


def with_adapter(base: Any, adapter: Path, *, trainable: bool = False) -> Any:
    """The base with an adapter on it.

    Raises:
        DataError: If the adapter does not fit.
    """
    from peft import PeftModel

    try:
        with warnings.catch_warnings():
            # PEFT only warns where an adapter holds nothing for this model, and goes on with a
            # fresh one.
            warnings.filterwarnings("error", message="Found missing adapter keys")
            return PeftModel.from_pretrained(base, str(adapter), is_trainable=trainable)
    except _loading_errors(UserWarning) as error:
        msg = f"{adapter}: this adapter does not fit the model: {_first_line(error)}"
        raise DataError(msg) from error


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


def keep_weights_as_they_are(model: Any) -> None:
    """Stop bitsandbytes from repacking 4-bit weights on CPUs with avx512bf16.

    The first forward in evaluation mode would do it, after which training crashes and merging
    returns garbage.
    """
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def load_for_reading(policy: PolicyRef, precision: str) -> tuple[Any, Any]:
    """A policy's processor and its model, to answer with, on the accelerator if there is one.

    An adapter is merged in: answering is faster so, and it is what `train merge` writes.

    Raises:
        NotFoundError: If either cannot be loaded.
    """
    import torch

    processor = load_processor(policy.model)
    model = load_base(policy.model, choose_precision(precision))
    if policy.adapter is not None:
        model = with_adapter(model, policy.adapter).merge_and_unload()
    return processor, model.to(torch.accelerator.current_accelerator(check_available=True) or "cpu")
