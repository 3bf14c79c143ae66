"""Servers on a Ray cluster: an actor holds one GPU (or several) and one vLLM.

The actor starts vLLM as this machine would, on its node's address; the requests go there over
HTTP. Whatever ends the actor (the driver's end, a lost node) ends its server, which the client
sees as a dead server like any other: its images move to the others.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pairwright.commands.progress import say
from pairwright.errors import MissingExtraError, ServerError, UsageError
from pairwright.vlm.options import PlaceOptions

_PLACE_S = 600.0  # a cluster that grows on demand needs minutes for a node
_STOP_S = 30.0
_STORE_BYTES = 128 << 20  # nothing large passes through Ray


class _Replica:
    """In the actor: one server."""

    def __init__(self) -> None:
        from pairwright.vlm.servers.server import Server

        self._server: Server | None = None

    def node(self) -> str:
        """The node's address; answers as soon as the actor has its place."""
        import ray

        return str(ray.util.get_node_ip_address())

    def start(self, model: str, options: dict[str, Any]) -> dict[str, Any]:
        """Start the server and wait until it answers."""
        import ray

        from pairwright.vlm.servers.launch import ServerOptions, cache_folder
        from pairwright.vlm.servers.ready import log_paths
        from pairwright.vlm.servers.server import launch, wait_until_ready

        devices = tuple(str(gpu) for gpu in ray.get_runtime_context().get_accelerator_ids()["GPU"])
        api_key = options.pop("api_key")
        chosen = ServerOptions(model=model, devices=devices, **options)
        [log] = log_paths(cache_folder() / "logs", None, 1)
        self._server = launch(chosen, log_path=log, api_key=api_key)
        wait_until_ready(self._server)
        return {
            "base_url": self._server.base_url,
            "api_key": self._server.api_key,
            "model_names": self._server.model_names,
            "log": log,
        }

    def last_words(self, count: int) -> str:
        """The end of the server's log."""
        return self._server.last_words(count) if self._server else ""

    def wait(self) -> str:
        """Return when the server has ended, with its last words."""
        assert self._server is not None
        self._server.process.wait()
        return self._server.last_words()

    def load_adapter(self, name: str, folder: Path) -> None:
        """Load an adapter from a folder that this node sees as well."""
        assert self._server is not None
        self._server.load_adapter(name, folder)

    def stop(self) -> None:
        """End the server."""
        from pairwright.vlm.servers.server import stop

        if self._server is not None:
            stop([self._server])


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteServer:
    """A server on some node; see `pairwright.vlm.servers.server.OurServer`."""

    base_url: str
    api_key: str
    model_names: list[str]
    log: Path
    actor: Any = field(repr=False)
    ended: Any = field(repr=False)

    def is_alive(self) -> bool:
        """Whether the server and its actor still run."""
        import ray

        ready, _ = ray.wait([self.ended], timeout=0)
        return not ready

    def last_words(self, count: int = 12) -> str:
        """The end of its log, if its node is still there."""
        import ray

        try:
            return str(ray.get(self.actor.last_words.remote(count), timeout=10))
        except (ray.exceptions.RayError, TimeoutError) as error:
            return f"its Ray actor is gone ({type(error).__name__})"

    def load_adapter(self, name: str, folder: Path) -> None:
        """Load a LoRA adapter while the server runs.

        Raises:
            ServerError: If the server refuses it, or its node does not see the folder.
        """
        if name in self.model_names:
            return
        _result(self.actor.load_adapter.remote(name, folder.absolute()), self.base_url)
        self.model_names.append(name)


@contextlib.contextmanager
def ray_fleet(
    place: PlaceOptions, model: str, *, api_key: str, **options: Any
) -> Iterator[list[RemoteServer]]:
    """Servers of a model on a Ray cluster, for the length of a block.

    The cluster is RAY_ADDRESS; without it a small one of our own is started on this machine.

    Args:
        place: How many servers, and GPUs for each.
        model: Hub id, or a folder that every node sees.
        api_key: Key of all of them.
        **options: Fields of `ServerOptions`.

    Raises:
        MissingExtraError: If ray is not installed.
        UsageError: If the cluster has too few GPUs.
        ServerError: If no server starts.
    """
    with _cluster() as (ray, host):
        yield from _fleet(ray, host, place, model, options | {"api_key": api_key})


def _fleet(
    ray: Any, host: str | None, place: PlaceOptions, model: str, options: dict[str, Any]
) -> Iterator[list[RemoteServer]]:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    count, gpus, cores = size_of(nodes, place)
    actors: list[Any] = []
    try:
        remote = ray.remote(num_gpus=gpus, num_cpus=cores, max_concurrency=8, max_restarts=0)
        actors = [remote(_Replica).remote() for _ in range(count)]
        say(f"Ray: {count} server(s), each on {gpus} GPU(s) and {cores} core(s)")
        hosts = _placed(ray, actors)
        settings = [
            options
            | {
                "host": host or at,
                "tensor_parallel": place.tensor_parallel,
                "neighbours": hosts.count(at),
                "threads": None if gpus else max(1, cores - 1),
            }
            for at in hosts
        ]
        yield _started(actors, model, settings)
    finally:
        _stop(ray, actors)


@contextlib.contextmanager
def _cluster() -> Iterator[tuple[Any, str | None]]:
    """Ray, joined to a cluster for the length of a block; telemetry and dashboards are off.

    With it the address that servers listen on; each its node's if there is none.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Under `uv run`, Ray would send the working directory to every node and install it there.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    if ray.is_initialized():  # a notebook's
        yield ray, None
        return
    address = os.environ.get("RAY_ADDRESS")
    # Under /tmp, whatever TMPDIR is: the path of a socket may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="pairwright-ray-", dir="/tmp") as folder:
        how: dict[str, Any] = {"address": address}
        if address in (None, "", "local"):
            how = {
                "address": "local",
                "num_cpus": len(os.sched_getaffinity(0)),
                "include_dashboard": False,
                "object_store_memory": _STORE_BYTES,
                "_node_ip_address": "127.0.0.1",  # it serves this machine only
                "_temp_dir": folder,
            }
        else:
            _knock(str(address))
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", **how)
        except (OSError, RuntimeError, ValueError) as error:
            msg = f"--engine ray: cannot join the cluster at RAY_ADDRESS={address or 'local'} ({str(error).splitlines()[0]})"
            raise ServerError(msg) from error
        try:
            # Ray reports another address than 127.0.0.1 for a node on 127.0.0.1.
            yield ray, "127.0.0.1" if how["address"] == "local" else None
        finally:
            ray.shutdown()


def _knock(address: str) -> None:
    """Try a cluster's door: Ray itself ends the process if nobody opens.

    Raises:
        ServerError: If nobody does.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not (host and port.isdigit()):
        return  # `auto`: Ray looks for it
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        msg = f"--engine ray: no cluster answers at RAY_ADDRESS={address} ({error}); without it a Ray of this machine is started"
        raise ServerError(msg) from error


def size_of(nodes: Sequence[Mapping[str, float]], place: PlaceOptions) -> tuple[int, int, int]:
    """Servers, and GPUs and cores of each; a server lies on one node.

    Args:
        nodes: What each node has (`CPU`, `GPU`).
        place: The request.

    Raises:
        UsageError: If the cluster does not have that much.
    """
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    if not sum(gpus) and place.tensor_parallel == 1:
        cores = [int(node.get("CPU", 0)) for node in nodes]
        count = place.replicas or 1
        # As many cores each as still leaves room for all of them.
        fits = (c for c in range(max(cores), 0, -1) if sum(n // c for n in cores) >= count)
        each_cores = next(fits, None)
        if each_cores is None:
            msg = f"--engine ray: {count} servers are more than the cluster's {sum(cores)} cores"
            raise UsageError(msg)
        return count, 0, each_cores
    each = place.tensor_parallel
    room = sum(n // each for n in gpus)
    count = place.replicas or max(1, room)
    if count > room:
        msg = f"--engine ray: {count} server(s) of {each} GPU(s) on one node each: the cluster has room for {room} (GPUs by node: {', '.join(map(str, gpus))})"
        raise UsageError(msg)
    return count, each, 1


def _placed(ray: Any, actors: list[Any]) -> list[str]:
    """Addresses of the nodes, once every actor has its place."""
    waiting = {actor.node.remote(): None for actor in actors}
    started = time.monotonic()
    left = list(waiting)
    while left:
        _, left = ray.wait(left, num_returns=len(left), timeout=15)
        seconds = time.monotonic() - started
        if left and seconds > _PLACE_S:
            msg = f"Ray found no room for {len(left)} of {len(actors)} servers in {seconds:.0f} s; lower --replicas, or end what uses the GPUs (`ray status` lists it)"
            raise ServerError(msg)
        if left:
            say(f"Ray: waiting for room for {len(left)} of {len(actors)} servers")
    return [_result(ref, "a Ray actor") for ref in waiting]


def _started(actors: list[Any], model: str, settings: list[dict[str, Any]]) -> list[RemoteServer]:
    from pairwright.vlm.servers.ready import that_started

    say(f"starting vLLM with {model} on {len(actors)} Ray actor(s)")
    started = time.monotonic()
    found: list[dict[str, Any]] = []
    refs = [actor.start.remote(model, one) for actor, one in zip(actors, settings, strict=True)]
    waits = [
        (actor, lambda ref=ref: found.append(_result(ref, "a Ray actor")))
        for actor, ref in zip(actors, refs, strict=True)
    ]
    up = that_started(waits)
    say(f"{len(up)} server(s) ready after {time.monotonic() - started:.0f} s")
    return [
        RemoteServer(actor=actor, ended=actor.wait.remote(), **facts)
        for actor, facts in zip(up, found, strict=True)
    ]


def _result(ref: Any, where: str) -> Any:
    """What an actor answers; its failure as an error of ours."""
    import ray

    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause if isinstance(error.cause, Exception) else error
        msg = f"{where}: {cause}"
        raise ServerError(msg) from error
    except ray.exceptions.RayError as error:
        msg = f"{where}: {type(error).__name__}: {str(error).splitlines()[0]}"
        raise ServerError(msg) from error


def _stop(ray: Any, actors: list[Any]) -> None:
    with contextlib.suppress(Exception):  # the cluster may be gone; then nothing is left to end
        ray.wait([a.stop.remote() for a in actors], num_returns=len(actors), timeout=_STOP_S)
        for actor in actors:
            ray.kill(actor)
