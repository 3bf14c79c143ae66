"""Options of `judge serve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pairwright.commands.options import option
from pairwright.errors import UsageError
from pairwright.vlm.options import PlaceOptions
from pairwright.vlm.servers.launch import extra_flags


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions(PlaceOptions):
    """Options of `judge serve`."""

    port: int | None = option(
        None, help="port on 127.0.0.1; further servers get the next ports (default: free ports)"
    )
    adapter: tuple[str, ...] = option(
        (), help="LoRA adapters as NAME=FOLDER; requests use NAME as the model"
    )
    lora_rank: int | None = option(None, help="maximum rank of adapters that are loaded later")
    max_model_len: int = option(4096, help="maximum tokens of prompt and response together")
    max_images: int = option(4, help="maximum number of images in one prompt")
    max_pixels: int | None = option(
        None, help="maximum pixels of an image (default: the model's limit, at most 1003520)"
    )
    dtype: str | None = option(
        None, help="dtype (default: float32 on a CPU, that of the model on a GPU)"
    )
    gpu_memory_utilization: float | None = option(
        None,
        help="fraction of the GPU's memory; on a CPU of the machine's memory (there default 0.2)",
    )
    log: Path | None = option(None, help="file for vLLM's output (default: in your cache folder)")
    vllm_arg: tuple[str, ...] = option(
        (), help="flags of vLLM as KEY=VALUE or KEY, such as max-num-seqs=64"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        PlaceOptions.__post_init__(self)
        extra_flags(self.vllm_arg)
        for flag, number in (
            ("--max-model-len", self.max_model_len),
            ("--max-images", self.max_images),
            ("--max-pixels", self.max_pixels),
        ):
            if number is not None and number < 1:
                msg = f"{flag} must be at least 1, got {number}"
                raise UsageError(msg)
        fraction = self.gpu_memory_utilization
        if fraction is not None and not 0 < fraction <= 1:
            msg = f"--gpu-memory-utilization is a fraction between 0 and 1, got {fraction:g}"
            raise UsageError(msg)
        if self.engine == "ray" and (self.port is not None or self.log is not None):
            msg = "--port and --log are for this machine; with --engine ray each node chooses"
            raise UsageError(msg)
        for text in self.adapter:
            name, equals, folder = text.partition("=")
            if not (name and equals and folder):
                msg = f"--adapter {text}: write NAME=FOLDER"
                raise UsageError(msg)
        if self.port is not None and not 0 < self.port < 65_536:
            msg = f"--port must be between 1 and 65535, got {self.port}"
            raise UsageError(msg)
