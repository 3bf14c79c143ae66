"""Responses of models, and what people or judges compare and correct in them."""

from __future__ import annotations

from typing import ClassVar

import dataframely as dy

from schemas.base import Table, label_probs, messages


class Responses(Table):
    """Candidate responses of a policy, or imported ones."""

    response_id = dy.String(primary_key=True, description="hash of sample, model, index and text")
    sample_id = dy.String(description="the sample that the response belongs to")
    prompt = messages("the conversation up to the response")
    text = dy.String(description="the response")
    model = dy.String(description="model that generated it, as named in the command")
    adapter = dy.String(nullable=True, description="LoRA adapter, if any")
    temperature = dy.Float64(nullable=True, description="sampling temperature")
    top_p = dy.Float64(nullable=True, description="nucleus probability")
    top_k = dy.Int32(nullable=True, description="-1: off")
    seed = dy.Int64(nullable=True, description="sampling seed")
    index = dy.Int32(description="number of the response to this prompt, from 0")
    finish_reason = dy.String(nullable=True, description="`stop`, `length`, ...")
    n_tokens = dy.Int32(nullable=True, description="tokens of the response")
    logprob = dy.Float64(nullable=True, description="sum of the tokens' log-probabilities (nats)")


class Comparisons(Table):
    """Pairwise verdicts on two responses to one sample, by judges or human annotators."""

    version: ClassVar[int] = 2

    comparison_id = dy.String(primary_key=True, description="hash of sample, a, b, by, criterion")
    sample_id = dy.String(description="the sample that both responses belong to")
    a = dy.String(description="response_id, or sample_id for the answer of the sample itself")
    b = dy.String(description="the same for the other response")
    p_a = dy.Float64(
        nullable=True, description="P(a better) of those two, probabilities of both orders averaged"
    )
    p_a_first_order = dy.Float64(nullable=True, description="P(a better), a shown first")
    p_a_second_order = dy.Float64(nullable=True, description="P(a better), b shown first")
    verdict = dy.String(description="`a`, `b`, `tie`, `both_bad` or `undecided`")
    verdict_first_order = dy.String(nullable=True, description="verdict with a shown first")
    verdict_second_order = dy.String(nullable=True, description="verdict with b shown first")
    grade = dy.Float64(
        nullable=True, description="how much better a is than b, from human annotators: 2 to -2"
    )
    probs_first_order = label_probs("probabilities of `a`, `b`, `tie`, `both_bad`, a shown first")
    probs_second_order = label_probs("the same, b shown first; labels still name a and b")
    label_mass = dy.Float64(
        nullable=True, description="probability mass on the labels, the lower of both orders"
    )
    read_from = dy.String(nullable=True, description="as in scores; null: human annotators")
    by = dy.String(description="judge or annotator")
    rubric = dy.String(nullable=True, description="name of the rubric")
    criterion = dy.String(nullable=True, description="what was compared")
    rationale = dy.String(nullable=True, description="the reasons given")
    rubric_hash = dy.String(nullable=True, description="hash of the rubric's content")
    prompt_hash = dy.String(nullable=True, description="hash of both rendered prompts")
    n_prompt_tokens = dy.Int32(nullable=True, description="tokens of both prompts")
    n_tokens = dy.Int32(nullable=True, description="tokens of both replies")
    latency_s = dy.Float64(nullable=True, description="seconds of both requests")
    error = dy.String(nullable=True, description="why there is no verdict")


class Feedback(Table):
    """Corrections of spans of a response, by human annotators or a judge."""

    feedback_id = dy.String(primary_key=True, description="hash of response_id and by")
    response_id = dy.String(description="the response that is corrected")
    spans = dy.List(
        dy.Struct(
            {
                "start": dy.Int32(description="first code point"),
                "end": dy.Int32(description="one past the last code point"),
                "text": dy.String(description="must equal the slice of the response"),
                "kind": dy.String(nullable=True, description="kind of error"),
                "correct": dy.Bool(nullable=True, description="false: a mistake"),
                "reward": dy.Float64(nullable=True, description="score of the span"),
                "replacement": dy.String(nullable=True, description="corrected text"),
            }
        ),
        description="offsets are code points of the response",
    )
    corrected = dy.String(nullable=True, description="the whole corrected response")
    by = dy.String(description="annotator or judge")
