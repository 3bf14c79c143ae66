"""Running contestants as processes of their own, in environments of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Cost(NamedTuple):
    """What one run took."""

    wall: float
    cpu: float
    peak: float  # MB


def keep_bytecode() -> None:
    """Compile modules once, here and in the processes started from here.

    Some machines set `PYTHONDONTWRITEBYTECODE`; every process would compile torch again.
    """
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["UV_COMPILE_BYTECODE"] = "1"


def measured(command: list[str], **environment: str) -> Cost:
    """Run a process to its end."""
    keep_bytecode()
    started, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=said, env={**os.environ, **environment}
        )
        status = Path(f"/proc/{process.pid}/status")
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            # Not ru_maxrss: that starts at the size of this process.
            found = re.search(r"VmHWM:\s*(\d+)", status.read_text())
            peak = int(found[1]) if found else peak
            time.sleep(0.02)
        wall, usage = time.perf_counter() - started, ended[2]
        process.returncode = os.waitstatus_to_exitcode(ended[1])
        if process.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(command)}\n{said.read().decode(errors='replace')[-2000:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, peak / 1024)


def peers_python(name: str, packages: Sequence[str], folder: Path | None) -> str:
    """Python of the peers' environment, which is made if it is not there."""
    keep_bytecode()
    folder = folder or Path(tempfile.gettempdir()) / f"pairwright-bench-{name}"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run(["uv", "venv", "-q", "-p", "3.11", str(folder)], check=True)
    install = ["uv", "pip", "install", "-q", "--no-config", "-p", str(python.absolute()), *packages]
    subprocess.run(install, check=True)
    return str(python)
