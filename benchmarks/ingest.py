"""Reading sources into Parquet: `curate ingest` against `datasets`, with polars as the floor.

    python benchmarks/ingest.py [--rows 100000] [--images 1500] [--repeat 1] [--peers FOLDER]

Three sources are made from a fixed seed: `text`, JSON lines of LLaVA conversations without images;
`parquet`, rows with JPEGs of 640x480 inside, each under two questions; `folder`, the same as one JSON
array beside image files. Every tool is a process of its own, from the source to Parquet on disk; the
peers (versions are printed) are installed into an environment of their own under the temporary
folder, or `--peers` names one.

What each does, so that the figures can be read:

- pairwright: turns every row into one conversation form with checked roles, placeholders and texts; gives
  stable ids; decodes each distinct image whole, once, with size limits, in worker processes; hashes
  it (sha256 and perceptual) and stores it once; writes durable parts with fsync, resumes, and keeps a
  row for every reject. One bad row costs one row.
- datasets: `load_dataset` (which converts to Arrow in its cache), `cast_column` to `Image`, a pass
  that decodes every row's image, `to_parquet`. No checks of conversations, no hashes; one bad row
  ends it.
- polars: reads and writes again. It looks at nothing: the floor, not a peer.

Printed: wall seconds, CPU seconds (children included), rows and source megabytes per CPU
second, the CPU time's ratio to pairwright's, and peak memory of the main process.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from running import Cost, measured, peers_python

PEERS = ("datasets==5.2.0", "polars==2.1.0", "pyarrow==26.0.1", "pillow")
QUESTIONS = ("What is to be seen here?", "Describe the colors of the image.")

DATASETS = """
import sys
from datasets import Image, load_dataset

kind, source, folder, target, cache = sys.argv[1:]
builder = "parquet" if kind == "parquet" else "json"
rows = load_dataset(builder, data_files=source, split="train", cache_dir=cache)
if kind == "folder":
    rows = rows.map(lambda row: {"image": f"{folder}/{row['image']}"})
if kind != "text":
    rows = rows.cast_column("image", Image())

    def check(row):
        row["image"].load()

    rows.map(check)
rows.to_parquet(target)
"""
POLARS = """
import sys
import polars as pl

kind, source, folder, target, cache = sys.argv[1:]
if kind == "parquet":
    pl.read_parquet(source).write_parquet(target)
elif kind == "text":
    pl.read_ndjson(source).write_parquet(target)
else:
    pl.read_json(source).write_parquet(target)
"""


def make(folder: Path, rows: int, images: int) -> dict[str, tuple[Path, int, int]]:
    """The three sources: path, rows and bytes by name."""
    rng = np.random.default_rng(20260101)
    words = np.array([f"word{n}" for n in range(5000)])

    def text(low: int, high: int) -> str:
        return " ".join(words[rng.integers(0, len(words), rng.integers(low, high))])

    def turns(question: str, answer: str) -> list[dict[str, str]]:
        return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]

    lines = folder / "text.jsonl"
    with lines.open("w") as file:
        for n in range(rows):
            row = {"id": f"r{n}", "conversations": turns(text(5, 20), text(20, 60)), "set": "made"}
            file.write(json.dumps(row) + "\n")

    (folder / "images").mkdir()
    table, listed = [], []
    for n in range(images):
        content = jpeg(rng)
        (folder / "images" / f"{n}.jpg").write_bytes(content)
        for k, question in enumerate(QUESTIONS):
            answer = text(5, 40)
            value = {"bytes": content, "path": f"{n}.jpg"}
            table.append({"id": f"{n}-{k}", "image": value, "question": question, "answer": answer})
            conversation = turns(f"<image>\n{question}", answer)
            listed.append(
                {"id": f"{n}-{k}", "image": f"images/{n}.jpg", "conversations": conversation}
            )
    pq.write_table(pa.Table.from_pylist(table), folder / "rows.parquet", row_group_size=200)
    (folder / "rows.json").write_text(json.dumps(listed))
    images = sum(path.stat().st_size for path in (folder / "images").iterdir())
    found = {
        "text": (lines, rows),
        "parquet": (folder / "rows.parquet", len(table)),
        "folder": (folder / "rows.json", len(listed)),
    }
    return {
        name: (path, n, path.stat().st_size + (images if name == "folder" else 0))
        for name, (path, n) in found.items()
    }


def jpeg(rng: np.random.Generator) -> bytes:
    """A photo-like image: smooth areas with some noise."""
    small = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8))
    pixels = np.asarray(small.resize((640, 480), Image.Resampling.BICUBIC), dtype=np.int16)
    noisy = pixels + rng.integers(-6, 6, (480, 640, 1), dtype=np.int16)
    out = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=88)
    return out.getvalue()


OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}


def command_of(tool: str, kind: str, source: Path, out: Path, python: str) -> list[str]:
    """Command line of one run."""
    if tool == "pairwright":
        code = "from pairwright.programs import curate; curate()"
        return [sys.executable, "-c", code, "ingest", str(source), "-o", str(out / "d"), "--quiet"]
    code = DATASETS if tool == "datasets" else POLARS
    words = [kind, str(source), str(source.parent), str(out / "rows.parquet"), str(out / "cache")]
    return [python, "-c", code, *words]


def main() -> None:
    """Run all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--images", type=int, default=1_500)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--peers", type=Path)
    arguments = parser.parse_args()
    python = peers_python("ingest", PEERS, arguments.peers)
    print(f"peers: {', '.join(PEERS)}; {os.cpu_count()} processors; medians of {arguments.repeat}")
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as folder:
        sources = make(Path(folder), arguments.rows, arguments.images)
        for kind, (source, rows, n_bytes) in sources.items():
            costs = {tool: [] for tool in ("pairwright", "datasets", "polars")}
            for _ in range(arguments.repeat):
                for tool, found in costs.items():
                    out = Path(folder) / "out"
                    out.mkdir()
                    found.append(measured(command_of(tool, kind, source, out, python), **OFFLINE))
                    shutil.rmtree(out)
            show(kind, rows, n_bytes, costs)


def show(kind: str, rows: int, n_bytes: int, costs: dict[str, list[Cost]]) -> None:
    """Print one source's table."""
    print(f"\n{kind}: {rows:,} rows, {n_bytes / 1e6:,.0f} MB")
    print(
        f"{'':12}{'wall s':>8}{'cpu s':>8}{'rows/cpu s':>12}{'MB/cpu s':>10}{'ratio':>8}{'MB':>7}"
    )
    base = statistics.median(cost.cpu for cost in costs["pairwright"])
    for tool, found in costs.items():
        wall, cpu, peak = (statistics.median(column) for column in zip(*found, strict=True))
        print(
            f"{tool:12}{wall:8.1f}{cpu:8.1f}{rows / cpu:12,.0f}{n_bytes / 1e6 / cpu:10.1f}"
            f"{cpu / base:8.2f}{peak:7.0f}"
        )


if __name__ == "__main__":
    main()
