"""What this machine has, and how many servers that makes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from pairwright.errors import UsageError

_FREE_ENOUGH = 0.9  # a desktop takes some of its GPU; more than 10 % is another program
_WHOLE = 0.97  # that much free memory is all of it: vLLM's own default fits
_MARGIN = 0.03
_CPU_SHARE = 0.2  # of the machine's memory, all servers together
_FEW_CORES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU that this process may use.

    Attributes:
        index: As CUDA_VISIBLE_DEVICES takes it: a number, or the name of a part of a GPU.
        name: As its maker calls it.
        total_mib: Its memory; 0 if unknown.
        free_mib: What nobody uses of it.
    """

    index: str
    name: str = "GPU"
    total_mib: int = 0
    free_mib: int = 0

    @property
    def free_share(self) -> float:
        """Free fraction of its memory; 1 if unknown."""
        return self.free_mib / self.total_mib if self.total_mib else 1.0

    def describe(self) -> str:
        """Its name and memory, for messages."""
        size = f", {self.free_mib / 1024:.0f} of {self.total_mib / 1024:.0f} GiB free"
        return self.name + (size if self.total_mib else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Room for one server.

    Attributes:
        devices: GPUs, as CUDA_VISIBLE_DEVICES takes them; none on a CPU.
        threads: Cores on a CPU; vLLM's own choice if not given.
        memory_share: Fraction of memory it may take; vLLM's own default if not given.
    """

    devices: tuple[str, ...] = ()
    threads: int | None = None
    memory_share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The servers of a machine, and in a line why so many."""

    slots: tuple[Slot, ...]
    words: str


def visible_gpus() -> tuple[Gpu, ...]:
    """The GPUs that nvidia-smi lists, less those that CUDA_VISIBLE_DEVICES hides."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = "--query-gpu=index,uuid,name,memory.total,memory.free"
    try:
        found = subprocess.run(
            [tool, query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse_gpus(found.stdout, os.environ.get("CUDA_VISIBLE_DEVICES"))


def parse_gpus(listing: str, visible: str | None) -> tuple[Gpu, ...]:
    """GPUs of nvidia-smi's listing (index, uuid, name, total, free), as far as they are visible."""
    rows = [[cell.strip() for cell in line.split(",")] for line in listing.splitlines()]
    known = {
        row[0]: (row[1], Gpu(index=row[0], name=row[2], total_mib=_mib(row[3]), free_mib=_mib(row[4])))
        for row in rows
        if len(row) == 5 and row[0].isdigit()
    }  # fmt: skip
    if visible is None:
        return tuple(gpu for _, gpu in known.values())
    chosen = []
    for word in visible.split(","):
        name = word.strip()
        if not name or name.startswith("-"):
            break  # as CUDA reads it: nothing after an invalid name counts
        by_uuid = [gpu for uuid, gpu in known.values() if uuid.startswith(name)]
        if name in known:
            chosen.append(known[name][1])
        elif len(by_uuid) == 1:
            chosen.append(by_uuid[0])
        elif name.startswith("MIG-"):
            chosen.append(Gpu(index=name, name="part of a GPU"))
        else:
            break
    return tuple(chosen)


def _mib(text: str) -> int:
    try:
        return int(float(text))
    except ValueError:
        return 0  # machines where CPU and GPU have one memory print [N/A]


def plan_servers(
    gpus: Sequence[Gpu],
    *,
    cores: int,
    on_cpu: bool,
    wanted: str | None = None,
    replicas: int | None = None,
    tensor_parallel: int = 1,
) -> Plan:
    """How many servers to start, and what each gets.

    Args:
        gpus: The GPUs of this machine.
        cores: Cores that this process may use.
        on_cpu: Whether vLLM is the build for CPUs.
        wanted: `all`, or GPUs by number; those that are free if not given.
        replicas: Servers; one for each GPU (or group of `tensor_parallel`) if not given, one on
            a CPU.
        tensor_parallel: GPUs that serve one copy of the model together.

    Raises:
        UsageError: If the machine does not have that.
    """
    if on_cpu or not gpus:
        if wanted is not None:
            why = "the installed vLLM is the build for CPUs" if on_cpu else "no GPU is visible here"
            msg = f"--gpus {wanted}: {why}; leave it out (--replicas N starts several servers)"
            raise UsageError(msg)
        if tensor_parallel > 1:
            msg = f"--tensor-parallel {tensor_parallel} spreads a model over GPUs; there is none to use here"
            raise UsageError(msg)
        return _on_cores(cores, replicas or 1, on_cpu=on_cpu)
    chosen, left_out = _choose(gpus, wanted)
    count = replicas or len(chosen) // tensor_parallel
    if not count or count * tensor_parallel > len(chosen):
        msg = (
            f"{max(count, 1)} server(s) of {tensor_parallel} GPU(s) each need "
            f"{max(count, 1) * tensor_parallel} GPUs, to use are {len(chosen)}: lower "
            "--replicas or --tensor-parallel, or name more with --gpus"
        )
        raise UsageError(msg)
    groups = [chosen[n * tensor_parallel : (n + 1) * tensor_parallel] for n in range(count)]
    each = "one GPU" if tensor_parallel == 1 else f"{tensor_parallel} GPUs"
    names = "; ".join(
        f"{'+'.join(gpu.index for gpu in group)}: {group[0].describe()}" for group in groups
    )
    busy = f"; in use, so left out: {', '.join(left_out)} (--gpus names them)" if left_out else ""
    word = "server" if count == 1 else "servers"
    return Plan(
        slots=tuple(
            Slot(devices=tuple(gpu.index for gpu in group), memory_share=_share(group))
            for group in groups
        ),
        words=f"{count} {word} on {each} each ({names}){busy}",
    )


def _on_cores(cores: int, count: int, *, on_cpu: bool) -> Plan:
    if not on_cpu:
        # Another accelerator than NVIDIA's: vLLM knows what to do with it, we do not.
        return Plan(slots=(Slot(),) * count, words=f"{count} x vLLM as it finds the machine")
    # A server is two busy processes, one of which computes.
    few = cores <= _FEW_CORES or count > 1
    threads = max(1, cores // count - (1 if cores // count > 1 else 0)) if few else None
    share = max(0.02, round(_CPU_SHARE / count, 3))
    word = "server" if count == 1 else "servers"
    shown = f"{threads} computing thread(s)" if threads else "as many threads as vLLM likes"
    return Plan(
        slots=(Slot(threads=threads, memory_share=share),) * count,
        words=f"{count} {word} on {cores} core(s), no GPU: {shown} each",
    )


def _choose(gpus: Sequence[Gpu], wanted: str | None) -> tuple[list[Gpu], list[str]]:
    """The GPUs to use, and the names of those that are left out because they are in use."""
    if wanted == "all":
        return list(gpus), []
    if wanted is None:
        free = [gpu for gpu in gpus if gpu.free_share >= _FREE_ENOUGH]
        if not free:
            return list(gpus), []
        return free, [gpu.index for gpu in gpus if gpu not in free]
    by_index = {gpu.index: gpu for gpu in gpus}
    names = wanted.split(",")
    missing = [name for name in names if name not in by_index]
    if missing:
        msg = f"--gpus {wanted}: no GPU {missing[0]} is visible here; there are: {', '.join(by_index)}"
        raise UsageError(msg)
    return [by_index[name] for name in names], []


def _share(group: Sequence[Gpu]) -> float | None:
    """Fraction of memory for a server, without what other programs use."""
    free = min(gpu.free_share for gpu in group)
    return None if free >= _WHOLE else max(0.05, round(free - _MARGIN, 2))
