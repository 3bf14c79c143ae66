"""Options that depend on a choice: one flat list, grouped in `--help`, checked by their owners."""

import argparse
from dataclasses import dataclass

import pytest

from pairwright.commands.choices import (
    NoOptions,
    chosen,
    chosen_before,
    chosen_config,
    listing,
    own_options,
    with_choices,
)
from pairwright.commands.options import add_arguments, as_config, build, option
from pairwright.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Options of a toy command."""

    tool: str = option("saw", help="the tool")
    extras: tuple[str, ...] = option((), help="what else")
    seed: int = option(0, help="seed")

    def __post_init__(self) -> None:
        if self.seed < 0:
            msg = "--seed must not be negative"
            raise UsageError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Teeth:
    teeth: int = option(8, help="number of teeth")
    sides: tuple[str, ...] = option(("left",), help="sides")
    seed: int = option(0, help="seed")

    def __post_init__(self) -> None:
        object.__setattr__(self, "sides", tuple(p for s in self.sides for p in s.split(",")))
        if self.teeth < 1:
            msg = "--teeth must be at least 1"
            raise UsageError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Oil:
    litres: float | None = option(None, help="litres of oil")


@dataclass(frozen=True)
class Part:
    name: str
    summary: str
    options: type = NoOptions


TOOLS = (
    Part("saw", "cuts wood", Teeth),
    Part("file", "files metal", Teeth),
    Part("hand", "is free"),
)
EXTRAS = (Part("oil", "makes it smooth", Oil), Part("light", "shows it"))
OPTIONS = with_choices(Shared, {"tool": TOOLS, "extras": EXTRAS})


def test_help_shows_which_option_belongs_to_what() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser, OPTIONS)
    text = " ".join(parser.format_help().split())
    assert "the tool: saw: cuts wood; file: files metal; hand: is free (default: saw)" in text
    assert "options of --tool saw and file: --teeth N number of teeth (default: 8)" in text
    assert "options of --extras oil: --litres N" in text
    assert "--tool {saw,file,hand}" in text


def test_values_are_checked_by_their_owner_and_by_the_command() -> None:
    made = build(OPTIONS, {"tool": "file", "teeth": "5", "sides": ("a,b",), "seed": 3})
    assert isinstance(made, Shared)
    assert as_config(made) == {
        "tool": "file", "extras": [], "seed": 3, "teeth": 5, "sides": ["a", "b"], "litres": None,
    }  # fmt: skip
    assert own_options(made, TOOLS[1]) == Teeth(teeth=5, sides=("a", "b"), seed=3)
    with pytest.raises(UsageError, match="--teeth must be at least 1"):
        build(OPTIONS, {"teeth": 0})
    with pytest.raises(UsageError, match="--seed must not be negative"):
        build(OPTIONS, {"seed": -1})


def test_what_belongs_to_something_else_is_refused() -> None:
    with pytest.raises(UsageError, match="--teeth belongs to --tool saw and file, not hand"):
        build(OPTIONS, {"tool": "hand", "teeth": 3})
    with pytest.raises(UsageError, match="--litres belongs to --extras oil"):
        build(OPTIONS, {"litres": 3, "extras": ["light"]})
    assert build(OPTIONS, {"litres": 3, "extras": ["light", "oil"]}).litres == 3
    assert build(OPTIONS, {"tool": "hand", "teeth": 8}).teeth == 8, "the default says nothing"


def test_a_run_records_the_options_of_what_was_chosen() -> None:
    shared = {"tool": "saw", "extras": [], "seed": 0}
    assert chosen_config(build(OPTIONS, {})) == {**shared, "teeth": 8, "sides": ["left"]}
    hand = build(OPTIONS, {"tool": "hand", "extras": ["light", "oil"], "litres": 2})
    assert chosen_config(hand) == {
        "tool": "hand", "extras": ["light", "oil"], "seed": 0, "litres": 2.0,
    }  # fmt: skip


def test_older_runs_recorded_what_was_not_chosen_too() -> None:
    for values in ({}, {"tool": "hand"}, {"tool": "hand", "extras": ["oil"], "litres": 2}):
        options = build(OPTIONS, values)
        recorded = as_config(options) | {"limit": 3}
        assert chosen_before(options, recorded) == chosen_config(options) | {"limit": 3}
    # What was chosen is compared.
    assert chosen_before(build(OPTIONS, {}), as_config(build(OPTIONS, {"teeth": 5})))["teeth"] == 5


def test_names_that_do_not_exist() -> None:
    with pytest.raises(UsageError, match="--extras tea: unknown; there are oil, light"):
        build(OPTIONS, {"extras": ["tea"]})
    with pytest.raises(UsageError, match="--tool must be one of saw, file, hand"):
        build(OPTIONS, {"tool": "axe"})
    assert chosen(Shared(tool="hand"), "tool", TOOLS) == [TOOLS[2]]


def test_two_parts_cannot_mean_different_things_by_one_flag() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Other:
        teeth: int = option(9, help="other teeth")

    with pytest.raises(TypeError, match="plane declares --teeth otherwise than saw"):
        with_choices(Shared, {"tool": (TOOLS[0], Part("plane", "planes", Other))})


def test_names_in_a_sentence() -> None:
    assert [listing(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a", "a and b", "a, b and c",
    ]  # fmt: skip
