"""Check through a real vLLM server that it reads the shipped models as transformers does.

The judge's first-token probabilities must equal those of transformers, and the policy must give
distinct answers at temperature 1 (vLLM takes a model's own generation config as its defaults, so
it is started with `--generation-config vllm`).
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import torch
from _tasks import rubric_prompt, verification
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from pairwright.demo import data

MODELS = Path(data.__file__).with_name("models")
NUM_IMAGES = 12


def main() -> None:
    """Run both checks; fail if a log-probability is off by more than 1e-3."""
    rows: dict[int, list[data.Question]] = defaultdict(list)
    for question in data.questions(sorted(data.image_split().curation)[:NUM_IMAGES]):
        rows[question.image].append(question)
    with _server(MODELS / "judge") as url:
        worst = _compare(url, rows)
    print(f"judge: largest difference of a label's log-probability {worst:.1e}")
    with _server(MODELS / "policy") as url:
        _sample(url, rows)
    if worst > 1e-3:
        raise SystemExit("vLLM and transformers disagree")


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = ["--model", str(folder), "--served-model-name", "m", "--host", "127.0.0.1"]
    flags += ["--port", str(port), "--dtype", "float32", "--max-model-len", "512"]
    flags += ["--gpu-memory-utilization", "0.1", "--generation-config", "vllm"]
    flags += ["--enforce-eager", "--limit-mm-per-prompt", '{"image":1,"video":0}']
    environment = {
        **os.environ,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
    }
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *flags]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}"
        try:
            _wait(url, process)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def _wait(url: str, process: subprocess.Popen[bytes], limit_s: float = 300) -> None:
    start = time.monotonic()
    while time.monotonic() - start < limit_s:
        if process.poll() is not None:
            raise SystemExit(f"the server stopped with code {process.returncode}")
        try:
            if httpx.get(f"{url}/health").status_code == httpx.codes.OK:
                print(f"server ready after {time.monotonic() - start:.0f} s")
                return
        except httpx.TransportError:
            pass
        time.sleep(1)
    raise SystemExit(f"the server was not ready after {limit_s:.0f} s")


def _ask(url: str, image: Image.Image, text: str, **parameters: Any) -> list[dict[str, Any]]:
    file = io.BytesIO()
    image.save(file, "PNG")
    source = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    content = [
        {"type": "image_url", "image_url": {"url": source}},
        {"type": "text", "text": text},
    ]
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **parameters}
    reply = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=120)
    reply.raise_for_status()
    return list(reply.json()["choices"])


@torch.no_grad()
def _compare(url: str, rows: dict[int, list[data.Question]]) -> float:
    folder = MODELS / "judge"
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    labels = [processor.tokenizer.convert_tokens_to_ids(w) for w in ("no", "yes")]
    paths = data.image_paths("train")
    worst = 0.0
    for number, questions in rows.items():
        image = Image.open(paths[number]).convert("RGB")
        row = questions[0]
        for candidate in (row.answer, data.other_answers(row.answer)[0]):
            text = verification(rubric_prompt(), row.text, candidate, right=True).prompt
            choice = _ask(
                url,
                image,
                text,
                max_tokens=1,
                temperature=0,
                logprobs=True,
                logprob_token_ids=labels,
                allowed_token_ids=labels,
                return_tokens_as_token_ids=True,
            )[0]
            top = choice["logprobs"]["content"][0]["top_logprobs"]
            got = {int(t["token"].removeprefix("token_id:")): t["logprob"] for t in top}
            parts = [{"type": "image"}, {"type": "text", "text": text}]
            messages = [{"role": "user", "content": parts}]
            prompt = processor.apply_chat_template(messages, add_generation_prompt=True)
            inputs = processor(text=prompt, images=image, return_tensors="pt")
            want = model(**inputs).logits[0, -1].log_softmax(-1)
            for label in labels:
                # Probabilities below e^-15 are rounding errors on either side.
                if want[label] > -15 and math.isfinite(got[label]):
                    worst = max(worst, abs(got[label] - float(want[label])))
    return worst


def _sample(url: str, rows: dict[int, list[data.Question]]) -> None:
    paths = data.image_paths("train")
    num_distinct = []
    for number, questions in rows.items():
        image = Image.open(paths[number]).convert("RGB")
        for row in questions:
            choices = _ask(url, image, row.text, n=8, temperature=1.0, top_p=1.0, max_tokens=8)
            said = Counter(c["message"]["content"] for c in choices)
            num_distinct.append(len(said))
            if len(num_distinct) <= 6:
                print(json.dumps({"question": row.text, "answer": row.answer, "said": said}))
    share = sum(n > 1 for n in num_distinct) / len(num_distinct)
    print(f"policy: {share:.0%} of {len(num_distinct)} questions have distinct answers of 8")


if __name__ == "__main__":
    main()
