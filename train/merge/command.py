"""`train merge`: a base model and an adapter become one standalone model."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from pairwright.commands.command import Outcome
from pairwright.commands.options import RunOptions
from pairwright.dataset.store import Dataset
from pairwright.errors import UsageError
from pairwright.models import PolicyRef, policy_of_run, portable_name, resolve_policy
from train.merge.options import MergeOptions


def run_merge(dataset: Dataset, options: MergeOptions, run: RunOptions) -> Outcome:
    """Merge what a training run learned into its base model.

    The base is loaded as its files have it, never in 4 bits, so an adapter that was trained on a
    quantized base is merged without the rounding.

    Raises:
        UsageError: If there is nothing to merge, or the folder is in use.
    """
    policy = _policy(dataset, options, run.run)
    out = options.out
    _refuse_in_use(out, replace=run.replace)
    if run.dry_run:
        return Outcome(
            message=f"would merge {policy.adapter} into {policy.model} at {out}",
            summary={"dry_run": True},
        )
    from train.model.loading import load_base, load_processor, prepare_environment, with_adapter

    started = time.monotonic()
    prepare_environment("peft")
    assert policy.adapter is not None
    processor = load_processor(policy.model)
    base = load_base(policy.model, "stored")
    merged = with_adapter(base, policy.adapter).merge_and_unload(safe_merge=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".tmp-{out.name}-{os.getpid()}")
    try:
        merged.save_pretrained(temporary)
        processor.save_pretrained(temporary)
        if out.exists():
            shutil.rmtree(out)
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    summary = {
        "path": str(out),
        "base_model": portable_name(policy.model),
        "adapter": str(policy.adapter),
        "parameters": merged.num_parameters(),
        "dtype": str(merged.dtype).removeprefix("torch."),
        "seconds": round(time.monotonic() - started, 1),
    }
    text = f"{out}: {summary['parameters']:,} parameters in {summary['dtype']}, a standalone model"
    return Outcome(message=text, summary=summary)


def _policy(dataset: Dataset, options: MergeOptions, run: str | None) -> PolicyRef:
    if options.model is not None:
        policy = resolve_policy(dataset, options.model, options.adapter)
    else:
        manifest = dataset.pick("runs", run)
        if manifest is None:
            msg = f"{dataset.path}: no training run to merge; train one with `train sft` or `train dpo`, or give --model and --adapter"
            raise UsageError(msg)
        policy = policy_of_run(dataset, manifest)
    if policy.adapter is None:
        msg = f"{policy.model} has no adapter: it is a standalone model already"
        raise UsageError(msg)
    return policy


def _refuse_in_use(out: Path, *, replace: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not replace:
        msg = f"{out}: exists; give another folder, or --replace to write it again"
        raise UsageError(msg)
    if not (out / "config.json").is_file():
        msg = f"{out}: not a model folder, so --replace does not touch it; give another folder"
        raise UsageError(msg)
