"""The parts of a vision-language model, detected by the names of its modules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

from pairwright.errors import UsageError

Part = Literal["connector", "vision", "language", "head"]
PARTS = ("language", "connector", "vision")

# The first that matches counts: Qwen's connector lies inside its vision module.
_PATTERNS: tuple[tuple[Part, str], ...] = (
    ("head", r"(^|\.)(lm_head|embed_out|output_layer)$"),
    (
        "connector",
        r"(^|\.)(visual\.(merger|deepstack_merger_list)|connector|multi_modal_projector|mm_projector"
        r"|embed_vision|aligner|vision_projector|projector)(\.|$)",
    ),
    ("vision", r"(^|\.)(visual|vision_model|vision_tower|vision_encoder|image_encoder|vpm)(\.|$)"),
    ("language", r"(^|\.)(language_model|text_model|llm)(\.|$)"),
)


def part_of(name: str) -> Part | None:
    """Part that a module belongs to, by its name; `None` if no pattern matches."""
    bare = name.removeprefix("base_model.model.")
    return next((part for part, pattern in _PATTERNS if re.search(pattern, bare)), None)


def linear_modules(model: Any) -> list[str]:
    """Names of the linear layers, the output head left out."""
    from torch import nn

    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and part_of(name) != "head"
    ]


def target_modules(model: Any, target: Iterable[str]) -> list[str]:
    """Names of the linear layers that an adapter changes.

    Args:
        model: The base model.
        target: Parts, `all-linear`, or ends of names of modules in the language model.

    Raises:
        UsageError: If something named does not exist in this model.
    """
    linear = linear_modules(model)
    chosen: set[str] = set()
    for wanted in target:
        if wanted == "all-linear":
            found = set(linear)
        elif wanted in PARTS:
            found = {name for name in linear if part_of(name) == wanted}
        else:
            inside = [name for name in linear if part_of(name) == "language"]
            found = {name for name in inside if f".{name}".endswith(f".{wanted}")}
        if not found:
            ends = sorted(
                {name.rpartition(".")[2] for name in linear if part_of(name) == "language"}
            )
            msg = (
                f"--target {wanted}: this model has no linear layer of that name; there are "
                f"{', '.join(PARTS)}, all-linear, and in the language model {', '.join(ends)}"
            )
            raise UsageError(msg)
        chosen |= found
    if not chosen:
        msg = "--target names nothing to adapt"
        raise UsageError(msg)
    return [name for name in linear if name in chosen]


def unquantized_modules(model: Any) -> list[str]:
    """What is kept in 16 bits when the language model is quantized, named as transformers expects.

    They match from the start of the full name, and naming any drops transformers' own default,
    the output head.
    """
    skipped: dict[str, None] = {}
    for name, _ in model.named_modules():
        part = part_of(name)
        if part in ("vision", "connector"):
            skipped.setdefault(_root(name), None)
        elif part == "head":
            skipped.setdefault(name, None)
    return list(skipped)


def _root(name: str) -> str:
    """The shortest leading part of a name that is recognized as vision or connector."""
    words = name.split(".")
    for size in range(1, len(words) + 1):
        if part_of(".".join(words[:size])) in ("vision", "connector"):
            return ".".join(words[:size])
    return name


def vision_is_frozen(model: Any) -> bool:
    """Whether nothing before the language model is trained."""
    return not any(
        parameter.requires_grad and part_of(name) in ("vision", "connector")
        for name, parameter in model.named_parameters()
    )
