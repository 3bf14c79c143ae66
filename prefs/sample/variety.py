"""Whether the responses to a prompt differ: without that no pairs can be made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pairwright.errors import GateError
from pairwright.text.counts import counted

if TYPE_CHECKING:
    from pairwright.vlm.types import Reply

# So many prompts without two different responses, from a policy that is less certain than this: the
# server cannot be sampling.
_MIN_PROMPTS = 32
_CERTAIN = 0.9


@dataclass(slots=True)
class VarietyWatch:
    """Stops a run whose server does not sample.

    Attributes:
        n: Responses per prompt.
        prompts: Prompts so far.
        with_several: Those with different responses.
        probabilities: Of the responses.
    """

    n: int
    prompts: int = 0
    with_several: int = 0
    probabilities: list[float] = field(default_factory=list)

    def add(self, reply: Reply) -> None:
        """Count a reply's distinct responses.

        Raises:
            GateError: If many prompts have one distinct response each.
        """
        if self.n < 2:
            return
        self.prompts += 1
        self.with_several += len(set(reply.texts)) > 1
        known = [p for p in reply.logprobs if p is not None]
        self.probabilities += [math.exp(max(p, -50.0)) for p in known]
        if self.prompts < _MIN_PROMPTS or self.with_several:
            return
        mean = sum(self.probabilities) / len(self.probabilities) if self.probabilities else 0.0
        if mean < _CERTAIN:
            raise GateError(_not_sampling(self.prompts, self.n))


def _not_sampling(prompts: int, n: int) -> str:
    return (
        f"{prompts} prompts have one distinct response each although {n} were sampled: the server "
        "does not sample. The usual cause is the model's own generation_config (Qwen2-VL: top_k=1): "
        "start the server with `--generation-config vllm` (`judge serve` does), and check that it "
        "uses temperature, top_p and top_k"
    )


def gate(summary: dict[str, Any]) -> str | None:
    """Why a run's responses cannot be used for pairs, if they cannot."""
    if summary.get("n", 1) < 2 or summary["prompts"] < _MIN_PROMPTS:
        return None
    if summary["one_response_only"] < summary["prompts"]:
        return None
    prompts = counted(summary["prompts"], "prompt has", "prompts have")
    return (
        f"{prompts} one distinct response each: the policy is too "
        f"certain at temperature {summary['temperature']:g}; raise --temperature or -n"
    )
