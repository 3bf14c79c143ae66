"""Runs a command and ends it, with all it started, when the process that started it is gone.

Run as a file (`python -I supervise.py PARENT_PID COMMAND...`), standard library only. The parent
may die in any way, `kill -9` included: its pid is watched, so no handler of the parent's matters.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_POLL_S = 0.2
_GRACE_S = 10.0


def main(words: list[str]) -> int:
    """Run the command; return its exit code, or 143 if it was stopped."""
    parent, command = int(words[0]), words[1:]
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    stop = False

    def on_signal(*_: object) -> None:
        nonlocal stop
        stop = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    # A group of its own, so that all of it can be signalled at once.
    child = subprocess.Popen(command, process_group=0, preexec_fn=_die_with_supervisor)
    while child.poll() is None:
        if stop or os.getppid() != parent:
            stop = True
            break
        time.sleep(_POLL_S)
    _end(child)
    return 143 if stop else child.returncode


def _die_with_supervisor() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _prctl(what: int, value: int) -> None:
    # Linux only; elsewhere the watched pid has to be enough.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(what, value, 0, 0, 0)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask all its processes to end, then kill them."""
    _signal_all(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_S
    while time.monotonic() < deadline:
        child.poll()
        _reap()
        if child.returncode is not None and not _descendants(os.getpid()):
            return
        time.sleep(0.05)
    while child.poll() is None or _descendants(os.getpid()):
        _signal_all(child.pid, signal.SIGKILL)
        _reap()
        time.sleep(0.05)


def _signal_all(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
    for pid in _descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _reap() -> None:
    """Collect orphans that were handed to us; the child itself is Popen's to collect."""
    for pid in _descendants(os.getpid(), zombies=True):
        with contextlib.suppress(ChildProcessError, OSError):
            os.waitpid(pid, os.WNOHANG)


def _descendants(root: int, *, zombies: bool = False) -> list[int]:
    """Living (or only dead and uncollected) processes below a process."""
    children: dict[int, list[int]] = {}
    states: dict[int, str] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            text = (path / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        state, ppid = text.rpartition(")")[2].split()[:2]
        states[int(path.name)] = state
        children.setdefault(int(ppid), []).append(int(path.name))
    found, pending = [], [root]
    while pending:
        for pid in children.get(pending.pop(), ()):
            pending.append(pid)
            if (states[pid] == "Z") == zombies:
                found.append(pid)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
