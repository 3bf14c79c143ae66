"""`train sft`: learn the answers of the current samples, or of one side of pairs."""

from __future__ import annotations

from typing import Any

from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.models import resolve_policy
from train.batch.rows import pair_rows, pick_pairs, sample_rows
from train.session.run import Plan, train
from train.session.trainer import make_trainer
from train.sft.options import SftOptions
from train.tuners.base import Trainable

_ADAPTER_LR, _ALL_WEIGHTS_LR = 1e-4, 1e-5


def run_sft(dataset: Dataset, options: SftOptions, run: RunOptions) -> Outcome:
    """Fine-tune a model on answers: the loss counts the assistant's tokens only.

    Raises:
        UsageError: If there is nothing to train on, or the model cannot be found.
    """
    policy = resolve_policy(dataset, options.model, options.adapter)
    if options.pairs is not None:
        # As many rows as DPO has, repeated prompts included: it serves as a control.
        pairs = pick_pairs(dataset, options.pairs)
        rows, inputs = pair_rows(dataset, pairs, (options.on,), run.limit), [pairs]
        notes: dict[str, Any] = {"pairs": pairs.run, "on": options.on}
    else:
        samples = sample_rows(dataset, run.limit)
        rows, inputs = samples.rows, samples.inputs
        notes = {"n_unanswered": samples.unanswered}
    if not rows:
        msg = (
            f"{dataset.path}: no sample with an answer to train on; make some with `curate ingest`"
        )
        raise UsageError(msg)
    plan = Plan(
        step="sft",
        model=options.model,
        policy=policy,
        rows=rows,
        inputs=inputs,
        last_only=options.pairs is not None,
        preference=False,
        lr=options.lr or (_ALL_WEIGHTS_LR if options.tuner.all_weights else _ADAPTER_LR),
        dropout=0.05,
        beta=None,
        notes=notes,
        make_trainer=_trainer,
    )
    return train(dataset, plan, options, run)


def _trainer(config: dict[str, Any], loaded: Trainable, inputs: dict[str, Any]) -> Any:
    from trl import SFTConfig, SFTTrainer

    return make_trainer(
        SFTTrainer,
        SFTConfig(**config),
        model=loaded.model,
        peft_config=loaded.peft_config,
        **inputs,
    )
