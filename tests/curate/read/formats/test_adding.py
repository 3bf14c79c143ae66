"""A format is added by one file and one line, or by an entry point of another package."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[4]

TOY = '''
"""Toy rows: question and answer in one text."""

from dataclasses import dataclass

from curate.read import questions
from curate.read.formats.base import Format
from curate.read.rows import RowError
from pairwright.commands.options import option


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyOptions:
    """Options of toy rows."""

    separator: str = option("|", help="text between question and answer")


def detect(row):
    return "have toy" if isinstance(row.get("toy"), str) else None


def convert(row, naming):
    question, separator, answer = row["toy"].partition(naming.options.separator)
    if not separator:
        raise RowError("no_separator", row["toy"])
    return questions.convert({"id": row["id"], "question": question, "answer": answer}, naming)


FORMAT = Format(
    name="toy",
    summary="toy rows",
    rows="`toy` with a question and an answer",
    makes={"samples": convert},
    detect=detect,
    options=ToyOptions,
    note="toys are free",
)
'''


def curate(*words, path):
    """Exit code, output and errors of `curate` with some folders on the path."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    code = "from pairwright.programs import curate; curate()"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        env=env, capture_output=True, text=True, check=False, cwd=path[0],
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def rows(tmp_path):
    source = tmp_path / "rows.jsonl"
    texts = ["Why?|So.", "How?|So.", "Who?|You."]
    source.write_text("\n".join(json.dumps({"id": t[:3], "toy": t}) for t in texts))
    return source


def check_the_toy(rows, tmp_path, path):
    """Help, detection, `--format`, the own option and the lineage."""
    _, shown, _ = curate("ingest", "--help", path=path)
    words = " ".join(shown.split())
    assert "toy: toy rows" in words
    assert "options of --format toy: --separator SEPARATOR text between question" in words
    code, shown, err = curate("ingest", rows, "-o", tmp_path / "auto", "--json", path=path)
    found = json.loads(shown)
    assert (code, found["rows"], found["format"]) == (0, 3, "toy")
    assert "read as toy rows, because its rows have toy. --format NAME overrules" in err
    options = ["--format", "toy", "--separator", "?"]
    out = tmp_path / "named"
    code, shown, _ = curate("ingest", rows, "-o", out, *options, path=path)
    assert code == 0
    assert "3 samples name no license (toy rows: toys are free)" in shown
    config = json.loads((out / "samples" / "rows" / "_table.json").read_text())["config"]
    assert (config["format"], config["separator"]) == ("toy", "?")
    code, _, err = curate("ingest", rows, "-o", out, "--format", "qa", *options[2:], path=path)
    assert (code, "--separator belongs to --format toy, not qa" in err) == (2, True)


def test_a_format_is_one_file_and_one_line(tmp_path, rows):
    tree = tmp_path / "tree"
    for package in ("schemas", "pairwright", "curate", "judge", "prefs", "train"):
        shutil.copytree(REPO / package, tree / package)
    formats = tree / "curate" / "read" / "formats"
    (formats / "toy.py").write_text(TOY)
    registered = (formats / "__init__.py").read_text()
    (formats / "__init__.py").write_text(
        registered.replace('    "label-studio",\n', '    "label-studio",\n    "toy",\n')
    )
    check_the_toy(rows, tmp_path, [tree])


@pytest.fixture
def package(tmp_path):
    """A distribution with a format, as an installer lays it out."""
    site = tmp_path / "site"
    info = site / "toy_formats-0.3.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-formats\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("[pairwright.formats]\ntoy = toy_formats:FORMAT\n")
    (site / "toy_formats.py").write_text(TOY)
    return site


def test_another_package_adds_a_format(tmp_path, rows, package):
    check_the_toy(rows, tmp_path, [package, REPO])


def test_a_package_that_cannot_be_used_is_one_line(tmp_path, rows, package):
    (package / "toy_formats.py").write_text("import no_such_module\n")
    code, shown, err = curate("ingest", rows, "-o", tmp_path / "d", path=[package, REPO])
    assert (code, shown) == (1, "")
    assert err.startswith("error: the package toy-formats adds to pairwright.formats, but 'toy'")
    assert err.count("\n") == 1
    assert "No module named 'no_such_module'" in err
    assert curate("dedup", "--help", path=[package, REPO])[0] == 0
