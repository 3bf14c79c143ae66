"""The house: no module that is too long, no folder that is too full."""

import ast
import tomllib
from pathlib import Path

import pytest

from pairwright.commands.command import load

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "pairwright", "curate", "judge", "prefs", "train")
MOST_LINES = 400
MOST_MODULES = 15
MOST_FUNCTION_LINES = 50  # without the docstring
# Rooms of one file per thing: adding a thing there is adding a file.
COLLECTIONS = {
    "curate/read/formats", "curate/filter/rules", "prefs/methods", "train/losses", "train/tuners",
    "train/evaluate/metrics",
}  # fmt: skip


def modules() -> list[Path]:
    return sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))


def test_no_module_is_longer_than_a_reader_can_hold():
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules()}
    assert {path: lines for path, lines in long.items() if lines > MOST_LINES} == {}


def test_no_folder_has_more_modules_side_by_side_than_a_reader_can_survey():
    folders = {path.parent for path in modules()}
    counts = {
        str(folder.relative_to(ROOT)): len([p for p in folder.glob("*.py") if p.name != "__init__.py"])
        for folder in folders
    }  # fmt: skip
    full = {name: n for name, n in counts.items() if n > MOST_MODULES and name not in COLLECTIONS}
    assert full == {}


def test_no_function_is_longer_than_a_screen():
    long = {}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node, clean=False)
                lines = node.end_lineno - node.lineno + 1 - (text.count("\n") + 1 if text else 0)
                if lines > MOST_FUNCTION_LINES:
                    long[f"{path.relative_to(ROOT)}:{node.name}"] = lines
    assert long == {}


@pytest.mark.parametrize("name", PACKAGES)
def test_every_folder_of_modules_says_what_it_is(name):
    for folder in {path.parent for path in (ROOT / name).rglob("*.py")}:
        text = (folder / "__init__.py").read_text().lstrip()
        assert text.startswith('"""'), f"{folder}: __init__.py has no docstring"


def contracts():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return settings["tool"]["importlinter"]["contracts"]


def test_every_module_of_pairwright_is_floor_or_roof():
    [contract] = [one for one in contracts() if one["type"] == "forbidden"]
    listed = contract["source_modules"] + contract["forbidden_modules"]
    there = {
        f"pairwright.{path.stem}"
        for path in (ROOT / "pairwright").iterdir()
        if (path.suffix == ".py" and not path.stem.startswith("__"))
        or (path / "__init__.py").exists()
    }
    assert sorted(listed) == sorted(there)


@pytest.mark.parametrize("program", ["curate", "judge", "prefs", "train"])
def test_every_command_is_in_the_contract_that_keeps_commands_apart(program):
    listed = {
        module
        for one in contracts() if one["type"] == "independence" for module in one["modules"]
    }  # fmt: skip
    rooms = {one.target.rpartition(".")[0] for one in load(f"{program}.cli:COMMANDS")}
    shared = {"judge.rubric"}  # `judge rubrics` prints what the others share
    assert {room for room in rooms - shared if room.count(".") == 1} <= listed
    assert {module for module in listed if module.startswith(f"{program}.")} <= rooms
