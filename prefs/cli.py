"""The `prefs` program."""

from __future__ import annotations

from pairwright.commands.command import Command

SUMMARY = "From responses and scores to preference pairs."

COMMANDS = (
    Command(
        name="sample",
        target="prefs.sample.command:sample",
        options="prefs.sample.options:SampleOptions",
        summary="sample several responses of a policy to each prompt",
        examples=(
            "prefs sample data/ --model Qwen2-VL-7B -n 8",
            "prefs sample data/ --model ./policy --adapter data/runs/sft/adapter",
            "prefs sample data/ --model Qwen2-VL-7B --only-conflicts --temperature 1",
        ),
    ),
    Command(
        name="build",
        target="prefs.build.command:build",
        options="prefs.build.options:BUILD_OPTIONS",
        summary="make preference pairs from scores, corrections or comparisons",
        examples=(
            "prefs build data/",
            "prefs build data/ --preset best-worst --run best-worst",
            "prefs build data/ --control random",
            "prefs build data/ --method spans",
            "prefs build data/ --method comparisons",
        ),
    ),
)
