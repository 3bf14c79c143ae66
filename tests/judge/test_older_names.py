"""Flags that had other names still work, and the help does not show them."""

import argparse
from typing import Any

import pytest

from judge.agreement.options import AgreeOptions
from judge.compare.options import CompareOptions
from judge.score.options import ScoreOptions
from pairwright.commands.options import add_arguments, build


@pytest.mark.parametrize(
    ("options", "words", "field", "value"),
    [
        (ScoreOptions, ["--draws", "4", "--rationale", "before", "--model", "m"], "repeats", 4),
        (CompareOptions, ["--marks", "--model", "m"], "scores", True),
        (AgreeOptions, ["--draws", "200"], "resamples", 200),
    ],
)
def test_older_flags(options: Any, words: list[str], field: str, value: object):
    parser = argparse.ArgumentParser()
    add_arguments(parser, options)
    assert getattr(build(options, vars(parser.parse_args(words))), field) == value
    assert words[0] not in parser.format_help()
