"""Loading processors and models: precision, 4-bit bases, adapters."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pairwright.errors import DataError, MissingExtraError, NotFoundError, UsageError
from pairwright.models import PolicyRef


def prepare_environment(*packages: str) -> None:
    """Silence the libraries and keep them off the network; call it before they are imported.

    Args:
        packages: Needed packages other than transformers and torch.

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
    """What the libraries raise on files that are missing, malformed or no model."""
    from safetensors import SafetensorError

    plain = (OSError, ValueError, LookupError, RuntimeError, AttributeError, TypeError)
    return (*plain, SafetensorError, *more)


@contextlib.contextmanager
def _one_line(model: str) -> Iterator[None]:
    """Turn what a missing or malformed checkpoint raises into one line."""
    try:
        yield
    except _loading_errors() as error:
        msg = f"--model {model}: cannot be loaded: {_first_line(error)}"
        raise NotFoundError(msg) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    text = " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1])
    return text if len(text) <= 300 else text[:300] + " ..."


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
    """Max number of tokens that the model can take."""
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
    """The model without weights, to count its parameters and to name its parts."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    with _one_line(model), torch.device("meta"):
        return AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(model))


def with_adapter(base: Any, adapter: Path, *, trainable: bool = False) -> Any:
    """The base with an adapter on it.

    Raises:
        DataError: If the adapter does not fit.
    """
    from peft import PeftModel

    try:
        with warnings.catch_warnings():
            # PEFT only warns where an adapter has nothing for this model, and continues with a
            # fresh one.
            warnings.filterwarnings("error", message="Found missing adapter keys")
            return PeftModel.from_pretrained(base, str(adapter), is_trainable=trainable)
    except _loading_errors(UserWarning) as error:
        msg = f"{adapter}: this adapter does not fit the model: {_first_line(error)}"
        raise DataError(msg) from error


def load_for_inference(policy: PolicyRef, precision: str) -> tuple[Any, Any]:
    """A policy's processor and its model, for inference, on the accelerator if there is one.

    An adapter is merged in: that is faster, and it is what `train merge` writes.

    Raises:
        NotFoundError: If either cannot be loaded.
    """
    import torch

    processor = load_processor(policy.model)
    model = load_base(policy.model, choose_precision(precision))
    if policy.adapter is not None:
        model = with_adapter(model, policy.adapter).merge_and_unload()
    return processor, model.to(torch.accelerator.current_accelerator(check_available=True) or "cpu")
