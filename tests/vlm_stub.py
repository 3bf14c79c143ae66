"""A stand-in for a model server that answers at once: what is left is the client's own cost.

    python tests/vlm_stub.py PORT

It speaks what the client needs of vLLM (models, tokenize, chat completions with the probabilities
of given tokens) and looks at nothing it does not need.
"""

import json
import re
import sys
from typing import Any
from zlib import crc32

import uvicorn

MODEL = "stub"
_IDS = re.compile(rb'"logprob_token_ids":\s*\[([\d, ]*)\]')


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The ASGI application."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    content = _answer(scope["path"], body)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _answer(path: str, body: bytes) -> bytes:
    if path.endswith("/models"):
        return json.dumps({"data": [{"id": MODEL, "owned_by": "vllm"}]}).encode()
    if path.endswith("/tokenize"):
        text = json.loads(body)["prompt"]
        ids = [crc32(part.encode()) % 50_000 for part in re.findall(r"\n|[^\n]+", text)]
        return json.dumps({"tokens": ids}).encode()
    found = _IDS.search(body)
    ids = found[1].split(b",") if found else [b"1"]
    # The last label is the likeliest.
    told = [
        {"token": f"token_id:{i.strip().decode()}", "logprob": -2.5 + 2 * (n + 1 == len(ids))}
        for n, i in enumerate(ids)
    ]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "x"},
        "logprobs": {"content": [{**told[-1], "top_logprobs": told}]},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 100, "completion_tokens": 1}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
