"""What a fleet on this machine and one on a Ray cluster share: log files, servers that started."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pairwright.commands.progress import say
from pairwright.errors import ServerError


def log_paths(folder: Path, file: Path | None, count: int) -> list[Path]:
    """Where each of several servers writes; a file that was named gets numbers if needed."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    first = file or folder / f"vllm-{stamp}-{os.getpid()}.log"
    if count == 1:
        return [first]
    return [first.with_name(f"{first.stem}-{number}{first.suffix}") for number in range(count)]


def that_started(waits: Sequence[tuple[Any, Callable[[], object]]]) -> list[Any]:
    """Those of several servers that started; a line is printed for each other one.

    Args:
        waits: Servers, and for each a function that returns when the server is ready.

    Raises:
        ServerError: If none started.
    """
    running, failures = [], []
    for server, wait in waits:
        try:
            wait()
            running.append(server)
        except ServerError as error:
            failures.append(error)
            say(f"a server did not start: {error}")
    if not running:
        raise failures[0]
    if failures:
        say(f"going on with {len(running)} of {len(waits)} servers")
    return running
