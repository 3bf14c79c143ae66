"""What judges and human annotators found: scores, claims, probes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import dataframely as dy

from schemas.base import Table, label_probs


class Scores(Table):
    """A judge's scores for a sample's answer or a response."""

    version: ClassVar[int] = 3
    renamed: ClassVar[Mapping[str, str]] = {"draw": "repeat"}

    target_id = dy.String(primary_key=True, description="sample_id or response_id")
    rubric = dy.String(primary_key=True, description="name of the rubric")
    criterion = dy.String(primary_key=True, description="criterion of the rubric")
    judge = dy.String(
        primary_key=True, description="model that judged, as named in the command; `jury`: several"
    )
    repeat = dy.Int32(
        primary_key=True,
        description="number of the score, from 0: the same question asked again; where every turn "
        "was judged, turn times the number of repeats plus the repeat",
    )
    turn = dy.Int32(nullable=True, description="turn of the assistant, from 0, if all were judged")
    target_kind = dy.String(description="`sample` or `response`")
    score = dy.Float64(nullable=True, description="expected value over the labels; null on error")
    calibrated = dy.Float64(nullable=True, description="the score after calibration")
    label_probs = label_probs("probability of each label, not renormalised")
    label_mass = dy.Float64(
        nullable=True,
        description="probability mass on the labels: the sum of label_probs; low: the judge did not answer",
    )
    read_from = dy.String(
        nullable=True,
        description="`logprobs` of the labels, `top_logprobs` of the most likely tokens, or `text`",
    )
    text = dy.String(nullable=True, description="the verdict, as written")
    rationale = dy.String(nullable=True, description="reasons of the judge, if requested")
    rubric_hash = dy.String(description="hash of the rubric's content")
    prompt_hash = dy.String(description="hash of the rendered prompt")
    n_prompt_tokens = dy.Int32(nullable=True, description="tokens of the prompt")
    n_tokens = dy.Int32(nullable=True, description="tokens of the reply")
    latency_s = dy.Float64(nullable=True, description="seconds from sending to the reply")
    error = dy.String(nullable=True, description="why there is no score")


class Probes(Table):
    """Scores of modified answers: how robust a judge is."""

    target_id = dy.String(primary_key=True, description="sample_id or response_id")
    probe = dy.String(
        primary_key=True,
        description="the modification: `clean`, `blind`, `other_image`, `padded`, `inject:NAME`",
    )
    criterion = dy.String(primary_key=True, description="criterion of the rubric")
    judge = dy.String(primary_key=True, description="model that judged, as named in the command")
    target_kind = dy.String(description="`sample` or `response`")
    rubric = dy.String(description="name of the rubric")
    score = dy.Float64(nullable=True, description="expected value over the labels; null on error")
    label_probs = label_probs("probability of each label, not renormalised")
    label_mass = dy.Float64(nullable=True, description="probability mass on the labels")
    read_from = dy.String(nullable=True, description="as in scores")
    text = dy.String(nullable=True, description="the verdict, as written")
    rubric_hash = dy.String(description="hash of the rubric's content")
    prompt_hash = dy.String(description="hash of the rendered prompt")
    n_prompt_tokens = dy.Int32(nullable=True, description="tokens of the prompt")
    n_tokens = dy.Int32(nullable=True, description="tokens of the reply")
    latency_s = dy.Float64(nullable=True, description="seconds from sending to the reply")
    error = dy.String(nullable=True, description="why there is no score")


class Claims(Table):
    """Responses split into claims, with verdicts of a judge or of human annotators."""

    version: ClassVar[int] = 2

    claim_id = dy.String(primary_key=True, description="hash of target_id and index")
    response_id = dy.String(description="response_id, or sample_id for the answer of a sample")
    target_kind = dy.String(nullable=True, description="`sample` or `response`")
    index = dy.Int32(description="position in the response, from 0")
    text = dy.String(description="the self-contained claim")
    question = dy.String(nullable=True, description="the claim as a yes/no question")
    p_yes = dy.Float64(
        nullable=True, description="probability of yes; 1 or 0 from human annotators"
    )
    p_no = dy.Float64(nullable=True, description="probability of no; 0 or 1 from human annotators")
    judge = dy.String(description="model or annotator that judged")
    read_from = dy.String(nullable=True, description="as in scores; null: human annotators")
    rubric_hash = dy.String(nullable=True, description="hash of the prompts' content")
    prompt_hash = dy.String(nullable=True, description="hash of the rendered prompt")
    n_prompt_tokens = dy.Int32(nullable=True, description="tokens of the verdict's prompt")
    n_tokens = dy.Int32(nullable=True, description="tokens of the verdict")
    latency_s = dy.Float64(nullable=True, description="seconds from sending to the reply")
    error = dy.String(nullable=True, description="why there is no verdict")
