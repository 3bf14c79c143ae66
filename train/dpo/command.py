"""`train dpo`: learn to prefer the chosen answers of pairs, with TRL's losses."""

from __future__ import annotations

import copy
import functools
from typing import Any

from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.models import resolve_policy
from train.batch.rows import pair_rows, pick_pairs, policy_of_pairs
from train.model.loading import Trainable
from train.options import DpoOptions
from train.session.session import Plan, make_trainer, train

_LORA_LR, _FULL_LR = 1e-5, 5e-7


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
        msg = f"{pairs.ref}: holds no pairs; see how it was built with `pairwright status`"
        raise UsageError(msg)
    plan = Plan(
        step="dpo",
        model=model,
        policy=policy,
        rows=rows,
        inputs=[pairs],
        last_only=True,
        preference=True,
        lr=options.lr or (_FULL_LR if options.peft == "none" else _LORA_LR),
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
    arguments = DPOConfig(
        **config,
        beta=options.beta,
        loss_type=list(options.loss),
        loss_weights=options.weights,
        label_smoothing=options.label_smoothing,
    )
    return make_trainer(
        DPOTrainer,
        arguments,
        model=loaded.model,
        ref_model=reference,
        peft_config=loaded.peft_config,
        **inputs,
    )
