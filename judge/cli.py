"""The `judge` program."""

from __future__ import annotations

import sys

from pairwright import command
from pairwright.command import Command

COMMANDS = (
    Command(
        name="serve",
        target="judge.serve:serve_model",
        options="judge.serve_options:ServeOptions",
        summary="serve a model with vLLM on 127.0.0.1 until stopped",
        examples=(
            "judge serve --model Qwen2-VL-7B",
            "judge serve --model ./policy --port 8000 --adapter dpo=data/runs/dpo/adapter",
        ),
        dataset="none",
    ),
    Command(
        name="score",
        target="judge.score:score",
        options="judge.score_options:ScoreOptions",
        summary="have a vision-language model mark answers by a rubric",
        examples=(
            "judge score data/ --model Qwen2-VL-7B",
            "judge score data/ --model Qwen2-VL-7B --base-url http://127.0.0.1:8000/v1",
            "judge score data/ --model Qwen2-VL-7B --target samples --rubric faithful",
        ),
    ),
)


def main() -> None:
    """Run `judge`."""
    sys.exit(command.main("judge", "What a vision-language model says of the answers.", COMMANDS))
