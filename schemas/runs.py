"""Evaluations, training metrics, invalid rows."""

from __future__ import annotations

import dataframely as dy

from schemas.base import Table


class Predictions(Table):
    """Responses of a model in an evaluation, and whether they are right."""

    item_id = dy.String(primary_key=True, description="sample_id or pair_id")
    image_group = dy.String(
        nullable=True, description="image that the confidence intervals resample by"
    )
    model = dy.String(description="model evaluated")
    adapter = dy.String(nullable=True, description="LoRA adapter, if any")
    task = dy.String(description="`exact-match` or `preference`")
    text = dy.String(nullable=True, description="the response")
    reference = dy.String(nullable=True, description="the right answer")
    correct = dy.Bool(description="whether it was right")
    margin = dy.Float64(nullable=True, description="preference: log p(chosen) - log p(rejected)")


class Metrics(Table):
    """What a training run logged; kept in the run's folder."""

    step = dy.Int32(primary_key=True, description="optimizer step")
    name = dy.String(primary_key=True, description="metric")
    value = dy.Float64(nullable=True, description="value")


class Rejects(Table):
    """Invalid rows: they could not be processed. Nothing is dropped without a row here."""

    row_id = dy.String(primary_key=True, description="id of the row, or file and row number")
    stage = dy.String(primary_key=True, description="what failed (`parse`, `image`, ...)")
    reason = dy.String(description="short name of the cause, the same in all versions")
    detail = dy.String(nullable=True, description="what to check")
