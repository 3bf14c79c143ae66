"""The `train` program."""

from __future__ import annotations

from pairwright.commands.command import Command

SUMMARY = "Fine-tune on the samples or pairs of a dataset, and evaluate the result."

COMMANDS = (
    Command(
        name="sft",
        target="train.sft.command:run_sft",
        options="train.sft.options:SFT_OPTIONS",
        summary="train on the current samples' answers, or on the chosen responses of pairs",
        examples=(
            "train sft data/ --model Qwen2-VL-2B",
            "train sft data/ --model Qwen2-VL-7B --peft qlora --rank 32 --target language connector",
            "train sft data/ --model runs/sft --pairs best-of-n --run sft-chosen",
        ),
    ),
    Command(
        name="dpo",
        target="train.dpo.command:run_dpo",
        options="train.dpo.options:DPO_OPTIONS",
        summary="train on preference pairs",
        examples=(
            "train dpo data/",
            "train dpo data/ --pairs best-of-n-random --run dpo-random",
            "train dpo data/ --model runs/sft --beta 0.1 --loss sigmoid sft --loss-weights 1 0.5",
        ),
    ),
    Command(
        name="eval",
        target="train.evaluate.command:run_eval",
        options="train.evaluate.options:EVAL_OPTIONS",
        summary="exact match on samples or preference accuracy on pairs, with intervals",
        examples=(
            "train eval data/ --model runs/dpo --split test",
            "train eval data/ --model runs/dpo --task preference --run eval-pairs",
        ),
    ),
    Command(
        name="merge",
        target="train.merge.command:run_merge",
        options="train.merge.options:MergeOptions",
        summary="write a training run's model as a standalone (merged) model",
        examples=("train merge data/ merged/ --run sft",),
    ),
)
