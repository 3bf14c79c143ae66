"""A judge of known taste, for statistics: the real server's replies with other probabilities."""

import json
import math
import re
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from vlm_proxy import Proxy, is_trial

# Answers in the order shown -> probability of each letter.
Taste = Callable[[tuple[str, ...]], list[float]]


class SimulatedJudge(Proxy):
    """Forwards to a real server, and tells the probabilities that a taste gives the letters."""

    taste: Taste

    async def _handle(self, request: Request) -> Response:
        response = await super()._handle(request)
        if not request.url.path.endswith("/chat/completions") or response.status_code != 200:
            return response
        body = json.loads(await request.body())
        ids = body.get("logprob_token_ids")
        if is_trial(body) or not ids:
            return response
        raw = json.loads(bytes(response.body))
        told = [
            {"token": f"token_id:{i}", "logprob": math.log(p) if p > 0 else -1000.0}
            for i, p in zip(ids, self.taste(shown_in(body)), strict=True)
        ]
        best = max(told, key=lambda entry: entry["logprob"])
        raw["choices"][0]["logprobs"]["content"] = [{**best, "top_logprobs": told}]
        return JSONResponse(raw)


def shown_in(body: dict[str, Any]) -> tuple[str, ...]:
    """Answers of a request, in the order shown."""
    text = body["messages"][-1]["content"][-1]["text"]
    return tuple(re.findall(r"<answer_[A-Z]>\n(.*?)\n</answer_[A-Z]>", text, flags=re.DOTALL))
