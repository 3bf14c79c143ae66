"""A new rule is one file and one line, or one entry point of another package."""

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_dataset import picture, sample, write_dataset

from pairwright.dataset.store import Dataset

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "extend.md"
# The rule is the example in the documentation.
RULE = (
    PAGE.read_text()
    .partition('```python\n"""Answers with too many links."""')[2]
    .partition("```")[0]
)
# The one line: the name in the list of the room; the file lies as if it were in its folder.
ADDED = """
import sys
import curate.filter.rules as room
room.__path__.append(sys.argv.pop(1))
room.RULES += ("links",)
"""
PROGRAM = "from pairwright.programs import curate; curate()"


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    image = picture(1)
    texts = {"plain": "A cat.", "spam": "See https://a.example and http://b.example now."}
    rows = [sample(name, [image], "<image>\nWhat?", text) for name, text in texts.items()]
    return write_dataset(tmp_path / "data", [image], rows)


def run(*words: object, code: str = PROGRAM, path: Path | None = None) -> str:
    import os

    found = [str(path), *sys.path] if path else sys.path
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(found)}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def check(data: Dataset, *first: object, **how: object) -> None:
    help_text = run(*first, "filter", "--help", **how)
    assert "--max-links N" in help_text
    assert "rule links:" in help_text
    shown = run(*first, "filter", data.path, "--preset", "llava", "--print-config", **how)
    assert "max_links: 3" in shown
    message = run(*first, "filter", data.path, "--max-links", 1, **how)
    assert "2 rows in, 1 kept, 1 removed" in message
    decisions = data.read("decisions", "filter-rules")
    assert sorted(decisions["reason"]) == ["kept", "links"]
    assert data.manifest("decisions", "filter-rules").config["max_links"] == 1


def test_a_rule_is_one_file_and_one_line(data, tmp_path):
    room = tmp_path / "room"
    room.mkdir()
    (room / "links.py").write_text(RULE)
    check(data, room, code=ADDED + PROGRAM)


def test_another_package_adds_one_by_an_entry_point(data, tmp_path):
    site = tmp_path / "site"
    info = site / "toy_filters-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "toy_links.py").write_text(RULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-filters\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pairwright.filters]\nlinks = toy_links:RULE\n")
    check(data, path=site)
    (site / "toy_links.py").write_text(RULE.replace("max_links", "min_side"))
    message = run("filter", data.path, "--min-side", 1, path=site)
    assert "--min-side is an option of another rule already" in message
    assert "Traceback" not in message
