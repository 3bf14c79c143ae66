"""The clients that `judge_throughput.py` compares, each a process of its own.

    python judge_clients.py client|bare|naive DATASET URL MODEL PIXELS REPEAT

The requests are rendered beforehand; printed is one line of JSON with the wall time and CPU time of
all requests.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import os
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pairwright.dataset.manifest import RunKey

ROOT = Path(__file__).resolve().parents[1]
WORKERS = 64


def cpu() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def requests_of(dataset: Any) -> list[Any]:
    """The requests that `judge score` makes, rendered."""
    from judge.ask.scoring import score_request
    from judge.ask.targets import by_image, choose_source, target_batches, targets_of
    from judge.rubric.rubric import load_rubric
    from judge.score.options import ScoreOptions
    from pairwright.images import ImageReader

    rubric, source = load_rubric("default"), choose_source(dataset, ScoreOptions(model="any"))
    reader: Any = ImageReader(dataset)
    return [
        score_request(rubric, criterion, target)
        for frame in target_batches(
            dataset, source, for_run=RunKey("score", "scores/score"), limit=None
        )
        for target in targets_of(by_image(frame, reader), None)  # type: ignore[arg-type]
        for criterion in rubric.criteria
    ]


def ask_client(dataset: Any, requests: list[Any], url: str, model: str, pixels: int) -> None:
    """Our client."""
    from pairwright.images import ImageReader
    from pairwright.vlm.http.client import HttpBackend
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
    """The least work for the same replies."""
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
    from pairwright.dataset.store import Dataset

    dataset = Dataset(path)
    requests = requests_of(dataset)
    requests = [r for _ in range(repeat) for r in requests]
    started, used = time.perf_counter(), cpu()
    CONTESTANTS[name](dataset, requests, url, model, pixels)
    took = {"wall": time.perf_counter() - started, "cpu": cpu() - used, "requests": len(requests)}
    print(json.dumps(took))


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT)]
    name, path, url, model, pixels, repeat = sys.argv[1:]
    contest(name, Path(path), url, model, int(pixels), int(repeat))
