"""`judge serve`: a vLLM server in the foreground."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from judge.serve_options import ServeOptions
from pairwright.command import Outcome
from pairwright.errors import ServerError
from pairwright.manifest import write_json
from pairwright.models import resolve_policy
from pairwright.options import RunOptions
from pairwright.progress import say
from pairwright.vlm.backend import KEY_VARIABLE, key_file
from pairwright.vlm.launch import cache_folder
from pairwright.vlm.prepare import pixel_budget
from pairwright.vlm.server import Server
from pairwright.vlm.server import serve as start


def serve_model(options: ServeOptions, run: RunOptions) -> Outcome:
    """Serve a model until interrupted; the address is printed once it answers.

    Raises:
        ServerError: If the server does not come up, or ends by itself.
    """
    found = resolve_policy(None, options.model)
    adapters = {}
    for text in options.adapter:
        name, _, folder = text.partition("=")
        adapters[name] = Path(folder).absolute()
    short = Path(found.model).name if Path(found.model).is_dir() else options.model
    if found.adapter is not None:
        adapters[f"{short}+{found.adapter.name}"] = found.adapter
    if run.dry_run:
        return Outcome(message=f"dry run: would serve {found.model} as {short}")
    log = options.log or cache_folder() / "logs" / f"vllm-{os.getpid()}.log"
    started = time.monotonic()
    with (
        start(
            found.model,
            log_path=log,
            port=options.port,
            api_key=os.environ.get(KEY_VARIABLE),
            names=tuple(dict.fromkeys((short, options.model))),
            adapters=adapters,
            lora_rank=options.lora_rank,
            max_model_len=options.max_model_len,
            max_images=options.max_images,
            max_pixels=pixel_budget(found.model, options.max_pixels),
            dtype=options.dtype,
            gpu_memory_utilization=options.gpu_memory_utilization,
        ) as server,
        _key_left(server),
    ):
        sys.stdout.write(server.base_url + "\n")
        sys.stdout.flush()
        say(f"models: {', '.join(server.model_names)}; the same user's commands find the key")
        say(f"judge score DATASET --model {short} --base-url {server.base_url}   (Ctrl-C stops)")
        try:
            while server.is_alive():
                time.sleep(0.5)
        except KeyboardInterrupt:
            return Outcome(message=f"stopped after {time.monotonic() - started:.0f} s")
        msg = f"vLLM ended by itself; the end of {server.log}:\n{server.last_words()}"
        raise ServerError(msg)


@contextlib.contextmanager
def _key_left(server: Server) -> Iterator[None]:
    """Leave the key where only this user's commands find it."""
    path = key_file(server.base_url)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _clear_stale(path.parent)
    write_json(path, {"base_url": server.base_url, "api_key": server.api_key, "pid": os.getpid()})
    path.chmod(0o600)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _clear_stale(folder: Path) -> None:
    """Remove the keys of servers that were killed."""
    for path in folder.glob("*.json"):
        try:
            os.kill(int(json.loads(path.read_text(encoding="utf-8"))["pid"]), 0)
        except (OSError, ValueError, KeyError, TypeError):
            path.unlink(missing_ok=True)
