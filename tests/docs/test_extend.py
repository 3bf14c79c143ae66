"""The examples of the page on extending: clean by our own rules, and each works as the page says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from copied_house import CopiedHouse
from doc_pages import REPO, fences
from tiny_dataset import make_dataset

from pairwright.dataset.store import Dataset

PAGE = (REPO / "docs" / "how-to" / "extend.md").read_text(encoding="utf-8")
CODE = [text for language, text in fences(PAGE) if language == "python"]
# Where the page says that an example goes: its file, its name and the list that gets the name.
PLACES = re.findall(r'Save it as `([\w/]+\.py)` and add `"([\w-]+)"` to\s+`([A-Z]+)`', PAGE)
CONFIG = REPO / "pyproject.toml"


def run(folder: Path, *words: object) -> None:
    """Run a module of Python that must find nothing."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> CopiedHouse:
    made = CopiedHouse(tmp_path_factory.mktemp("extended") / "house")
    for text, (file, name, names) in zip(CODE, PLACES, strict=True):
        made.add_file(file, text)
        room = (made.folder / file).parent / "__init__.py"
        start = f"{names}: Final = ("
        assert room.read_text().count(start) == 1
        room.write_text(room.read_text().replace(start, f'{start}"{name}", '))
    return made


def test_every_kind_of_part_has_an_example():
    folders = re.findall(r"^\| an? [^|]+\| `([\w/]+)/` \|", PAGE, re.MULTILINE)
    assert [str(Path(file).parent) for file, _, _ in PLACES] == folders
    assert len(folders) == 6


@pytest.mark.slow
def test_the_examples_are_clean(house, tmp_path):
    files = [file for file, _, _ in PLACES]
    run(house.folder, "ruff", "check", "--no-cache", "--config", CONFIG, *files)
    run(house.folder, "ruff", "format", "--check", "--no-cache", "--config", CONFIG, *files)
    # Outside of the packages: what they import is then known from the last check of the packages.
    loose = [tmp_path / Path(file).name for file in files]
    for path, text in zip(loose, CODE, strict=True):
        path.write_text(text)
    run(REPO, "mypy", "--config-file", CONFIG, *loose)


@pytest.mark.slow
def test_the_examples_are_in_the_help(house):
    for words, shown in {
        "curate ingest": "--separator SEPARATOR",
        "curate filter": "--max-links N",
        "prefs build": "longest: the longest response against shorter ones",
        "train dpo": "plus-one: a constant",
        "train eval": "says-something: responses that are not empty",
    }.items():
        text = " ".join(house.run(*words.split(), "--help").split())
        assert shown in text, words
        if words == "train dpo":
            assert "biases: biases only" in text


@pytest.mark.slow
def test_the_format_rejects_rows_with_a_reason(house, tmp_path):
    rows = [{"id": "1", "joined": "Why?|So."}, {"joined": "Who?|I."}, {"joined": "no"}, {}]
    source = tmp_path / "rows.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    words = ("ingest", source, "-o", tmp_path / "d", "--format", "joined", "--max-rejects", "1")
    shown = json.loads(house.run("curate", *words, "--json"))
    assert (shown["rows"], shown["rejects"]) == (2, 2), shown
    rejected = Dataset(tmp_path / "d").union("rejects").collect()
    assert sorted(rejected["reason"]) == ["missing_field", "no_separator"]


@pytest.mark.slow
def test_the_method_pairs_the_longest_response(house, tmp_path):
    dataset = make_dataset(tmp_path, images=1, questions=1)
    (sample_id, messages), *_ = dataset.union("samples").collect()["sample_id", "messages"].rows()
    rows = [
        {
            "response_id": f"r{n}", "sample_id": sample_id, "prompt": messages[:-1], "text": text,
            "model": "policy", "index": n,
        }
        for n, text in enumerate(("a", "three words here", "two words"))
    ]  # fmt: skip
    with dataset.write("responses", "sample", step="sample", config={}) as writer:
        writer.add(rows)
    house.run("prefs", "build", dataset.path, "--method", "longest", "--max-pairs-per-prompt", "0")
    pairs = dataset.read("pairs", "longest")
    assert set(pairs["chosen"]) == {"three words here"}
    assert sorted(pairs["rejected"]) == ["a", "two words"]
