"""Train the demo's models from scratch: `train_models.py policy|judge|clip --out FOLDER`."""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def main() -> None:
    """Parse the command line and train one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=("policy", "judge", "clip"))
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--minutes", type=float, help="stop after this long")
    parser.add_argument("--steps", type=int, help="stop after this many steps")
    parser.add_argument("--resume", type=Path, help="start from this checkpoint's weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch-images", type=int, default=32)
    arguments = parser.parse_args()
    if arguments.minutes is None and arguments.steps is None:
        parser.error("say how long to train: --minutes or --steps")
    if arguments.model == "clip":
        from _clip import train_clip

        train_clip(
            arguments.out,
            minutes=arguments.minutes,
            steps=arguments.steps,
            seed=arguments.seed,
        )
    else:
        _train_qwen(arguments)


def _train_qwen(arguments: argparse.Namespace) -> None:
    import torch
    from _model import SIZES, build_model, build_processor
    from _tasks import JudgeTask, PolicyTask, tokenizer_texts
    from _training import LoopOptions, train

    from pairwright.demo.data import write_raw

    torch.manual_seed(arguments.seed)
    processor = build_processor(tokenizer_texts())
    model = build_model(processor, SIZES[arguments.model])
    if arguments.resume:
        model = type(model).from_pretrained(arguments.resume, local_files_only=True)
    print(f"{arguments.model}: {model.num_parameters():,} parameters", flush=True)
    task: PolicyTask | JudgeTask
    if arguments.model == "judge":
        task = JudgeTask()
    else:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            # The key goes where nothing reads it, and away with the folder.
            write_raw(folder / "raw", num_images=None, seed=0, key_path=folder / "key.jsonl")
            task = PolicyTask(folder / "raw")
    train(
        model,
        processor,
        task.examples(random.Random(arguments.seed)),
        task.held_out(),
        out=arguments.out,
        options=LoopOptions(
            minutes=arguments.minutes,
            steps=arguments.steps,
            batch_images=arguments.batch_images,
            seed=arguments.seed,
        ),
    )


if __name__ == "__main__":
    main()
