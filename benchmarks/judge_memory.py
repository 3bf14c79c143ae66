"""Memory of `judge score` as the table grows.

    python benchmarks/judge_memory.py [--rows 10000 200000] [--per-image 1 20] [--json]

Datasets of so many rows, with one or several rows per image, are judged on one criterion by the whole
command, in a process of its own, with a stub of a model server that replies immediately
(`tests/vlm_stub.py`). Printed: peak memory, wall time and CPU time, and the ratio of the peak to that
of the smallest table. The first line is the command's `--dry-run` on the smallest table: the memory
of the imports.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from running import Cost, measured

ROOT = Path(__file__).resolve().parents[1]
JUDGE = [sys.executable, "-c", "from pairwright.programs import judge; judge()"]
RUBRIC = """\
name: one
labels: {"1": 1, "2": 2, "3": 3, "4": 4, "5": 5}
prompt: "{question} {answer} {criterion}?"
criteria: [{name: right}]
"""


def png(number: int) -> bytes:
    """A small image for each number; written without Pillow, which takes longer."""
    color = struct.pack(">I", number)[1:]
    pixels = (b"\0" + color * 32) * 32

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    )


def image_rows(count: int) -> Iterator[dict[str, Any]]:
    """Rows of the images table."""
    for number in range(count):
        content = png(number)
        yield {
            "image_id": hashlib.sha256(content).hexdigest(),
            "bytes": content,
            "format": "png",
            "width": 32,
            "height": 32,
            "n_bytes": len(content),
            "phash": 0,
        }


def sample_rows(count: int, per_image: int) -> Iterator[dict[str, Any]]:
    """Rows of the samples table; their images in a shuffled order, as real tables have them."""
    images = count // per_image
    for number in range(count):
        image = hashlib.sha256(png(number * 7919 % images)).hexdigest()
        question = f"<image>\nquestion {number}: {'what is to be seen here ' * 4}?"
        answer = f"answer {number}: {'something or other ' * 8}"
        yield {
            "sample_id": hashlib.sha256(b"%d" % number).hexdigest()[:32],
            "image_ids": [image],
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ],
            "source": "made",
            "source_id": str(number),
        }


def make(path: Path, rows: int, per_image: int) -> None:
    """A dataset of so many rows."""
    from pairwright.dataset.store import Dataset

    dataset = Dataset.create(path)
    made = {"images": image_rows(rows // per_image), "samples": sample_rows(rows, per_image)}
    for kind, content in made.items():
        with dataset.write(kind, "made", step="ingest", config={}, rejects=False) as writer:
            while some := list(itertools.islice(content, 5_000)):
                writer.add(some)


@contextlib.contextmanager
def stub() -> Iterator[str]:
    """Address of a server that replies immediately, for the length of a block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(ROOT / "tests" / "vlm_stub.py"), str(port)])
    url = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/models"):
                break
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def judged(dataset: Path, rubric: Path, url: str, *more: str) -> Cost:
    """What `judge score` takes."""
    words = ["score", str(dataset), "--model", "stub", "--base-url", url, "--rubric", str(rubric)]
    return measured([*JUDGE, *words, "--quiet", *more], PYTHONPATH=str(ROOT))


def rows_of(dataset: Path) -> int:
    """Scores that were written."""
    from pairwright.dataset.store import Dataset

    manifest = Dataset(dataset).manifest("scores", "score")
    assert manifest is not None
    return manifest.rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 200_000])
    parser.add_argument("--per-image", type=int, nargs="+", default=[1, 20])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    lines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name, stub() as url:
        folder = Path(name)
        rubric = folder / "one.yaml"
        rubric.write_text(RUBRIC)
        for per_image in options.per_image:
            for rows in sorted(options.rows):
                dataset = folder / f"{per_image}-{rows}"
                make(dataset, rows, per_image)
                if not lines:
                    lines.append(_line("imports", 0, judged(dataset, rubric, url, "--dry-run")))
                cost = judged(dataset, rubric, url)
                assert rows_of(dataset) == rows
                lines.append(_line(f"{per_image} per image", rows, cost))
                if not options.json:
                    print(_words(lines[-1], lines), flush=True)
    if options.json:
        print(json.dumps(lines))


def _line(what: str, rows: int, cost: Cost) -> dict[str, Any]:
    return {"what": what, "rows": rows, **cost._asdict()}


def _words(line: dict[str, Any], lines: list[dict[str, Any]]) -> str:
    first = next(one for one in lines if one["what"] == line["what"])
    imports = lines[0]["peak"]
    return (
        f"{line['what']:14} {line['rows']:9,} rows  peak {line['peak']:6.0f} MB "
        f"(imports {imports:.0f})  x{line['peak'] / first['peak']:.2f}  "
        f"{line['wall']:6.1f} s wall  {line['cpu']:6.1f} s CPU"
    )


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT)]
    main()
