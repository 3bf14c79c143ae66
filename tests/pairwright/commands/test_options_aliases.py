"""Older names of options and of their values still work, unseen."""

import argparse
from dataclasses import dataclass
from typing import Literal

from pairwright.commands.options import add_arguments, build, environment, field_name, option


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    repeats: int = option(1, help="times", aliases=("draws",))
    balance: Literal["task", "license"] = option(
        "task", help="by what", value_aliases={"licence": "license"}
    )


def parsed(*words):
    parser = argparse.ArgumentParser()
    add_arguments(parser, Options)
    return parser, build(Options, vars(parser.parse_args(list(words))))


def test_an_old_flag_and_an_old_value_work_and_help_hides_them():
    parser, options = parsed("--draws", "3", "--balance", "licence")
    assert (options.repeats, options.balance) == (3, "license")
    assert "draws" not in parser.format_help()
    assert "licence" not in parser.format_help()


def test_an_old_configuration_key_and_variable_work(monkeypatch):
    assert field_name(Options, "draws") == "repeats"
    assert build(Options, {"draws": 2, "balance": "licence"}) == Options(
        repeats=2, balance="license"
    )
    monkeypatch.setenv("PAIRWRIGHT_JUDGE_SCORE_DRAWS", "4")
    assert environment("judge score", Options) == {"repeats": "4"}
    monkeypatch.setenv("PAIRWRIGHT_JUDGE_SCORE_REPEATS", "5")
    assert environment("judge score", Options) == {"repeats": "5"}
