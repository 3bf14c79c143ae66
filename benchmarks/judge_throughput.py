"""Speed of the judge's client: `judge score` against the barest client there can be.

    python benchmarks/judge_throughput.py [--photos 300] [--questions 5] [--repeat 3] [--base-url URL]
                                          [--naive 20] [--ceiling 20000] [--json]

A real vLLM on this machine serves a tiny random Qwen2-VL (its own, or `--base-url` with the key in
PAIRWRIGHT_API_KEY). Photos of noise, about 600 kB each as JPEG, made anew for every run so that no
server cache helps; questions about each; the prompts of the default rubric. Every contestant is a
process of its own:

- judge score: the whole command on a dataset: reads the tables, resizes, asks, writes durable rows.
- client: `HttpBackend.ask_all` alone, its requests rendered beforehand.
- bare: aiohttp, 64 workers, the same prompts, the same resizing in threads, each photo's bytes sent
  once and named by hash afterwards. No retries, no tables; one bad answer ends it.
- naive: one request at a time, the photo's bytes as they are in each (on `--naive` photos only).

Wall and processor time are taken round the asking; for `judge score` also round the whole process.
Medians of `--repeat` alternating runs. `--ceiling N`: requests a second and processor time a request
of client and bare client against a stand-in that answers at once (`tests/vlm_stub.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from judge_memory import stub

ROOT = Path(__file__).resolve().parents[1]
WORKERS = 64
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


# -- contestants ----------------------------------------------------------------------------------


def cpu() -> float:
    """Processor seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def requests_of(dataset: Any) -> list[Any]:
    """The requests that `judge score` makes, rendered."""
    from judge.render import render
    from judge.rubric import load_rubric
    from judge.score_options import ScoreOptions
    from judge.targets import by_image, choose_source, target_batches, targets_of
    from pairwright.images import ImageReader
    from pairwright.vlm.types import ChatRequest

    rubric, source = load_rubric("default"), choose_source(dataset, ScoreOptions(model="any"))
    reader: Any = ImageReader(dataset)
    return [
        ChatRequest(
            key=(target.target_id, criterion.name),
            messages=render(rubric, criterion, target),
            labels=tuple(rubric.labels),
        )
        for frame in target_batches(dataset, source, before="scores/score", limit=None)
        for target in targets_of(by_image(frame, reader), None)  # type: ignore[arg-type]
        for criterion in rubric.criteria
    ]


def ask_client(dataset: Any, requests: list[Any], url: str, model: str, pixels: int) -> None:
    """Our client."""
    from pairwright.images import ImageReader
    from pairwright.vlm.client import HttpBackend
    from pairwright.vlm.prepare import ImageSource

    images = ImageSource(ImageReader(dataset), pixels)
    key = os.environ.get("PAIRWRIGHT_API_KEY")
    backend = HttpBackend([url], [model], images, api_key=lambda _: key, concurrency=WORKERS)
    count = 0

    def on_reply(reply: Any) -> None:
        nonlocal count
        assert reply.error is None, reply.error
        count += 1

    backend.ask_all(requests, on_reply)
    assert count == len(requests)


def ask_bare(dataset: Any, requests: list[Any], url: str, model: str, pixels: int) -> None:
    """As little as can be done for the same answers."""
    import aiohttp

    from pairwright.images import ImageReader

    reader = ImageReader(dataset)
    headers = {"Authorization": f"Bearer {os.environ.get('PAIRWRIGHT_API_KEY', '')}"}
    sent: dict[str, asyncio.Future[str]] = {}

    async def main() -> None:
        loop, pool, left = asyncio.get_running_loop(), ThreadPoolExecutor(2), iter(requests)
        ids = {}
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), headers=headers
        ) as session:
            for label in requests[0].labels:
                body = {"model": model, "prompt": label, "add_special_tokens": False}
                async with session.post(f"{url[:-3]}/tokenize", json=body) as answer:
                    ids[label] = (await answer.json())["tokens"][0]

            async def image_of(image_id: str) -> tuple[dict[str, Any], bool]:
                if image_id in sent:
                    uuid = await sent[image_id]
                    return {"type": "image_url", "image_url": None, "uuid": uuid}, False
                sent[image_id] = loop.create_future()
                content = await loop.run_in_executor(pool, resized, reader.read(image_id), pixels)
                return image_part(content), True

            async def worker() -> None:
                for request in left:
                    [turn] = request.messages
                    parts, first = [], None
                    for part in turn.parts:
                        if part["type"] == "image":
                            part, is_first = await image_of(part["image_id"])
                            first = part["uuid"] if is_first else None
                        parts.append(part)
                    body = bare_body(model, parts, list(ids.values()))
                    async with session.post(f"{url}/chat/completions", json=body) as answer:
                        read_bare(await answer.json(), ids)
                    if first is not None:
                        sent[request.image_ids[0]].set_result(first)

            await asyncio.gather(*(worker() for _ in range(WORKERS)))

    asyncio.run(main())


def ask_naive(dataset: Any, requests: list[Any], url: str, model: str, pixels: int) -> None:
    """One request at a time, the photo in each."""
    import httpx

    from pairwright.images import ImageReader

    reader = ImageReader(dataset)
    headers = {"Authorization": f"Bearer {os.environ.get('PAIRWRIGHT_API_KEY', '')}"}
    with httpx.Client(headers=headers, timeout=100) as session:
        ids = {}
        for label in requests[0].labels:
            body = {"model": model, "prompt": label, "add_special_tokens": False}
            ids[label] = session.post(f"{url[:-3]}/tokenize", json=body).json()["tokens"][0]
        for request in requests:
            [turn] = request.messages
            parts = [
                image_part(reader.read(part["image_id"])) if part["type"] == "image" else part
                for part in turn.parts
            ]
            body = bare_body(model, [{**p, "uuid": None} for p in parts], list(ids.values()))
            read_bare(session.post(f"{url}/chat/completions", json=body).json(), ids)


def resized(content: bytes, pixels: int) -> bytes:
    """The photo within the model's budget."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        scale = min(1.0, (pixels / (image.width * image.height)) ** 0.5)
        size = (max(1, int(image.width * scale)), max(1, int(image.height * scale)))
        image.draft("RGB", size)
        buffer = io.BytesIO()
        image.resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def image_part(content: bytes) -> dict[str, Any]:
    """The bytes and their name."""
    url = "data:image/jpeg;base64," + base64.b64encode(content).decode()
    uuid = hashlib.sha256(content).hexdigest()[:32]
    return {"type": "image_url", "image_url": {"url": url}, "uuid": uuid}


def bare_body(model: str, parts: list[dict[str, Any]], ids: list[int]) -> dict[str, Any]:
    """The request."""
    return {
        "model": model,
        "messages": [{"role": "user", "content": parts}],
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": True,
        "logprob_token_ids": ids,
        "allowed_token_ids": ids,
        "return_tokens_as_token_ids": True,
    }


def read_bare(raw: dict[str, Any], ids: dict[str, int]) -> dict[str, float]:
    """The labels' log-probabilities."""
    top = raw["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    told = {entry["token"]: entry["logprob"] for entry in top}
    return {label: told[f"token_id:{i}"] for label, i in ids.items()}


CONTESTANTS = {"client": ask_client, "bare": ask_bare, "naive": ask_naive}


def contest(name: str, path: Path, url: str, model: str, pixels: int, repeat: int) -> None:
    """Run one contestant in this process and tell what it took."""
    from pairwright.store import Dataset

    dataset = Dataset(path)
    requests = requests_of(dataset)
    requests = [r for _ in range(repeat) for r in requests]
    started, used = time.perf_counter(), cpu()
    CONTESTANTS[name](dataset, requests, url, model, pixels)
    took = {"wall": time.perf_counter() - started, "cpu": cpu() - used, "requests": len(requests)}
    print(json.dumps(took))


# -- the contest ----------------------------------------------------------------------------------


def run(
    name: str, path: Path, url: str, model: str, pixels: int, repeat: int = 1
) -> dict[str, Any]:
    """One run of one contestant."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    if name == "judge score":
        words = ["score", str(path), "--model", model, "--base-url", url, "--quiet"]
        words += ["--max-pixels", str(pixels), "--concurrency", str(WORKERS)]
        started, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        code = "from judge.cli import main; main()"
        subprocess.run([sys.executable, "-c", code, *words], env=env, check=True)
        wall, now = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        from pairwright.store import Dataset

        manifest = Dataset(path).manifest("scores", "score")
        assert manifest is not None
        asked = manifest.summary["asked"]
        spent = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
        return {
            "wall": asked["seconds"], "cpu": spent, "requests": asked["requests"], "whole": wall,
        }  # fmt: skip
    words = [str(Path(__file__)), "--contestant", name, str(path), url, model, str(pixels)]
    command = [sys.executable, *words, str(repeat)]
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
    parser.add_argument(
        "--pixels", type=int, default=64 * 64, help="the model's budget of a picture"
    )
    parser.add_argument("--base-url")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served(options.base_url, folder) as (url, model):
            make(folder / "warm", 99, 4, 2)
            run("client", folder / "warm", url, model, options.pixels)
            names = ["bare", "client", "judge score", "naive"]
            for number in range(options.repeat):
                for at, one in enumerate(names[number % 3 :] + names[: number % 3]):
                    path = folder / f"{one.replace(' ', '-')}-{number}"
                    photos = options.naive if one == "naive" else options.photos
                    make(path, number * 10 + at + 1, photos, options.questions)
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
    if sys.argv[1:2] == ["--contestant"]:
        name, path, url, model, pixels, repeat = sys.argv[2:]
        contest(name, Path(path), url, model, int(pixels), int(repeat))
    else:
        main()
