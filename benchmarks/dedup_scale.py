"""How time and memory of `curate dedup` grow with the number of rows.

    python benchmarks/dedup_scale.py [--sizes 100000 1000000 10000000] [--on sample text] [--keep DIR]

The datasets of `texts.py` are made one after another in the temporary folder (10 million rows take
some 5 GB of disk). Each run is a separate process. The cost of 1,000 rows is subtracted before the
growth exponent is computed, so that start and imports do not count. Peak memory is printed in two
parts: pages of the process, and pages of mapped files, which the system takes back when memory is
short.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from running import keep_bytecode

HERE = Path(__file__).resolve().parent


class Cost(NamedTuple):
    """Cost of a run: seconds, CPU seconds, MB."""

    wall: float
    cpu: float
    own: float
    mapped: float
    total: float


def measured(command: list[str]) -> Cost:
    """Run a process and watch its memory."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    status = Path(f"/proc/{process.pid}/status")
    own = mapped = total = 0
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        text = status.read_text()
        found = {k: int(v) for k, v in re.findall(r"(RssAnon|RssFile|VmRSS):\s*(\d+)", text)}
        own = max(own, found.get("RssAnon", 0))
        mapped = max(mapped, found.get("RssFile", 0))
        total = max(total, found.get("VmRSS", 0))
        time.sleep(0.05)
    process.returncode = os.waitstatus_to_exitcode(ended[1])
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    usage, wall = ended[2], time.perf_counter() - started
    return Cost(wall, usage.ru_utime + usage.ru_stime, own / 1024, mapped / 1024, total / 1024)


def run(n: int, on: list[str], keep: Path | None) -> dict[str, Cost]:
    """Dedup a dataset of n rows in each mode; it is made if it is not there."""
    with tempfile.TemporaryDirectory() as folder:
        data = (keep or Path(folder)) / str(n)
        if not data.exists():  # in another process, to keep this one small
            maker = [sys.executable, str(HERE / "texts.py"), "--n", str(n), "--dataset", str(data)]
            subprocess.run(maker, check=True)
        out = {}
        for mode in on:
            command = [str(Path(sys.executable).parent / "curate"), "dedup", str(data)]
            out[mode] = measured([*command, "--on", mode, "--run", mode, "--replace", "--quiet"])
        return out


def main() -> None:
    """Run all sizes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--on", nargs="+", default=["text", "sample"])
    parser.add_argument("--keep", type=Path, help="folder for the datasets, to use them again")
    options = parser.parse_args()
    keep_bytecode()
    run(1000, options.on, options.keep)  # compiled once a machine, not once a run
    fixed = run(1000, options.on, options.keep)
    print(
        f"{'on':8}{'rows':>12}{'wall s':>9}{'cpu s':>9}{'us a row':>10}{'exponent':>10}"
        f"{'own MB':>9}{'mapped MB':>11}{'peak MB':>9}"
    )
    last: dict[str, tuple[int, float]] = {}
    for n in options.sizes:
        for mode, cost in run(n, options.on, options.keep).items():
            cpu = cost.cpu - fixed[mode].cpu
            before = last.get(mode)
            exponent = math.log(cpu / before[1]) / math.log(n / before[0]) if before else math.nan
            last[mode] = n, cpu
            print(
                f"{mode:8}{n:>12,}{cost.wall:>9.1f}{cost.cpu:>9.1f}{1e6 * cpu / n:>10.2f}"
                f"{exponent:>10.3f}{cost.own:>9,.0f}{cost.mapped:>11,.0f}{cost.total:>9,.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
