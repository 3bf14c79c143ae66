"""`judge serve`: vLLM servers in the foreground."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from judge.serve.options import ServeOptions
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.commands.progress import say
from pairwright.dataset.manifest import write_json
from pairwright.errors import ServerError
from pairwright.models import resolve_policy
from pairwright.vlm.backend import key_file
from pairwright.vlm.prepare import pixel_budget
from pairwright.vlm.servers.fleet import open_fleet, plan_here
from pairwright.vlm.servers.launch import KEY_VARIABLE, cache_folder
from pairwright.vlm.servers.server import OurServer

_POLL_S = 0.5


def serve_model(options: ServeOptions, run: RunOptions) -> Outcome:
    """Serve a model until interrupted; the addresses are printed when all servers answer.

    Raises:
        ServerError: If no server starts, or the last one stops.
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
        where = "a Ray cluster" if options.engine == "ray" else plan_here(options).words
        return Outcome(message=f"dry run: would serve {found.model} as {short}: {where}")
    started = time.monotonic()
    with (
        open_fleet(
            options,
            found.model,
            logs=cache_folder() / "logs",
            log=options.log,
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
            extra=options.vllm_arg,
        ) as servers,
        contextlib.ExitStack() as stack,
    ):
        for server in servers:
            stack.enter_context(_saved_key(server))
        _announce(servers, short)
        try:
            _watch(servers)
        except KeyboardInterrupt:
            return Outcome(message=f"stopped after {time.monotonic() - started:.0f} s")


def _announce(servers: Sequence[OurServer], name: str) -> None:
    urls = [server.base_url for server in servers]
    sys.stdout.write("".join(f"{url}\n" for url in urls))
    sys.stdout.flush()
    names = ", ".join(servers[0].model_names)
    say(f"models: {names}; commands of the same user on this machine find the key")
    address = " ".join(urls)
    say(f"judge score DATASET --model {name} --base-url {address}   (Ctrl-C stops)")


def _watch(servers: Sequence[OurServer]) -> NoReturn:
    """Report servers that stop; never return.

    Raises:
        ServerError: When the last one has stopped.
    """
    running = list(servers)
    while True:
        for server in [one for one in running if not one.is_alive()]:
            running.remove(server)
            text = (
                f"{server.base_url}: vLLM stopped; the end of {server.log}:\n{server.last_words()}"
            )
            if not running:
                raise ServerError(text)
            say(f"{text}\n{len(running)} of {len(servers)} servers are still running")
        time.sleep(_POLL_S)


@contextlib.contextmanager
def _saved_key(server: OurServer) -> Iterator[None]:
    """Save the key where only commands of this user find it."""
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
