"""A vLLM server that we start: with a random key, tested by a first request, stopped with us."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from pairwright.commands.progress import say
from pairwright.errors import ServerError
from pairwright.vlm.servers import supervise
from pairwright.vlm.servers.launch import ServerOptions, command_line, environment

_START_S = 1800.0  # a large model may have to be downloaded
_STOP_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server.

    Attributes:
        base_url: Address of its OpenAI-compatible API, `/v1` included.
        api_key: Its key.
        model_names: What requests may call: the model, then the adapters.
        log: File with its output.
        process: Its supervisor; ends when the server ends.
    """

    base_url: str
    api_key: str
    model_names: list[str]
    log: Path
    process: subprocess.Popen[bytes]

    def is_alive(self) -> bool:
        """Whether the server's process still runs."""
        return self.process.poll() is None

    def last_words(self, count: int = 12) -> str:
        """The end of its log."""
        return _last_lines(self.log, count)

    def load_adapter(self, name: str, folder: Path) -> None:
        """Load a LoRA adapter while the server runs (it must have been started with `lora_rank`).

        Raises:
            ServerError: If the server refuses it.
        """
        if name in self.model_names:
            return
        with _client(self.api_key) as client:
            body = {"lora_name": name, "lora_path": str(folder.absolute())}
            try:
                reply = client.post(f"{self.base_url}/load_lora_adapter", json=body, timeout=300)
            except httpx.HTTPError as error:
                msg = f"{self.base_url}: no answer when loading the adapter {folder} ({error!r})"
                raise ServerError(msg) from error
            if reply.status_code != 200:
                msg = f"{self.base_url}: adapter {folder} refused: {reply.text[:400]}"
                raise ServerError(msg)
        self.model_names.append(name)


class OurServer(Protocol):
    """A server that this process started, here or on another machine."""

    @property
    def base_url(self) -> str:
        """Address of its OpenAI-compatible API, `/v1` included."""

    @property
    def api_key(self) -> str:
        """Its key."""

    @property
    def model_names(self) -> list[str]:
        """What requests may call: the model, then the adapters."""

    @property
    def log(self) -> Path:
        """File with its output."""

    def is_alive(self) -> bool:
        """Whether it still runs."""

    def last_words(self, count: int = 12) -> str:
        """The end of its log."""

    def load_adapter(self, name: str, folder: Path) -> None:
        """Load a LoRA adapter while it runs."""


# Servers of this process by address, so that their keys need not be passed around.
_OURS: dict[str, OurServer] = {}


def _client(api_key: str) -> httpx.Client:
    # Without `trust_env` no proxy of the environment comes between us and 127.0.0.1.
    headers = {"Authorization": f"Bearer {api_key}"}
    return httpx.Client(headers=headers, timeout=10, trust_env=False)


@contextlib.contextmanager
def serve(
    model: str,
    *,
    log_path: Path,
    port: int | None = None,
    api_key: str | None = None,
    start_s: float = _START_S,
    **options: Any,
) -> Iterator[Server]:
    """Serve a model for the length of a block.

    The server has passed a request with an image before the block is entered. It ends with the
    block, and also if this process is killed.

    Args:
        model: Hub id or local folder.
        log_path: File for its output.
        port: Port; a free one if not given.
        api_key: Key; a random one if not given.
        start_s: Seconds it may take to start.
        **options: Fields of `ServerOptions`.

    Raises:
        ServerError: If it does not start; the message ends with the last lines of its log.
    """
    chosen = ServerOptions(model=model, **options)
    server = launch(chosen, log_path=log_path, port=port, api_key=api_key)
    try:
        wait_until_ready(server, start_s)
        with listed(server):
            yield server
    finally:
        stop([server])


def launch(
    options: ServerOptions, *, log_path: Path, port: int | None = None, api_key: str | None = None
) -> Server:
    """Start a server's processes; it does not answer yet. They end if this process is killed."""
    port = port or free_port(options.host)
    api_key = api_key or secrets.token_urlsafe(24)
    command = command_line(options, port)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", supervise.__file__, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(options, api_key),
            start_new_session=True,  # Ctrl-C is ours; we stop it in order
        )
    host = f"[{options.host}]" if ":" in options.host else options.host
    return Server(
        base_url=f"http://{host}:{port}/v1",
        api_key=api_key,
        model_names=[*(options.names or (options.model,)), *options.adapters],
        log=log_path,
        process=process,
    )


@contextlib.contextmanager
def listed(*servers: OurServer) -> Iterator[None]:
    """Let `our_server` find servers for the length of a block."""
    _OURS.update({server.base_url: server for server in servers})
    try:
        yield
    finally:
        for server in servers:
            _OURS.pop(server.base_url, None)


def our_server(base_url: str) -> OurServer | None:
    """The server at this address, if this process started it."""
    return _OURS.get(base_url.rstrip("/"))


def wait_until_ready(server: Server, start_s: float = _START_S) -> None:
    """Wait until a server has answered a question about an image.

    Raises:
        ServerError: If it ends or takes too long; the message has its last words.
    """
    started = shown = time.monotonic()
    say(f"starting vLLM with {server.model_names[0]} (log: {server.log})")
    root = server.base_url.removesuffix("/v1")
    with _client(server.api_key) as client:
        while not _is_listed(client, root, server.model_names):
            waited = time.monotonic() - started
            if not server.is_alive():
                msg = f"vLLM ended while starting (exit code {server.process.returncode}); the end of {server.log}:\n{server.last_words()}"
                raise ServerError(msg)
            if waited > start_s:
                msg = f"vLLM did not start within {waited:.0f} s; see {server.log}"
                raise ServerError(msg)
            if time.monotonic() - shown > 30:
                shown = time.monotonic()
                say(f"starting vLLM: {waited:.0f} s; {server.last_words(1)[-120:]}")
            time.sleep(0.3)
        for name in server.model_names:
            # The first request compiles and warms up, which takes long; it must not count as slow.
            _ask_canary(client, server, name)
    say(f"vLLM is ready after {time.monotonic() - started:.0f} s at {server.base_url}")


def _is_listed(client: httpx.Client, root: str, names: list[str]) -> bool:
    try:
        if client.get(f"{root}/health").status_code != 200:
            return False
        listed = {m["id"] for m in client.get(f"{root}/v1/models").json()["data"]}
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False
    return listed >= set(names)


def _ask_canary(client: httpx.Client, server: Server, name: str) -> None:
    body = {
        "model": name,
        "messages": [{"role": "user", "content": [*canary_parts(), {"type": "text", "text": "?"}]}],
        "max_tokens": 1,
        "temperature": 0,
    }
    try:
        reply = client.post(f"{server.base_url}/chat/completions", json=body, timeout=600)
    except httpx.HTTPError as error:
        msg = f"vLLM started but did not answer a first request with an image ({error!r}); the end of {server.log}:\n{server.last_words()}"
        raise ServerError(msg) from error
    if reply.status_code != 200:
        msg = f"vLLM started but refused a first request with an image to {name}: {reply.status_code} {reply.text[:400]}; is it a vision-language model with a chat template? See {server.log}"
        raise ServerError(msg)


def canary_parts() -> list[dict[str, Any]]:
    """A small grey image as a message part."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (128, 128, 128)).save(buffer, "PNG")
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return [{"type": "image_url", "image_url": {"url": url}}]


def stop(servers: Sequence[Server]) -> None:
    """Have the supervisors end their servers; end both where they do not."""
    processes = [server.process for server in servers if server.is_alive()]
    if not processes:
        return
    # A second Ctrl-C must not leave a server running.
    previous = _ignore_interrupts()
    try:
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + _STOP_S
        for process in processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _ignore_interrupts() -> dict[int, Any]:
    try:
        return {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        return {}  # not the main thread: signals do not arrive here


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _last_lines(path: Path, count: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16_384))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join([line for line in lines if line.strip()][-count:])
