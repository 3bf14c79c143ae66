"""Starts `judge serve` for the tests, kills it with -9 and looks for what is left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

API_KEY = "tiny-server-key"
MODEL = "tiny-qwen2-vl"
ADAPTER = "lora"
MAX_MODEL_LEN = 2048


@dataclass(frozen=True, kw_only=True)
class TinyServer:
    """A `judge serve` process that answers."""

    base_url: str
    api_key: str
    log: Path
    pid: int


@contextlib.contextmanager
def started(model: Path, adapter: Path, folder: Path) -> Iterator[TinyServer]:
    """Serve for the length of a block; all that was started must be gone behind it."""
    assert model.name == MODEL
    env = os.environ | {
        "PAIRWRIGHT_API_KEY": API_KEY,
        "XDG_RUNTIME_DIR": str(folder),
        "OMP_NUM_THREADS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }
    log = folder / "vllm.log"
    words = ["serve", "--model", str(model), "--adapter", f"{ADAPTER}={adapter}"]
    words += [
        "--lora-rank",
        "8",
        "--max-model-len",
        str(MAX_MODEL_LEN),
        "--max-images",
        "2",
        "--log",
        str(log),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", "from pairwright.programs import judge; judge()", *words],
        stdout=subprocess.PIPE,
        env=env,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http"), log.read_text()[-3000:] if log.exists() else "no log"
        below = descendants(process.pid)
        assert len(below) >= 3, "a supervisor, the API server, the engine"
        yield TinyServer(base_url=url, api_key=API_KEY, log=log, pid=process.pid)
    finally:
        below = descendants(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not wait_until_gone(below, 15), f"left behind: {wait_until_gone(below, 0)}"


def running(file: Path) -> TinyServer:
    """The server that a `keep` has up."""
    raw = json.loads(file.read_text())
    return TinyServer(**raw | {"log": Path(raw["log"])})


def keep(file: Path) -> None:
    """Keep a server up until interrupted, and say in a file where it is."""
    from tiny_models import make_tiny_lora, make_tiny_qwen

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = make_tiny_qwen(folder / MODEL)
        adapter = make_tiny_lora(folder / "tiny-lora", model)
        with started(model, adapter, folder) as server:
            file.write_text(json.dumps(asdict(server), default=str))
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()


def descendants(pid: int) -> list[int]:
    """Processes below a process."""
    found, pending = [], [pid]
    while pending:
        one = pending.pop()
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                children = [int(c) for c in (task / "children").read_text().split()]
                found += children
                pending += children
    return found


def wait_until_gone(pids: list[int], seconds: float) -> list[int]:
    """Wait for processes to end; returns those that did not."""
    deadline = time.monotonic() + seconds
    while True:
        left = [pid for pid in pids if _is_alive(pid)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def _is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
