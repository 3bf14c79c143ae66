"""From a rubric and a response to a request, and from the reply to a row of scores.

Nothing here knows a dataset: `score_request` and `score_columns` serve any caller that has a rubric
and a `Target`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from judge.ask.targets import Source
from judge.measures.calibration import Calibration
from judge.rubric.render import Target, prompt_hash, render
from judge.rubric.rubric import Criterion, Rubric
from pairwright.vlm.backend import ModelChoice
from pairwright.vlm.types import ChatRequest, Reply, label_names


class ScoreKey(NamedTuple):
    """What a request for a score is about.

    Attributes:
        target_id: The response.
        criterion: Of the rubric.
        turn: Which of the assistant's turns, if all are judged.
        repeat: The same question asked again, from 0.
        prompt: Hash of the prompt.
    """

    target_id: str
    criterion: str
    turn: int | None
    repeat: int
    prompt: str

    @property
    def ids(self) -> tuple[str, str]:
        """The row and the request, as the table of invalid rows names them."""
        turn = "" if self.turn is None else f"/{self.turn}"
        return self.target_id, f"{self.target_id}/{self.criterion}{turn}"


def repeat_column(turn: int | None, repeat: int, repeats: int) -> int:
    """Value of the column `repeat`, which numbers all scores of a target by one criterion.

    The repeats of the first turn come first, then those of the second turn, and so on.

    Args:
        turn: The assistant's turn, from 0; `None` where only the last one is judged.
        repeat: The repeat, from 0.
        repeats: How often each turn is judged.
    """
    return (turn or 0) * repeats + repeat


def turn_and_repeat(column: int, repeats: int) -> tuple[int, int]:
    """What a value of the column `repeat` means: the inverse of `repeat_column`."""
    return divmod(column, repeats)


def score_request(
    rubric: Rubric, criterion: Criterion, target: Target, *, samples: int = 1, seed: int = 0
) -> ChatRequest:
    """The request for a score: one token, of which the labels' probabilities are wanted.

    Args:
        rubric: What is asked.
        criterion: About what.
        target: The response, with its prompt and images.
        samples: Verdicts to sample where a server reports no probabilities.
        seed: Of that sampling.
    """
    turns = render(rubric, criterion, target)
    return ChatRequest(
        key=ScoreKey(target.target_id, criterion.name, target.turn, 0, prompt_hash(turns)),
        messages=turns,
        labels=tuple(rubric.labels_of(criterion)),
        label_samples=samples,
        seed=seed if samples > 1 else None,
    )


def expected_value(
    probs: Mapping[str, float], labels: Mapping[str, float]
) -> tuple[float | None, float]:
    """Mean value of the labels by their probability, and the probability of all labels together.

    Without any probability on a label there is no score: not a zero.
    """
    names = label_names(tuple(labels))
    values = dict(zip(names, labels.values(), strict=True))
    mass = sum(probs.values())
    if mass <= 0:
        return None, 0.0
    return sum(p * values[name] for name, p in probs.items()) / mass, mass


def score_columns(rubric: Rubric, criterion: str, reply: Reply) -> dict[str, Any]:
    """The columns that a rubric and a reply fill, in the tables `scores` and `probes`."""
    probs = reply.label_probs or {}
    score, mass = expected_value(probs, rubric.labels_of(rubric.named(criterion)))
    return {
        "rubric": rubric.name,
        "criterion": criterion,
        "score": score,
        "label_probs": [{"label": label, "p": p} for label, p in probs.items()],
        "label_mass": mass,
        "read_from": reply.read_from,
        "text": reply.texts[0] if reply.texts else None,
        "rubric_hash": rubric.hash,
        "n_prompt_tokens": reply.usage.prompt_tokens,
        "n_tokens": reply.usage.completion_tokens,
        "latency_s": reply.latency_s,
        "error": "no_verdict" if score is None else None,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """One judge with one rubric.

    Attributes:
        rubric: What is asked.
        choice: The judge.
        source: What is judged.
        calibration: Calibrates the judge's scores, if there is one.
        repeats: Rows for one target, turn and criterion.
    """

    rubric: Rubric
    choice: ModelChoice
    source: Source
    calibration: Calibration | None = None
    repeats: int = 1

    def row(self, reply: Reply, rationale: str | None = None) -> dict[str, Any]:
        """The row of `scores` for a reply with label probabilities."""
        key: ScoreKey = reply.key
        columns = score_columns(self.rubric, key.criterion, reply)
        calibrated = None
        if self.calibration is not None and columns["score"] is not None:
            calibrated = self.calibration.apply(
                self.choice.label, self.rubric.hash, key.criterion, columns["score"]
            )
        return columns | {
            "target_id": key.target_id,
            "judge": self.choice.label,
            "repeat": repeat_column(key.turn, key.repeat, self.repeats),
            "turn": key.turn,
            "target_kind": self.source.kind,
            "calibrated": calibrated,
            "rationale": rationale,
            "prompt_hash": key.prompt,
        }
