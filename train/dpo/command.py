"""`train dpo`: learn to prefer the chosen responses of pairs."""

from __future__ import annotations

import copy
import functools
from typing import Any

from pairwright.commands.choices import chosen
from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.models import resolve_policy
from train.batch.rows import pair_rows, pick_pairs, policy_of_pairs
from train.dpo.options import LOSSES, DpoOptions
from train.losses.base import combine
from train.session.run import Plan, train
from train.session.trainer import make_trainer
from train.tuners.base import Trainable

_ADAPTER_LR, _ALL_WEIGHTS_LR = 1e-5, 5e-7


def run_dpo(dataset: Dataset, options: DpoOptions, run: RunOptions) -> Outcome:
    """Train the policy that the pairs came from, or another, on the pairs.

    The reference is the policy as it was: with a new adapter that is the adapter switched off;
    with an adapter that is continued, a frozen copy of it; with all weights, a copy of the model.

    Raises:
        UsageError: If there are no pairs, or it is not clear what to train.
    """
    pairs = pick_pairs(dataset, options.pairs)
    model, adapter = options.model, options.adapter
    if model is None:
        model, found = policy_of_pairs(dataset, pairs)
        adapter = adapter or found
    policy = resolve_policy(dataset, model, adapter)
    rows = pair_rows(dataset, pairs, ("chosen", "rejected"), run.limit)
    if not rows:
        msg = f"{pairs.ref}: no pairs in it; see how it was built with `pairwright status`"
        raise UsageError(msg)
    plan = Plan(
        step="dpo",
        model=model,
        policy=policy,
        rows=rows,
        inputs=[pairs],
        last_only=True,
        preference=True,
        lr=options.lr or (_ALL_WEIGHTS_LR if options.tuner.all_weights else _ADAPTER_LR),
        dropout=0.0,
        beta=options.beta,
        notes={"pairs": pairs.run},
        make_trainer=functools.partial(_trainer, options),
    )
    return train(dataset, plan, options, run)


def _trainer(
    options: DpoOptions, config: dict[str, Any], loaded: Trainable, inputs: dict[str, Any]
) -> Any:
    from trl import DPOConfig, DPOTrainer

    reference = None if loaded.reference is None else copy.deepcopy(loaded.reference)
    if reference is not None:
        reference.requires_grad_(False)
    losses = combine(chosen(options, "loss", LOSSES), options.weights, options)
    return make_trainer(
        DPOTrainer,
        DPOConfig(**config, beta=options.beta, **losses.config),
        *losses.hooks,
        model=loaded.model,
        ref_model=reference,
        peft_config=loaded.peft_config,
        **inputs,
    )
