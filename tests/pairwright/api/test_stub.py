"""The stub is what the commands are, and a type checker reads it."""

import subprocess
import sys
from pathlib import Path

import pytest

import pairwright
from pairwright.api.stub import stub

FOLDER = Path(pairwright.__file__).parent
SCRIPT = """\
from pathlib import Path

import polars as pl

import pairwright as pw

data = pw.open("data")
pw.curate.ingest(data, "llava.json", image_folder=Path("images"))
found = pw.curate.dedup(data, threshold=0.8, against=["old", Path("older"), data])
rows: pl.DataFrame = found.scan().collect()
pw.judge.score("data", model="Qwen2-VL-7B", base_url=["http://127.0.0.1:8000/v1"])
pw.prefs.build(data, method="spans").to_datasets()
pw.train.dpo(data, beta=0.1)
near: pl.DataFrame = pw.near_duplicates(rows, text="answer", threshold=0.8)
scored: pl.DataFrame = pw.score_frame(rows, model="m", question="q", response="r")
try:
    print(data.funnel, found.rejects, found.summary["kept"])
except pw.GateError as error:
    print(error.result)
"""
WRONG = """\
pw.curate.dedup(data, treshold=0.8)
pw.curate.dedup(data, threshold="high")
pw.curate.dedup(data, on="texts")
pw.judge.score(data)
pw.curate.dedupe(data)
"""


def test_the_stub_is_fresh():
    text = (FOLDER / "__init__.pyi").read_text()
    assert text == stub(), "run: python -m pairwright.api.stub > pairwright/__init__.pyi"


def test_every_package_says_that_it_is_typed():
    for name in ("schemas", "pairwright", "curate", "judge", "prefs", "train"):
        assert (FOLDER.parent / name / "py.typed").is_file()


@pytest.mark.slow
def test_a_users_script_is_checked(tmp_path):
    lines = SCRIPT.count("\n")
    (tmp_path / "script.py").write_text(SCRIPT + WRONG)
    (tmp_path / "train.py").write_text("")  # of the user's own
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(FOLDER.parent / "pyproject.toml"), "--cache-dir", str(FOLDER.parent / ".mypy_cache"),
         "--no-error-summary", "script.py"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    told = {int(line.split(":")[1]) - lines: line.partition(": error: ")[2] for line in errors}
    assert len(errors) == 5, done.stdout
    assert told[1].startswith('Unexpected keyword argument "treshold"')
    assert 'incompatible type "str"; expected "float"' in told[2]
    assert "incompatible type \"Literal['texts']\"" in told[3]
    assert 'Missing named argument "model"' in told[4]
    assert 'has no attribute "dedupe"' in told[5]
