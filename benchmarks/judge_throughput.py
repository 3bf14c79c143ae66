"""Speed of the judge's client: `judge score` against a minimal client.

    python benchmarks/judge_throughput.py [--photos 300] [--questions 5] [--repeat 3] [--base-url URL]
                                          [--naive 20] [--ceiling 20000] [--peers FOLDER] [--no-peers] [--json]

A real vLLM on this machine serves a tiny random Qwen2-VL (its own, or `--base-url` with the key in
PAIRWRIGHT_API_KEY). Images of noise, about 600 kB each as JPEG, new for every run so that no server
cache helps; questions about each; the prompts of the default rubric. Every client is a process of its
own:

- judge score: the whole command on a dataset: reads the tables, resizes, asks, writes durable rows.
- client: `HttpBackend.ask_all` alone, its requests rendered beforehand.
- bare: aiohttp, 64 workers, the same prompts, the same resizing in threads, each image sent once
  and named by hash afterwards. No retries, no tables; it stops at the first error.
- naive: one request at a time, each with the original image (on `--naive` images only).
- distilabel: its OpenAI client, batches of 50, the image in each request (on `--naive` images), in an environment of its own (made under the temporary folder, or `--peers` names one;
  `--no-peers` leaves it out).

Wall time and CPU time are measured around the requests; for `judge score` also of the whole process.
Medians of `--repeat` alternating runs. `--ceiling N`: requests per second and CPU time per request
of client and bare client with a stub that replies immediately (`tests/vlm_stub.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from judge_clients import WORKERS, requests_of
from judge_memory import stub
from running import keep_bytecode, peers_python

ROOT = Path(__file__).resolve().parents[1]
PEERS = ("distilabel==1.5.3", "openai", "requests")
SLOW = ("naive", "distilabel")
WORDS = [
    "what",
    "is",
    "to",
    "be",
    "seen",
    "in",
    "this",
    "picture",
    "and",
    "where",
    "does",
    "it",
    "stand",
    "or",
    "lie",
]


def photo(seed: int) -> bytes:
    """A JPEG of about 600 kB that no other seed has."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (96, 128, 3), dtype=np.uint8))
    image = small.resize((1024, 768), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 18, (768, 1024, 1))
    noisy = np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=91)
    return buffer.getvalue()


def make(path: Path, seed: int, photos: int, questions: int) -> None:
    """A dataset of photos and questions about them."""
    from tiny_dataset import sample, write_dataset

    contents = [photo(seed * 100_000 + n) for n in range(photos)]
    samples = [
        sample(f"{n}-{q}", [content], f"<image>\n{question}", f"{WORDS[q]} " * (5 + q))
        for n, content in enumerate(contents)
        for q in range(questions)
        for question in [" ".join(WORDS[q:]) + f", {n}?"]
    ]
    write_dataset(path, contents, samples)


def run_distilabel(python: str, path: Path, url: str, model: str) -> dict[str, Any]:
    """One run of distilabel's client; it gets the requests as a file, the photos as files."""
    import httpx

    from pairwright.dataset.store import Dataset
    from pairwright.images import ImageReader

    dataset = Dataset(path)
    reader, lines = ImageReader(dataset), []
    for request in requests_of(dataset):
        [turn] = request.messages
        parts = []
        for part in turn.parts:
            if part["type"] == "image":
                file = path / f"{part['image_id']}.jpg"
                if not file.exists():
                    file.write_bytes(reader.read(part["image_id"]))
                part = {"type": "image", "path": str(file)}
            parts.append(part)
        lines.append(json.dumps(parts))
    (path / "requests.jsonl").write_text("\n".join(lines))
    headers = {"Authorization": f"Bearer {os.environ.get('PAIRWRIGHT_API_KEY', '')}"}
    ids = []
    for label in "12345":
        body = {"model": model, "prompt": label, "add_special_tokens": False}
        ids.append(
            httpx.post(f"{url[:-3]}/tokenize", json=body, headers=headers).json()["tokens"][0]
        )
    script = ROOT / "benchmarks" / "peers" / "judge_distilabel.py"
    command = [python, str(script), str(path / "requests.jsonl"), url, model, json.dumps(ids)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run(
    name: str, path: Path, url: str, model: str, pixels: int, repeat: int = 1
) -> dict[str, Any]:
    """One run of one contestant."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    if name == "judge score":
        words = ["score", str(path), "--model", model, "--base-url", url, "--quiet"]
        words += ["--max-pixels", str(pixels), "--concurrency", str(WORKERS)]
        started, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        code = "from pairwright.programs import judge; judge()"
        subprocess.run([sys.executable, "-c", code, *words], env=env, check=True)
        wall, now = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        from pairwright.dataset.store import Dataset

        manifest = Dataset(path).manifest("scores", "score")
        assert manifest is not None
        asked = manifest.summary["asked"]
        spent = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
        return {
            "wall": asked["seconds"], "cpu": spent, "requests": asked["requests"], "whole": wall,
        }  # fmt: skip
    script = ROOT / "benchmarks" / "judge_clients.py"
    command = [sys.executable, str(script), name, str(path), url, model, str(pixels), str(repeat)]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


@contextlib.contextmanager
def served(base_url: str | None, folder: Path) -> Iterator[tuple[str, str]]:
    """Address and model of a server."""
    from tiny_models import make_tiny_lora, make_tiny_qwen
    from tiny_server import API_KEY, MODEL, started

    if base_url is not None:
        yield base_url, MODEL
        return
    os.environ["PAIRWRIGHT_API_KEY"] = API_KEY
    model = make_tiny_qwen(folder / MODEL)
    with started(model, make_tiny_lora(folder / "tiny-lora", model), folder) as server:
        yield server.base_url, MODEL


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--questions", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--naive", type=int, default=20, help="photos that the naive loop gets")
    parser.add_argument("--ceiling", type=int, default=20_000, help="requests; 0 leaves it out")
    parser.add_argument("--pixels", type=int, default=64 * 64, help="pixel limit of the model")
    parser.add_argument("--base-url")
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    keep_bytecode()
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served(options.base_url, folder) as (url, model):
            make(folder / "warm", 99, 4, 2)
            run("client", folder / "warm", url, model, options.pixels)
            names = ["bare", "client", "judge score", "naive"]
            peers = None if options.no_peers else peers_python("judge", PEERS, options.peers)
            names += [] if peers is None else ["distilabel"]
            for number in range(options.repeat):
                for at, one in enumerate(names[number % 3 :] + names[: number % 3]):
                    path = folder / f"{one.replace(' ', '-')}-{number}"
                    photos = options.naive if one in SLOW else options.photos
                    make(path, number * 10 + at + 1, photos, options.questions)
                    if one == "distilabel":
                        assert peers is not None
                        took = run_distilabel(peers, path, url, model)
                    else:
                        took = run(one, path, url, model, options.pixels)
                    found.setdefault(one, []).append(took)
                    print(f"  {one}: {json.dumps(took)}", file=sys.stderr, flush=True)
        if options.ceiling:
            make(folder / "ceiling", 98, 20, 5)
            with stub() as url:
                for number in range(2 * options.repeat):
                    one = ("bare", "client")[number % 2]
                    times = max(1, options.ceiling // 300)
                    took = run(one, folder / "ceiling", url, "stub", options.pixels, times)
                    found.setdefault(f"{one}, ceiling", []).append(took)
    table = {one: summed(runs) for one, runs in found.items()}
    print(json.dumps(table) if options.json else words(table))


def summed(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Medians of some runs."""
    middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    return middle | {
        "per_second": middle["requests"] / middle["wall"],
        "cpu_ms": 1000 * middle["cpu"] / middle["requests"],
    }


def words(table: dict[str, dict[str, float]]) -> str:
    """The table as text."""
    lines = []
    for one, row in table.items():
        base = table["bare, ceiling" if "ceiling" in one else "bare"]
        whole = f"  whole process {row['whole']:.1f} s" if "whole" in row else ""
        lines.append(
            f"{one:16} {row['per_second']:8.1f} requests/s  x{row['per_second'] / base['per_second']:.2f}"
            f" of bare  {row['cpu_ms']:6.2f} ms CPU a request{whole}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    main()
