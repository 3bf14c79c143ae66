"""A judge's reply becomes a row of the scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from judge.ask.targets import Source
from judge.measures.calibration import Calibration
from judge.rubric.rubric import Rubric
from pairwright.vlm.backend import ModelChoice
from pairwright.vlm.types import Reply, label_names


class Key(NamedTuple):
    """What a request is about.

    Attributes:
        target_id: The answer.
        criterion: Of the rubric.
        draw: Number of the mark among those of this answer and criterion.
        turn: Which of the assistant's turns, if all are judged.
        prompt: Hash of the prompt.
    """

    target_id: str
    criterion: str
    draw: int
    turn: int | None
    prompt: str


def ids_of(key: Key) -> tuple[str, str]:
    """The row a request is about and the request, as rejects name them."""
    turn = "" if key.turn is None else f"/{key.turn}"
    return key.target_id, f"{key.target_id}/{key.criterion}{turn}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marking:
    """One judge with one rubric.

    Attributes:
        rubric: What is asked.
        choice: The judge.
        source: What is judged.
        calibration: Reads its marks, if there is one.
    """

    rubric: Rubric
    choice: ModelChoice
    source: Source
    calibration: Calibration | None = None

    def row(self, reply: Reply, rationale: str | None = None) -> dict[str, Any]:
        """The row for a reply with label probabilities."""
        key: Key = reply.key
        rubric = self.rubric
        probs = reply.label_probs or {}
        mark, mass = expected_value(probs, rubric.labels_of(rubric.named(key.criterion)))
        calibrated = None
        if self.calibration is not None and mark is not None:
            calibrated = self.calibration.apply(self.choice.label, rubric.hash, key.criterion, mark)
        return {
            "target_id": key.target_id,
            "rubric": rubric.name,
            "criterion": key.criterion,
            "judge": self.choice.label,
            "repeat": key.draw,
            "turn": key.turn,
            "target_kind": self.source.kind,
            "score": mark,
            "calibrated": calibrated,
            "label_probs": [{"label": label, "p": p} for label, p in probs.items()],
            "label_mass": mass,
            "read_from": reply.read_from,
            "text": reply.texts[0] if reply.texts else None,
            "rationale": rationale,
            "rubric_hash": rubric.hash,
            "prompt_hash": key.prompt,
            "n_prompt_tokens": reply.usage.prompt_tokens,
            "n_tokens": reply.usage.completion_tokens,
            "latency_s": reply.latency_s,
            "error": "no_verdict" if mark is None else None,
        }


def expected_value(
    probs: Mapping[str, float], labels: Mapping[str, float]
) -> tuple[float | None, float]:
    """Mean value of the labels by their probability, and the probability of all labels together.

    Without any probability on a label there is no mark: not a zero.
    """
    names = label_names(tuple(labels))
    values = dict(zip(names, labels.values(), strict=True))
    mass = sum(probs.values())
    if mass <= 0:
        return None, 0.0
    return sum(p * values[name] for name, p in probs.items()) / mass, mass
