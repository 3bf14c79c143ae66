"""How long `--help` of each program takes, against a Python that does nothing.

Prints the median of ten runs in milliseconds. The limit is 200 ms for `curate --help`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from running import keep_bytecode

PROGRAMS = ("curate", "judge", "prefs", "train", "pairwright")
RUNS = 10


def median_ms(*arguments: str) -> float:
    """Median wall time of a Python process."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    keep_bytecode()
    bare = median_ms("-c", "pass")
    print(f"{'python -c pass':<18}{bare:7.0f} ms")
    for program in PROGRAMS:
        call = f"import sys; sys.argv = ['{program}', '--help']; from pairwright.programs import {program}; {program}()"
        took = median_ms("-c", call)
        print(f"{program + ' --help':<18}{took:7.0f} ms   {took / bare:.1f} x")


if __name__ == "__main__":
    main()
