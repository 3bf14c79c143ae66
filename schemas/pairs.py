"""Preference pairs and the log-probabilities of their reference model."""

from __future__ import annotations

import dataframely as dy

from schemas.base import Table, messages, spans


class Pairs(Table):
    """Preference pairs, with spans and provenance."""

    pair_id = dy.String(primary_key=True, description="hash of sample, chosen, rejected, method")
    sample_id = dy.String(description="the sample that both responses belong to")
    image_ids = dy.List(dy.String(), description="images of the prompt")
    prompt = messages("the conversation up to the response")
    chosen = dy.String(description="the better response")
    rejected = dy.String(description="the worse response")
    chosen_spans = spans("changed parts of chosen")
    rejected_spans = spans("changed parts of rejected")
    chosen_score = dy.Float64(nullable=True, description="score of chosen")
    rejected_score = dy.Float64(nullable=True, description="score of rejected")
    margin = dy.Float64(nullable=True, description="difference of the scores")
    method = dy.String(description="`best-of-n`, `spans`, `comparisons`, ...")
    control = dy.String(nullable=True, description="`random` or `longest`: built as a control")
    chosen_id = dy.String(
        nullable=True, description="response_id, sample_id or feedback_id of chosen"
    )
    rejected_id = dy.String(
        nullable=True, description="response_id, sample_id or feedback_id of rejected"
    )
    rejected_image_ids = dy.List(dy.String(), nullable=True, description="images for visual DPO")
    policy = dy.String(
        nullable=True, description="model that generated both responses, if it is one model"
    )


class ReferenceLogps(Table):
    """Reference log-probabilities of pairs."""

    pair_id = dy.String(primary_key=True, description="the pair")
    model = dy.String(primary_key=True, description="fingerprint of the reference model")
    chosen_logp = dy.Float64(description="sum over the tokens of the response (nats)")
    rejected_logp = dy.Float64(description="sum over the tokens of the response (nats)")
