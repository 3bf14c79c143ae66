"""Options of every command that asks a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pairwright.errors import UsageError
from pairwright.options import option

# Where and how fast the model is asked does not change what it says: another server may go on
# with a run.
NOT_RECORDED = ("base_url", "concurrency")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Which model is asked, and how it is reached."""

    model: str = option(help="hub id, local folder, short name (Qwen2-VL-7B) or an alias of yours")
    adapter: Path | None = option(None, help="LoRA adapter folder")
    base_url: tuple[str, ...] = option(
        (), help="OpenAI-compatible servers that are up, /v1 included (default: start vLLM)"
    )
    backend: Literal["vllm", "transformers"] = option(
        "vllm", help="vllm: over HTTP; transformers: a small model in this process"
    )
    max_model_len: int = option(4096, help="tokens of prompt and answer together")
    max_pixels: int | None = option(
        None, help="shrink images to this many pixels (default: the model's limit, at most 1003520)"
    )
    concurrency: int = option(64, help="most requests in flight")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.max_model_len < 1:
            msg = f"--max-model-len must be at least 1, got {self.max_model_len}"
            raise UsageError(msg)
        if self.concurrency < 1:
            msg = f"--concurrency must be at least 1, got {self.concurrency}"
            raise UsageError(msg)
        if self.max_pixels is not None and self.max_pixels < 1:
            msg = f"--max-pixels must be at least 1, got {self.max_pixels}"
            raise UsageError(msg)
        if self.backend == "transformers" and self.base_url:
            msg = "--base-url names a server, --backend transformers uses none: leave one out"
            raise UsageError(msg)
        for url in self.base_url:
            if not url.startswith(("http://", "https://")):
                msg = f"--base-url {url}: give a full address such as http://127.0.0.1:8000/v1"
                raise UsageError(msg)
