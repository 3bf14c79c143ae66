"""Embedding images: `curate embed` against the plain open_clip loop and clip-retrieval.

    python benchmarks/embed.py [--images 256] [--model ViT-B-32|demo] [--photos FOLDER ...]
                               [--workers 2] [--repeat 1] [--peers FOLDER] [--no-peers]

All use the same photographs (from `--photos`, by default those of the shared data next to the
checkout; repeated with some bytes after the end, so that each file has another hash), the same
weights (random with seed 0, saved once; `demo` is the small CLIP of the demo) and the same machine.
Each tool is a separate process, from images to vectors on disk:

- pairwright: reads the images table, decodes in threads, scales and normalizes once per batch,
  encodes, writes parts from which a run can resume.
- loop: `torch.utils.data.DataLoader` with workers; Pillow, the transform of open_clip,
  `encode_image`, `numpy.save`. No table, no resume; one malformed image ends it.
- loop, no workers: the same with `num_workers=0`.
- pool: the steps of pairwright, but decoding in spawned processes instead of threads. The start of
  these, which import torch, counts in `whole s` only.
- clip-retrieval: `clip_inference` on the files, in a separate environment (in the temporary folder,
  or named by `--peers`). It knows registered architectures only. A run on two images is subtracted
  from its numbers, because its processes import torch again.

Printed: images per second of wall time and of CPU time (children included) from the first image to
the last, the start-up before, the ratio of the CPU time to pairwright's, and the min cosine of a
vector to pairwright's. torch uses `OMP_NUM_THREADS` threads (default here: 1 per process).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from running import keep_bytecode, peers_python

PEERS = ("clip-retrieval==2.45.0", "torch", "open-clip-torch", "setuptools<81")
ROOT = Path(__file__).resolve().parents[1]
PHOTOS = ("mllm-bench/images", "rlaif-v/images")
DEMO = ROOT / "pairwright" / "demo" / "models" / "clip"

HEAD = """
import json, os, resource, sys, time
from pathlib import Path
import numpy as np, torch
source, weights, model, target, workers = sys.argv[1:6]
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

def cpu():
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, both))
"""

COMMON = (
    HEAD
    + """
import open_clip

def load():
    if model == "demo":
        return open_clip.create_model_from_pretrained(f"local-dir:{weights}")
    return open_clip.create_model_from_pretrained(model, pretrained=weights)

def report(started, used, names, vectors):
    np.savez(target, names=names, vectors=np.concatenate(vectors))
    print(json.dumps({"wall": time.perf_counter() - started, "cpu": cpu() - used}))
"""
)

LOOP = (
    COMMON
    + """
from PIL import Image

class Photos(torch.utils.data.Dataset):
    def __init__(self, files, transform):
        self.files, self.transform = files, transform
    def __len__(self):
        return len(self.files)
    def __getitem__(self, at):
        return self.transform(Image.open(self.files[at]).convert("RGB"))

network, transform = load()
network.eval()
files = sorted(Path(source).iterdir())
started, used = time.perf_counter(), cpu()
batches = torch.utils.data.DataLoader(
    Photos(files, transform), batch_size=64, num_workers=int(workers)
)
vectors = []
with torch.inference_mode():
    for batch in batches:
        vectors.append(torch.nn.functional.normalize(network.encode_image(batch), dim=-1).numpy())
del batches
report(started, used, [f.stem for f in files], vectors)
"""
)

POOL = (
    COMMON
    + """
import multiprocessing, pickle
from collections import deque
from concurrent.futures import ProcessPoolExecutor

def start(form):
    global SPLIT
    torch.set_num_threads(1)
    SPLIT = pickle.loads(form)

def prepare(content):
    return SPLIT.prepare(content)

def of_pool(pool):
    fields = [Path(f"/proc/{p}/stat").read_text().split() for p in pool._processes]
    return sum(int(f[13]) + int(f[14]) for f in fields) / os.sysconf("SC_CLK_TCK")

if __name__ == "__main__":
    from curate.clip.model import ClipModel
    from curate.clip.preprocess import Preprocess
    network, transform = load()
    clip = ClipModel("x", network.eval(), Preprocess(transform), None, "cpu")
    context = multiprocessing.get_context("spawn")
    form = pickle.dumps(clip.preprocess)
    with ProcessPoolExecutor(
        int(workers), mp_context=context, initializer=start, initargs=(form,)
    ) as pool:
        files = sorted(Path(source).iterdir())
        list(pool.map(prepare, [files[0].read_bytes()] * 2 * int(workers)))
        started, used = time.perf_counter(), cpu() + of_pool(pool)
        waiting, ready, vectors = deque(), [], []
        for file in files:
            waiting.append(pool.submit(prepare, file.read_bytes()))
            if len(waiting) > 64 + 2 * int(workers):
                ready.append(waiting.popleft().result())
            if len(ready) == 64:
                vectors.append(clip.images(ready))
                ready = []
        ready += [future.result() for future in waiting]
        for at in range(0, len(ready), 64):
            vectors.append(clip.images(ready[at : at + 64]))
        wall, spent = time.perf_counter() - started, cpu() + of_pool(pool) - used
    np.savez(target, names=[f.stem for f in files], vectors=np.concatenate(vectors))
    print(json.dumps({"wall": wall, "cpu": spent}))
"""
)

RETRIEVAL = (ROOT / "benchmarks" / "peers" / "embed_clip_retrieval.py").read_text("utf-8")


class Result(NamedTuple):
    """The numbers of one tool."""

    name: str
    wall: float
    cpu: float
    whole: float
    vectors: dict[str, np.ndarray]


def main() -> None:
    """Run the contestants and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--model", default="ViT-B-32", help="architecture of open_clip, or demo")
    parser.add_argument("--photos", type=Path, nargs="+")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; the cheapest counts")
    parser.add_argument("--peers", type=Path, help="environment of clip-retrieval, made if absent")
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    keep_bytecode()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory(prefix="embed-") as name:
        work = Path(name)
        folder = work / "photos"
        total = make_photos(folder, options.photos, options.images)
        print(
            f"{options.images} photos, {total / options.images / 1000:.0f} kB each, {options.model}"
        )
        weights = save_weights(work, options.model)
        runs = [run_all(work, weights, options) for _ in range(options.repeat)]
        results = [min(same, key=lambda one: one.cpu) for same in zip(*runs, strict=True)]
        show(results, options.images)


def run_all(work: Path, weights: Path, options: argparse.Namespace) -> list[Result]:
    """Every contestant once."""
    results = [ours(work, work / "photos", weights, options)]
    for title, code, workers in (
        ("loop", LOOP, options.workers), ("loop, no workers", LOOP, 0), ("pool", POOL, options.workers),
    ):  # fmt: skip
        results.append(contestant(title, code, sys.executable, work, weights, options, workers))
    if not options.no_peers and options.model != "demo":
        python = peers_python("embed", PEERS, options.peers)
        title, workers = "clip-retrieval", options.workers
        results.append(contestant(title, RETRIEVAL, python, work, weights, options, workers))
    return results


def make_photos(target: Path, folders: list[Path] | None, count: int) -> int:
    """Real photos, each file another image to a hash."""
    shared = ROOT.parent / "shared" / "data"
    files = sorted(
        f for p in folders or [shared / n for n in PHOTOS] for f in p.glob("*") if f.is_file()
    )
    if not files:
        sys.exit("no photos: name folders of them with --photos")
    target.mkdir()
    total = 0
    for number in range(count):
        file = files[number % len(files)]
        content = file.read_bytes() + (f"\n{number}".encode() if number >= len(files) else b"")
        # A true ending: open_clip's and clip-retrieval's readers go by names.
        ending = {b"\xff\xd8": "jpg", b"\x89P": "png", b"RI": "webp"}[content[:2]]
        (target / f"{number:06d}.{ending}").write_bytes(content)
        total += len(content)
    return total


def save_weights(work: Path, model: str) -> Path:
    """Weights that every contestant loads."""
    if model == "demo":
        return DEMO
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = open_clip.create_model(model, load_weights=False)
    path = work / "weights.safetensors"
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)
    return path


def ours(work: Path, folder: Path, weights: Path, options: argparse.Namespace) -> Result:
    """`curate ingest`, which is not measured, then `curate embed`."""
    if not (work / "data").exists():
        ingest(work, folder)
    words = ["--model", options.model, "--pretrained", weights]
    if options.model == "demo":
        words = ["--model", weights]
    started = time.perf_counter()
    shown = curate(
        "embed", work / "data", *words, "--workers", options.workers, "--device", "cpu", "--json"
    )
    whole = time.perf_counter() - started
    summary = json.loads(shown)
    import polars as pl

    data = work / "data"
    vectors = pl.read_parquet(data / summary["table"] / "part-*.parquet").select(
        "item_id", "vector"
    )
    samples = pl.read_parquet(data / "samples" / "photos" / "part-*.parquet")
    names = samples.select(
        pl.col("image_ids").list.first().alias("item_id"),
        pl.col("messages").list.last().struct.field("content").alias("name"),
    )
    both = names.join(vectors, on="item_id")
    found = dict(zip(both["name"], both["vector"].to_numpy().astype("float32"), strict=True))
    wall = options.images / summary["images_per_second"]
    return Result("pairwright", wall, summary["cpu_seconds"], whole, found)


def ingest(work: Path, folder: Path) -> None:
    """The photos as a dataset."""
    rows = [{"image": f.name, "caption": f.stem} for f in sorted(folder.iterdir())]
    lines = work / "rows.jsonl"
    lines.write_text("\n".join(json.dumps(row) for row in rows))
    curate(
        "ingest", lines, "--image-folder", folder, "-o", work / "data", "--source-name", "photos"
    )


def curate(*words: object) -> str:
    """Run one of our commands."""
    code = "from pairwright.programs import curate; curate()"
    command = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def contestant(
    title: str,
    code: str,
    python: str,
    work: Path,
    weights: Path,
    options: argparse.Namespace,
    workers: int,
) -> Result:
    """Run another one."""
    script = work / "contestant.py"
    script.write_text(code)
    target = work / f"{title.replace(' ', '_')}.npz"
    command = [
        python,
        str(script),
        str(work / "photos"),
        str(weights),
        options.model,
        str(target),
        str(workers),
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT) if python == sys.executable else ""}
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        print(f"{title} failed: {done.stderr.strip()[-600:]}")
        return Result(title, float("nan"), float("nan"), float("nan"), {})
    printed = json.loads(re.findall(r'\{"wall".*?\}', done.stdout)[-1])
    found = np.load(target)
    vectors = dict(zip(found["names"].tolist(), found["vectors"], strict=True))
    return Result(title, printed["wall"], printed["cpu"], time.perf_counter() - started, vectors)


def show(results: list[Result], count: int) -> None:
    """Print the table."""
    base = results[0]
    head = f"{'':18} {'images/s':>9} {'images/CPU s':>13} {'CPU s':>8} {'whole s':>8} {'CPU ratio':>10} {'cosine':>8}"
    print(head)
    for one in results:
        cosine = min(
            (
                float(v @ base.vectors[k] / np.linalg.norm(v) / np.linalg.norm(base.vectors[k]))
                for k, v in one.vectors.items()
            ),
            default=float("nan"),
        )
        print(
            f"{one.name:18} {count / one.wall:9.1f} {count / one.cpu:13.1f} {one.cpu:8.1f} "
            f"{one.whole:8.1f} {one.cpu / base.cpu:10.2f} {cosine:8.5f}"
        )
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"peak memory of any process: {usage.ru_maxrss / 1000:.0f} MB; no GPU was used")


if __name__ == "__main__":
    main()
