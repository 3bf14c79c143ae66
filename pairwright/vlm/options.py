"""Options of every command that calls a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pairwright.commands.options import option
from pairwright.errors import UsageError

# Where and how fast the model is called does not change its answers: another server may continue
# with a run.
NOT_RECORDED = (
    "base_url",
    "concurrency",
    "timeout",
    "deadline",
    "engine",
    "gpus",
    "replicas",
    "tensor_parallel",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOptions:
    """Which model is served, and where if we start it."""

    model: str = option(help="hub id, local folder, short name (Qwen2-VL-7B) or an alias of yours")
    engine: Literal["local", "ray"] = option(
        "local", help="where servers are started: this machine, or a Ray cluster (RAY_ADDRESS)"
    )
    gpus: str | None = option(
        None, help="GPUs to start servers on: all, or numbers as 0,1,3 (default: the free ones)"
    )
    replicas: int | None = option(
        None, help="servers to start (default: one for each GPU; one on a CPU)"
    )
    tensor_parallel: int = option(1, help="GPUs per copy of the model")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.replicas is not None and self.replicas < 1:
            msg = f"--replicas must be at least 1, got {self.replicas}"
            raise UsageError(msg)
        if self.tensor_parallel < 1:
            msg = f"--tensor-parallel must be at least 1, got {self.tensor_parallel}"
            raise UsageError(msg)
        if self.gpus is None:
            return
        if self.engine == "ray":
            msg = "--gpus: Ray chooses the GPUs; --replicas is the number of servers to start"
            raise UsageError(msg)
        names = self.gpus.split(",")
        if self.gpus != "all" and (not all(names) or len(set(names)) < len(names)):
            msg = (
                f"--gpus {self.gpus}: give all, or different numbers as nvidia-smi has them: 0,1,3"
            )
            raise UsageError(msg)

    def names_a_place(self) -> str | None:
        """The first flag, if any, that starts servers."""
        asked = {
            "--gpus": self.gpus is not None,
            "--replicas": self.replicas is not None,
            "--engine ray": self.engine == "ray",
            "--tensor-parallel": self.tensor_parallel != 1,
        }
        return next((flag for flag, is_asked in asked.items() if is_asked), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions(PlaceOptions):
    """Which model is called, and how it is reached."""

    adapter: Path | None = option(None, help="LoRA adapter folder")
    base_url: tuple[str, ...] = option(
        (),
        help="addresses of running OpenAI-compatible servers, /v1 included (default: start vLLM)",
    )
    backend: Literal["vllm", "transformers"] = option(
        "vllm", help="vllm: over HTTP; transformers: a small model in this process"
    )
    max_model_len: int = option(4096, help="tokens of prompt and response together")
    max_pixels: int | None = option(
        None, help="shrink images to this many pixels (default: the model's limit, at most 1003520)"
    )
    concurrency: int = option(64, help="max requests in flight per server")
    timeout: float = option(180.0, help="seconds one attempt at a request may take")
    deadline: float = option(900.0, help="seconds after which a request times out")

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        PlaceOptions.__post_init__(self)
        if self.max_model_len < 1:
            msg = f"--max-model-len must be at least 1, got {self.max_model_len}"
            raise UsageError(msg)
        if self.concurrency < 1:
            msg = f"--concurrency must be at least 1, got {self.concurrency}"
            raise UsageError(msg)
        if self.max_pixels is not None and self.max_pixels < 1:
            msg = f"--max-pixels must be at least 1, got {self.max_pixels}"
            raise UsageError(msg)
        for flag, seconds in (("--timeout", self.timeout), ("--deadline", self.deadline)):
            if not 0 < seconds < float("inf"):
                msg = f"{flag} is a number of seconds above 0, got {seconds:g}"
                raise UsageError(msg)
        self._check_place()

    def _check_place(self) -> None:
        """Refuse two answers to the question where the model is."""
        if self.backend == "transformers" and self.base_url:
            msg = "--base-url names a server, --backend transformers uses none: leave one out"
            raise UsageError(msg)
        place = self.names_a_place()
        if place is not None and self.base_url:
            msg = f"{place} starts servers, --base-url names running ones: give one of the two"
            raise UsageError(msg)
        if place is not None and self.backend == "transformers":
            msg = f"{place} starts servers, --backend transformers uses none: give one of the two"
            raise UsageError(msg)
        for url in self.base_url:
            if not url.startswith(("http://", "https://")):
                msg = f"--base-url {url}: give a full address such as http://127.0.0.1:8000/v1"
                raise UsageError(msg)
