"""distilabel's OpenAI client on the requests of a file; prints wall time and CPU time as JSON.

    python judge_distilabel.py REQUESTS.jsonl URL MODEL LABEL_IDS

Its LLM class alone, in batches of 50 as its tasks make them, without its pipeline. Each request
carries its image: it has no other way.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

BATCH = 50


def cpu() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def chat(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages with the photo's bytes."""
    content = []
    for part in parts:
        if part["type"] == "image":
            raw = base64.b64encode(Path(part["path"]).read_bytes()).decode()
            url = {"url": f"data:image/jpeg;base64,{raw}"}
            content.append({"type": "image_url", "image_url": url})
        else:
            content.append(part)
    return [{"role": "user", "content": content}]


def main() -> None:
    """Ask everything once."""
    warnings.simplefilter("ignore")
    from distilabel.models import OpenAILLM

    requests, url, model, ids = sys.argv[1:]
    lines = [json.loads(line) for line in Path(requests).read_text().splitlines()]
    labels = json.loads(ids)
    key = os.environ.get("PAIRWRIGHT_API_KEY") or "none"
    llm = OpenAILLM(model=model, base_url=url, api_key=key)
    llm.load()
    extra = {
        "logprob_token_ids": labels,
        "allowed_token_ids": labels,
        "return_tokens_as_token_ids": True,
    }
    started, used, count = time.perf_counter(), cpu(), 0
    for at in range(0, len(lines), BATCH):
        outputs = llm.generate_outputs(
            inputs=[chat(line) for line in lines[at : at + BATCH]],
            max_new_tokens=1,
            temperature=0.0,
            logprobs=True,
            extra_body=extra,
        )
        count += sum(output["generations"][0] is not None for output in outputs)
    assert count == len(lines), f"{count} answers to {len(lines)} requests"
    took = {"wall": time.perf_counter() - started, "cpu": cpu() - used, "requests": count}
    print(json.dumps(took))


if __name__ == "__main__":
    main()
